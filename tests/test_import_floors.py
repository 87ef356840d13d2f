"""The house has floors: a file imports from its own room or from a lower floor, also inside functions."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "optwise"
SECOND = ("problems", "methods", "engine", "design", "theory", "analyses", "scale", "store", "report")
FLOORS = {"core": 1, "numerics": 1} | dict.fromkeys(SECOND, 2) | {"verbs": 3, "catalog": 3, "cli": 5, "__main__": 6}
FLOORS["public"] = 4  # the verbs as everybody calls them, with the catalogue's names in the place of objects
FLOORS |= {"penalties": 3, "sets": 3}  # the same parts of problems under shorter names
FLOORS["optwise"] = 4  # the bare package hands them out


def rooms_imported(source, folder):
    """Yield (line, room) for each import; ``folder`` is the package the file lies in, as a tuple of names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = folder[: len(folder) + 1 - node.level] if node.level else ()
            names = [".".join([*start, *filter(None, [node.module]), alias.name]) for alias in node.names]
        else:
            continue
        for package, *inside in (name.split(".") for name in names):
            if package == "optwise":
                yield node.lineno, inside[0] if inside and inside[0] in FLOORS else "optwise"


def forbidden_imports(source, path):
    """Say, one sentence each, which imports of the file at ``path`` (relative to the package) go up or sideways."""
    own = Path(path).parts[0].removesuffix(".py")
    return [
        f"{path}:{line} imports {room} (floor {FLOORS[room]}) from {own} (floor {FLOORS[own]})"
        for line, room in rooms_imported(source, ("optwise", *Path(path).parent.parts))
        if room != own and FLOORS[room] >= FLOORS[own]
    ]


def files_in_rooms():
    """List every file but the package's own ``__init__``, which may hand out anything lazily."""
    paths = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))
    return [path for path in paths if path != Path("__init__.py")]


def test_every_file_lies_in_a_room_that_has_a_floor():
    rooms = {path.parts[0].removesuffix(".py") for path in files_in_rooms()}
    assert rooms, f"no file found under {SOURCE.name}: the checks of this module would be empty"
    assert rooms <= set(FLOORS) - {"optwise"}


def test_files_import_only_from_their_own_room_or_a_lower_floor():
    found = [
        sentence
        for path in files_in_rooms()
        for sentence in forbidden_imports((SOURCE / path).read_text(encoding="utf-8"), path.as_posix())
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source", "room"),
    [
        ("engine/loop.py", "import optwise.methods.sgd", "methods"),
        ("engine/loop.py", "from optwise.store import runs", "store"),
        ("engine/loop.py", "from optwise import report", "report"),
        ("engine/loop.py", "import optwise as ow", "optwise"),
        ("engine/loop.py", "def late():\n    from optwise.problems.quadratic import nqm", "problems"),
        ("engine/loop.py", "from ..methods import sgd", "methods"),
        ("engine/loop.py", "from .. import methods", "methods"),
        ("engine/__init__.py", "from ..design.sobol import points", "design"),
        ("engine/deep/down.py", "from ...verbs import comparing", "verbs"),
        ("core/data.py", "from optwise.numerics import rng", "numerics"),
        ("numerics/rng.py", "from optwise.core.run import Run", "core"),
        ("catalog.py", "from .verbs import solving", "verbs"),
        ("verbs/solving.py", "from optwise import catalog", "catalog"),
        ("verbs/solving.py", "from optwise.cli import main", "cli"),
    ],
)
def test_the_checker_catches_imports_that_go_up_or_sideways(path, source, room):
    (sentence,) = forbidden_imports(source, path)
    assert f"imports {room} " in sentence


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "engine/loop.py",
            "from optwise.core.run import Run\nfrom ..numerics import rng\nfrom .recorder import Recorder",
        ),
        ("engine/deep/down.py", "from ..loop import run\nfrom . import sideways_within_the_room"),
        ("verbs/comparing.py", "import torch\nfrom optwise.engine import loop\nfrom optwise.verbs.tuning import tune"),
        ("catalog.py", "def build():\n    import optwise.problems.digits"),
        ("cli/main.py", "import optwise\nfrom optwise import catalog\nfrom optwise.verbs import solving"),
        ("core/run.py", "import optwise_plugins.methods\nfrom methods import something"),
    ],
)
def test_the_checker_lets_imports_within_a_room_and_downward_pass(path, source):
    assert forbidden_imports(source, path) == []
