"""Runs and findings -> figure data -> chart -> one HTML page, the terminal, image files."""

from optwise.report.console import terminal
from optwise.report.drawing import Figure, images
from optwise.report.gallery import figures
from optwise.report.pages import page

__all__ = ["Figure", "figures", "images", "page", "terminal"]
