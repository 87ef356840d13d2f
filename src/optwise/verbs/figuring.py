"""The figures of the lessons, computed and written as pages, images and tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from optwise.core.errors import BadFolder
from optwise.report.figure_pages import write_figure
from optwise.verbs.lessons.gallery import LESSONS, known

FOLDER = Path("figures")


def write_figures(
    slugs: Sequence[str] = (), out: Path | str = FOLDER, *, progress: Callable[[str], None] | None = None
) -> dict[str, dict[str, Path]]:
    """Compute figures and write each as ``SLUG.html``, ``.png``, ``.svg`` and ``.csv``.

    Args:
        slugs: Names of figures; all of them where none is given.
        out: Folder, made where it is missing; files of these names in it are replaced.
        progress: Is told each slug before work on it starts.

    Returns:
        Slug to its files, by suffix.

    Raises:
        UnknownName: A slug that names no figure; nothing was computed.
        BadFolder: The folder cannot be made or written to.
    """
    wanted, folder = known(list(slugs)), Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadFolder(f"{folder} cannot be made a folder ({error.strerror}); choose another one.") from error
    written = {}
    for slug in wanted:
        if progress is not None:
            progress(slug)
        lesson = LESSONS[slug]()
        written[slug] = write_figure(lesson.figure, lesson.data, folder)
    return written
