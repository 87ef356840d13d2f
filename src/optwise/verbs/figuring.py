"""The figures of the lessons, computed and written as pages, images and tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from optwise.core.errors import BadFolder
from optwise.report.figure_pages import write_figure
from optwise.report.figure_provenance import Origin
from optwise.verbs.lessons.gallery import LESSONS, asked
from optwise.verbs.lessons.lesson import Lesson
from optwise.verbs.lessons.parameters import Parameters

FOLDER = Path("figures")


def figure(name: str, **parameters: object) -> Lesson:
    """One figure of the lessons, drawn with the parameters it is asked for.

    Args:
        name: Of the figure, or its number in the course recap: ``"zigzag"`` or ``"2.6"``.
        parameters: Those that are not to be the published ones; ``optwise list figures`` names them.

    Returns:
        The figure (question, answer, key, charts), its rows as a frame, and its parameters.

    Raises:
        UnknownName: A name of no figure, or of none of its parameters.
        BadProtocol: A value that it cannot be drawn with; nothing was computed.

    Example:
        >>> drawn = figure("zigzag", kappa=20, steps=10)
        >>> drawn.parameters.changed(), len(drawn.data)
        ({'kappa': '20', 'steps': '10'}, 22)
    """
    # parameters by name, since every figure has its own: a dataclass of each one checks them
    ((slug, checked),) = asked([name], parameters).items()
    return LESSONS[slug](checked)


def origin_of(slug: str, parameters: Parameters) -> Origin:
    """How a figure is made today: versions, date and parameters.

    The date is that of SOURCE_DATE_EPOCH where it is set, so that a build can be repeated to the byte.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    when = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    return Origin(
        slug=slug,
        parameters=parameters.texts(),
        changed=parameters.changed(),
        version=version("optwise"),
        torch=version("torch"),
        date=f"{when:%Y-%m-%d}",
    )


def write_figures(
    slugs: Sequence[str] = (),
    out: Path | str = FOLDER,
    parameters: Mapping[str, object] | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> dict[str, dict[str, Path]]:
    """Compute figures and write each as ``SLUG.html``, ``.png``, ``.svg`` and ``.csv``.

    A figure whose parameters are not the published ones says so in the names of its files, ``zigzag--kappa-20.svg``.

    Args:
        slugs: Names of figures, or their numbers in the course recap; all of them where none is given.
        out: Folder, made where it is missing; files of these names in it are replaced.
        parameters: Values that are not to be the published ones, by name; each must be a parameter of every figure
            that is asked for.
        progress: Is told each slug before work on it starts.

    Returns:
        Slug to its files, by suffix.

    Raises:
        UnknownName: A slug that names no figure, or a name of no parameter; nothing was computed.
        BadProtocol: A value that a figure cannot be drawn with; nothing was computed.
        BadFolder: The folder cannot be made or written to.
    """
    wanted, folder = asked(slugs, parameters or {}), Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadFolder(f"{folder} cannot be made a folder ({error.strerror}); choose another one.") from error
    written = {}
    for slug, own in wanted.items():
        if progress is not None:
            progress(slug)
        lesson = LESSONS[slug](own)
        written[slug] = write_figure(lesson.figure, lesson.data, folder, origin_of(slug, own))
    return written
