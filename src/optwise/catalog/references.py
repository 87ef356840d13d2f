"""Typed references taken apart, and the user's own files imported: ``path.py:name``, ``package.module:name``."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from optwise.core.errors import CallerError, NotLoadable, UnknownName


@dataclass(frozen=True)
class Reference:
    """What a user typed: a name of the catalogue or an attribute of a file or module, and values for its parameters.

    Args:
        text: As it was typed, without the values.
        home: Path of a file or name of a module; empty for a name of the catalogue.
        name: Of the entry or the attribute.
        values: Parameter to text.

    Example:
        >>> Reference.parse("nqm:d=10", kind="problem", known=["nqm"], error=NotLoadable).values
        {'d': '10'}
        >>> reference = Reference.parse("mine.py:Mine:lr=0.1", kind="method", known=["sgd"], error=NotLoadable)
        >>> reference.text, reference.home, reference.name
        ('mine.py:Mine', 'mine.py', 'Mine')
    """

    text: str
    home: str
    name: str
    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, *, kind: str, known: Collection[str], error: type[CallerError]) -> Reference:
        """Take ``text`` apart.

        Args:
            text: ``name``, ``name:a=1,b=2``, ``path.py:name``, ``package.module:name``, each with values or not.
            kind: What is named, for sentences.
            known: Names of the catalogue.
            error: Raised where values cannot be read.
        """
        head, _, rest = text.strip().partition(":")
        if head in known:
            return cls(head, "", head, _values(text, rest, error))
        match = re.fullmatch(r"(.*\.py|[A-Za-z_][\w.]*):([A-Za-z_][^:=,]*)(?::(.*))?", text.strip())
        if match is not None:
            return cls(f"{match[1]}:{match[2]}", match[1], match[2], _values(text, match[3] or "", error))
        if head.endswith(".py"):
            raise NotLoadable(f"{text} does not say which of its names is the {kind}; write {head}:NAME.")
        raise UnknownName(kind, head, known)


def _values(text: str, written: str, error: type[CallerError]) -> dict[str, str]:
    values: dict[str, str] = {}
    for part in filter(None, written.split(",")):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not (name and sign and value):
            raise error(f"{part!r} in {text!r} cannot be read; write name=value, parted by commas.")
        if name in values:
            raise error(f"{name} is given twice in {text!r}; keep one.")
        values[name] = value
    return values


def attribute(home: str, name: str) -> Any:
    """The attribute ``name`` of the file or module ``home``.

    Raises:
        NotLoadable: The file or module is missing, does not parse or import, or has no such attribute.
    """
    module = _load_file(home) if home.endswith(".py") else _load_module(home)
    found: Any = module
    for part in name.split("."):
        names = [n for n in vars(found) if not n.startswith("_")]
        if part not in names and not hasattr(found, part):
            near = get_close_matches(part, names, n=2, cutoff=0.5)
            hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
            raise NotLoadable(f"{home} has no attribute {part!r}.{hint}")
        found = getattr(found, part)
    return found


_FILES: dict[Path, ModuleType] = {}


def _load_file(text: str) -> ModuleType:
    path = Path(text).expanduser().resolve()
    if path in _FILES:
        return _FILES[path]
    if not path.is_file():
        raise NotLoadable(f"There is no file {text}; paths start at the folder the command is run in.")
    # the module is called by its path, so that a class's own record, `module:name`, is a reference that loads it again
    here = Path.cwd()
    name = (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _sentences(text), _importing(path.parent):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    cloudpickle.register_pickle_by_value(module)
    _FILES[path] = module
    return module


def _load_module(name: str) -> ModuleType:
    try:
        with _sentences(name), _importing(Path.cwd()):
            return importlib.import_module(name)
    except NotLoadable as error:
        missing = error.__cause__.name if isinstance(error.__cause__, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            raise NotLoadable(
                f"There is no module {missing!r}, installed or in the folder the command is run in; "
                "a file is named with its ending, as in mine.py:name."
            ) from error
        raise


@contextmanager
def _sentences(home: str) -> Iterator[None]:
    """What goes wrong while the user's code is imported, as one sentence; a sentence of ours stays as it is."""
    try:
        yield
    except CallerError:
        raise
    except SyntaxError as error:
        file = home if error.filename is None or Path(error.filename).name == Path(home).name else error.filename
        raise NotLoadable(f"{file} does not parse: line {error.lineno}: {error.msg}.") from error
    except SystemExit as error:
        raise NotLoadable(
            f"{home} does not import: it ends the program. Put its script part under `if __name__ == '__main__':`."
        ) from error
    except Exception as error:
        raise NotLoadable(f"{home} does not import: {type(error).__name__}: {error}") from error


@contextmanager
def _importing(folder: Path) -> Iterator[None]:
    """Let imports find what lies in ``folder``; what they find there travels to other processes by value."""
    before = set(sys.modules)
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
    for name in set(sys.modules) - before:
        module = sys.modules[name]
        places = {folder / f"{name}.py", folder / name / "__init__.py"}
        if "." not in name and (file := getattr(module, "__file__", None)) and Path(file).resolve() in places:
            cloudpickle.register_pickle_by_value(module)
