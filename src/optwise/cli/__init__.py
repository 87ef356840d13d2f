"""The command line: parse, call one verb, print."""

from optwise.cli.application import main

__all__ = ["main"]
