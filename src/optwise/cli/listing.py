"""The command that names what there is: ``list``."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from optwise.cli import options
from optwise.cli.printing import show, show_json
from optwise.core.errors import UnknownName

KINDS = ("problems", "methods", "solvers", "figures")


def list_names(
    kind: Annotated[
        str, typer.Argument(metavar="problems|methods|solvers|figures", help="What to list.", show_default=False)
    ],
    json: options.Json = False,
) -> None:
    """List the problems, methods, solvers or figures that have a name.

    Example: optwise list problems
    """
    if kind not in KINDS:
        raise UnknownName("kind", kind, KINDS)
    entries = {"problems": _problems, "methods": _methods, "solvers": _solvers, "figures": _figures}[kind]()
    if json:
        show_json({kind: entries})
        return
    width = max(len(name) for name in entries)
    for name, entry in entries.items():
        said = ", ".join(
            f"{key}={value}" for key, value in entry["space" if "space" in entry else "parameters"].items()
        )
        show(f"{name:{width}}  {entry['summary']}" + (f"\n{'':{width}}  {said}" if said else ""))
    if kind == "methods":
        from optwise.methods import SCHEDULES

        wrappers = ", ".join(name for name, entry in entries.items() if "of" in entry)
        show(f"\nAround another rule, ema:of=momentum,lr=0.1: {wrappers}.\nSchedules: {', '.join(SCHEDULES)}.")


def _problems() -> dict[str, dict[str, Any]]:
    from optwise.core.plain import plain
    from optwise.problems import PROBLEMS

    return {
        name: {
            "summary": _summary(factory),
            "parameters": {n: plain(p.default) for n, p in inspect.signature(factory).parameters.items()},
        }
        for name, factory in PROBLEMS.items()
    }


def _methods() -> dict[str, dict[str, Any]]:
    from optwise.core.plain import plain
    from optwise.core.wrapper import Wrapper
    from optwise.methods import METHODS

    entries = {}
    for name, cls in METHODS.items():
        method = cls()
        entries[name] = {
            "summary": _summary(cls),
            "space": {path: str(d) for path, d in method.space.fields.items()},
            "defaults": {field: plain(d) for kind in method.kinds[::-1] for field, d in kind.defaults.items()},
            "source": cls.source,
            **({"of": method.inner.label} if isinstance(method, Wrapper) else {}),
        }
    return entries


def _solvers() -> dict[str, dict[str, Any]]:
    from optwise.core.plain import plain
    from optwise.methods.solvers import SOLVERS

    return {
        name: {
            "summary": _summary(cls),
            "parameters": {field: plain(value) for field, value in cls().values().items()},
            "needs": sorted(oracle.value for oracle in cls.needs),
        }
        for name, cls in SOLVERS.items()
    }


def _figures() -> dict[str, dict[str, Any]]:
    from optwise.verbs.lessons.declared import DECLARED
    from optwise.verbs.lessons.gallery import number_of, summary

    return {
        slug: {
            "summary": summary(slug),
            "parameters": declared().texts(),
            **({"number": number} if (number := number_of(slug)) else {}),
        }
        for slug, declared in DECLARED.items()
    }


def _summary(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0].replace("``", "")
