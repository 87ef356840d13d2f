"""How far a comparison is, told by default: in a terminal and in a notebook, and nowhere else."""

import io
import sys
from types import SimpleNamespace

import pytest
from small_comparisons import ASKED, METHODS, flowers

import optwise as ow
from optwise.verbs.progress import Silent
from optwise.verbs.tallies import BESTS, Cell, Live, notebook_line, shown_where_somebody_looks


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Kernel:
    """What a notebook's shell is to us: displays with a handle each, of which we keep every text that was shown."""

    def __init__(self):
        self.cells = []

    def get_ipython(self):
        return SimpleNamespace(kernel=self)

    def display(self, data, *, raw, display_id):
        assert (raw, display_id) == (True, True)
        texts = [data["text/plain"]]
        self.cells.append(texts)
        return SimpleNamespace(update=lambda data, raw: texts.append(data["text/plain"]))


@pytest.fixture
def notebook(monkeypatch):
    kernel = Kernel()
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setitem(sys.modules, "IPython.display", kernel)
    return kernel


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_pipe_and_a_test_are_told_nothing(capfd):
    with shown_where_somebody_looks([flowers()]) as told:
        assert isinstance(told, Silent)
    assert capfd.readouterr() == ("", "")


def test_a_terminal_gets_the_live_table(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with shown_where_somebody_looks([flowers()], "valid/accuracy") as told:
        assert isinstance(told, Live)
        assert told.signs == {"flowers": -1.0}
        told.plan(10, 0)
        told.advance("flowers", "sgd", "explore", 5, 0.5)
    assert "trials 5/10" in terminal.getvalue()


def test_the_best_so_far_is_of_one_phase_and_never_of_library_defaults():
    said = []
    tally = Cell({"p": 1.0}, said.append, clock=iter(range(100)).__next__)
    tally.plan(9, 0)
    for phase, best in (("default", 0.1), ("explore", 0.5), ("explore", 0.4), ("confirm", 0.2)):
        tally.advance("p", "sgd", phase, 1, best)
    tally.advance("p", "closed", "confirm", 1, 0.3)
    tally.done()
    assert tally.rows() == [("sgd", "0.4"), ("closed", "0.3")]


def test_a_shell_in_a_terminal_is_no_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=SimpleNamespace))
    assert notebook_line() is None
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert notebook_line() is None


def test_a_notebook_gets_one_line_that_changes_in_its_place(notebook):
    with shown_where_somebody_looks([flowers()]) as told:
        assert isinstance(told, Cell)
        told.clock = clock = Clock()
        told.note("measuring step times\nand batching")
        told.plan(1000, 10)
        for k in range(990):
            clock.now += 0.01
            told.advance("flowers", f"method-{k % 9}", "explore", 1, 1.0 / (k + 1))
        told.done()
    (texts,) = notebook.cells
    assert len(texts) < 30  # a line every half second of 9.9 seconds, whatever is committed in between
    assert texts[0] == "measuring step times and batching"
    assert texts[-1].startswith("trials 1000/1000, 10 of them on record, 100.0/s; best so far: method-0 0.001")
    assert texts[-1].endswith(f" and {9 - BESTS} more")
    assert all("\n" not in text for text in texts)


def test_a_comparison_in_a_notebook_shows_its_progress_without_being_asked(notebook, tmp_path):
    comparison = ow.compare(flowers(), METHODS[:1], out=tmp_path / "runs", **{**ASKED, "studies": 1})
    (texts,) = notebook.cells
    assert texts[0] == "measuring step times and batching"
    assert texts[-1].startswith(f"trials {len(comparison.runs)}/{len(comparison.runs)}")
    ow.compare(flowers(), METHODS[:1], out=tmp_path / "runs", progress=False, **{**ASKED, "studies": 1})
    assert len(notebook.cells) == 1
    again = ow.compare(flowers(), METHODS[:1], out=tmp_path / "runs", progress=True, **{**ASKED, "studies": 1})
    assert notebook.cells[1][-1].startswith(f"trials {len(again.runs)}/{len(again.runs)}, {len(again.runs)} of them")


def test_a_refusal_in_a_notebook_leaves_no_line(notebook):
    with pytest.raises(ow.CallerError):
        ow.compare(flowers(), [])
    assert notebook.cells == []
