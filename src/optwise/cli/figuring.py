"""The command that draws the figures of the lessons: ``figures``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from optwise.cli import options
from optwise.cli.options import flag
from optwise.cli.printing import say, show, show_json, stdout_for

if TYPE_CHECKING:
    from optwise.verbs.lessons.parameters import Parameters

FOLDER = "figures"
ANY_OPTION = {"ignore_unknown_options": True, "allow_extra_args": True}
"""Options that this command does not declare are parameters of the figures: their own declarations know them."""


class FiguresCommand(TyperCommand):
    """The command, whose help has the parameters of the figures that are named beside it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the words that were typed, for the help."""
        ctx.meta["typed"] = tuple(args)
        rest: list[str] = super().parse_args(ctx, args)
        return rest

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options of the command, then those of each figure that is named."""
        super().format_options(ctx, formatter)
        from optwise.verbs.lessons.declared import DECLARED
        from optwise.verbs.lessons.gallery import NUMBERS

        for slug in dict.fromkeys(NUMBERS.get(word, word) for word in ctx.meta.get("typed", ())):
            if slug in DECLARED:
                with formatter.section(f"Parameters of {slug}"):
                    formatter.write_dl(list(described(DECLARED[slug]).items()))


def described(parameters: type[Parameters]) -> dict[str, str]:
    """Option to what it is, what it may be and its default."""
    from optwise.verbs.lessons.parameters import option

    return {
        f"--{option(name)}": f"{domain.text} {domain.needed[0].upper()}{domain.needed[1:]}. [default: {default}]"
        for name, (domain, default) in parameters.domains().items()
    }


def figures(
    slugs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FIGURE | --PARAMETER VALUE]...",
            help="Names of figures or their numbers in the course, as in 2.6, by default all; and parameters of them: "
            "'optwise figures zigzag --help' names those of one.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[Path | None, flag("--out", "The folder they are written to.", FOLDER, metavar="DIR")] = None,
    names: Annotated[bool, typer.Option("--list", help="Name the figures and draw none.")] = False,
    json: options.Json = False,
) -> None:
    """Compute the figures of the lessons and write each as SLUG.html, .png, .svg and .csv.

    Everything they say is computed on the spot; all of them take about a minute. A figure with other parameters
    than the published ones has them in the names of its files, as in zigzag--kappa-20.svg.

    Example: optwise figures zigzag --kappa 20 --out figures
    """
    from optwise.verbs.lessons.gallery import asked, number_of, summary

    words, given = parted(slugs or [])
    wanted = asked(words, given)
    if names:
        said = {slug: summary(slug) for slug in wanted}
        if json:
            show_json({"figures": said})
            return
        width = max(map(len, said))
        show("\n".join(f"{slug:{width}}  {number_of(slug) or '':3}  {line}" for slug, line in said.items()))
        return
    with stdout_for(json_only=json):
        from optwise.verbs.figuring import origin_of, write_figures

        written = write_figures(words, out or Path(FOLDER), given, progress=lambda slug: say(f"computing {slug}"))
    if json:
        files = {slug: {suffix: str(path) for suffix, path in paths.items()} for slug, paths in written.items()}
        origins = {slug: origin_of(slug, own) for slug, own in wanted.items()}
        about = {slug: {"parameters": dict(o.parameters), "command": o.command} for slug, o in origins.items()}
        show_json({"figures": {slug: {**files[slug], **about[slug]} for slug in files}})
    else:
        show("\n".join(str(path) for paths in written.values() for path in paths.values()))


def parted(words: Sequence[str]) -> tuple[list[str], dict[str, object]]:
    """Names of figures, and options with the value that follows or stands after ``=``.

    Raises:
        BadProtocol: An option without a value, or the same one twice.

    Example:
        >>> parted(["zigzag", "--kappa", "20", "--start=-1,2"])
        (['zigzag'], {'kappa': '20', 'start': '-1,2'})
    """
    from optwise.core.errors import BadProtocol

    names: list[str] = []
    given: dict[str, object] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            names.append(word)
            continue
        name, sign, value = word.lstrip("-").partition("=")
        if not sign:
            if not rest or rest[0].startswith("--"):
                raise BadProtocol(f"--{name} has no value; give one, as in --{name} 20.")
            value = rest.pop(0)
        if name in given:
            raise BadProtocol(f"--{name} is given twice; give it once, parted by commas where it is a list.")
        given[name] = value
    return names, given
