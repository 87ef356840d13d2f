"""Small real comparisons: a network of 15 numbers on 60 points, two methods, and a note of what was run."""

import json
from contextlib import contextmanager

import pytest
import torch
from torch import nn

import optwise as ow
from optwise.core.method import Rule
from optwise.engine.calibration import PROCEDURES, Calibration, RungChoice
from optwise.engine.timing import Sample, Timings, timed_step
from optwise.store.folder import Folder

ASKED = {
    "studies": 4,
    "trials": 4,
    "seeds": 2,
    "budget": "20steps",
    "evaluations": 5,
    "workers": 1,
    "executor": "local",
    "resamples": 200,
}
METHODS = (ow.SGD(), ow.Adam())
OWN_TRIALS = 4 * 4 + 4 * 2 + 2  # of one open method: its searches, its confirmations, its library defaults


def flowers(name="flowers", *, shift=0.0, batch_size=16, **more):
    """Three classes of points in the plane of four numbers, linear softmax, with all three splits."""
    generator = torch.Generator().manual_seed(7)
    x, noise = torch.randn(120, 4, generator=generator), torch.randn(120, 3, generator=generator)
    y = (x @ torch.randn(4, 3, generator=generator) + noise + shift).argmax(1)
    return ow.problems.from_module(
        lambda: nn.Linear(4, 3),
        nn.functional.cross_entropy,
        (x[:60], y[:60]),
        valid=(x[60:90], y[60:90]),
        test=(x[90:], y[90:]),
        batch_size=batch_size,
        name=name,
        **more,
    )


class Counting:
    """A Progress that notes what it is told."""

    def __init__(self):
        self.planned = None
        self.ran = {}
        self.notes = []
        self.ended = False

    def plan(self, total, cached):
        self.planned = (total, cached)

    def note(self, text):
        self.notes.append(text)

    def advance(self, problem, method, phase, trials, best):
        self.ran[method, phase] = self.ran.get((method, phase), 0) + trials

    def done(self):
        self.ended = True

    @property
    def trials(self):
        return sum(self.ran.values())


def calibrated(choice):
    """A calibration that is given instead of measured: ``choice`` for rules, a tenth of a millisecond a step."""

    def calibrate(problem, probes, *, choose, **_):
        rules = {name: isinstance(own[0], Rule) for name, own in probes.items()}
        timings = Timings({name: [Sample(1e-4, 1e-4, own[0].gradients_per_step)] * 2 for name, own in probes.items()})
        steps = {name: timed_step(timings, name, own[0]) for name, own in probes.items()}
        return Calibration({name: choice if rules[name] else PROCEDURES for name in choose}, steps, timings)

    return calibrate


@contextmanager
def quick():
    """The rung is given instead of measured, and the page is a line: other rooms test both."""
    choice = RungChoice("vmap", 16, "as the test says", {"solo": 1.0})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("optwise.verbs.planning.calibrate", calibrated(choice))
        patch.setattr("optwise.verbs.targeting.choose_rung", lambda *_, **__: choice)
        patch.setattr("optwise.verbs.comparing.page", lambda document, *_: f"<p>{document['verdict']}</p>")
        yield


def compare(out, problems=None, methods=METHODS, **changed):
    """Ask for a small comparison; returns it and what was run."""
    told = Counting()
    asked = {**ASKED, **changed}
    return ow.compare(flowers() if problems is None else problems, methods, out=out, progress=told, **asked), told


def results(folder):
    return json.loads((folder / "results.json").read_text())


def timeless(document):
    """Without what may differ between two equal comparisons: where and how it ran, and every number of seconds."""
    if isinstance(document, dict):
        left_out = ("environment", "execution", "seconds")
        return {name: timeless(item) for name, item in document.items() if name not in left_out}
    return [timeless(item) for item in document] if isinstance(document, list) else document


def stored(folder):
    """Every stored trial: key to address, seed, status and curves as bytes."""
    with Folder.existing(folder) as opened:
        return {
            t.key: (str(t.name), t.seed, t.status, {m: (s.tobytes(), v.tobytes()) for m, (s, v) in t.curves.items()})
            for t in opened.trials()
        }
