"""The command that draws the figures of the lessons: ``figures``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from optwise.cli import options
from optwise.cli.options import flag
from optwise.cli.printing import say, show, show_json, stdout_for

FOLDER = "figures"


def figures(
    slugs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SLUG]...", help="Names of figures; by default all.", show_default=False),
    ] = None,
    *,
    out: Annotated[Path | None, flag("--out", "The folder they are written to.", FOLDER, metavar="DIR")] = None,
    names: Annotated[bool, typer.Option("--list", help="Name the figures and draw none.")] = False,
    json: options.Json = False,
) -> None:
    """Compute the figures of the lessons and write each as SLUG.html, .png, .svg and .csv.

    Everything they say is computed on the spot; all of them take about half a minute.

    Example: optwise figures sgd-noise-floor nqm-batch-size --out figures
    """
    from optwise.verbs.lessons.gallery import known, summary

    wanted = known(slugs or [])
    if names:
        said = {slug: summary(slug) for slug in wanted}
        if json:
            show_json({"figures": said})
            return
        width = max(map(len, said))
        show("\n".join(f"{slug:{width}}  {line}" for slug, line in said.items()))
        return
    with stdout_for(json_only=json):
        from optwise.verbs.figuring import write_figures

        written = write_figures(wanted, out or Path(FOLDER), progress=lambda slug: say(f"computing {slug}"))
    if json:
        files = {slug: {suffix: str(path) for suffix, path in paths.items()} for slug, paths in written.items()}
        show_json({"figures": files})
    else:
        show("\n".join(str(path) for paths in written.values() for path in paths.values()))
