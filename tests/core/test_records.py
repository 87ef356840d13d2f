"""Addresses of trials, how runs end, certificates, findings and the sentences of errors."""

import math

import pytest
import torch

from optwise.core.certificate import Certificate, CertificateKind
from optwise.core.errors import BadProtocol, CallerError, OptwiseError, RunFailed, UnknownName
from optwise.core.finding import Finding, Grade, Interval
from optwise.core.plain import digest, dumps, plain
from optwise.core.run import HeldWeights, Measurement, Phase, Run, TrialName
from optwise.core.status import Status
from optwise.methods import SGD


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("digits-mlp/adamw/2/7", Phase.EXPLORE),
        ("digits-mlp/adamw/2/c3", Phase.CONFIRM),
        ("nqm:d=100/my method/d/c0", Phase.DEFAULT),
    ],
)
def test_an_address_reads_back_and_says_what_the_trial_is_for(text, phase):
    name = TrialName.parse(text)
    assert str(name) == text
    assert name.phase is phase


@pytest.mark.parametrize("text", ["", "p/m/1", "p/m/d/3", "p/m/x/1", "p/m/1/c", "p/q/m/1/2", "p/m/-1/2", "p//1/2"])
def test_an_address_that_cannot_be_read_shows_one_that_can(text):
    with pytest.raises(BadProtocol, match="digits-mlp/adamw/2/7"):
        TrialName.parse(text)


def test_addresses_sort_by_problem_method_study_and_index():
    texts = ["a/m/0/2", "a/m/0/10", "a/m/1/0", "b/l/0/0"]
    assert [str(n) for n in sorted(TrialName.parse(t) for t in reversed(texts))] == texts


def test_only_failures_of_the_machine_are_retried():
    assert {s for s in Status if s.retried} == {Status.CRASHED, Status.OUT_OF_MEMORY, Status.INTERRUPTED}
    assert {s for s in Status if s.ok} == {
        Status.OPTIMAL,
        Status.STATIONARY,
        Status.TARGET_REACHED,
        Status.BUDGET_SPENT,
    }
    assert len({s.value for s in Status}) == len(Status)


def test_a_finding_without_an_interval_gives_no_advice():
    said = {"check": "boundary", "grade": Grade.WARN, "evidence": "At the edge.", "subject": "p/m"}
    with pytest.raises(ValueError, match="advice without an interval"):
        Finding(**said, advice="Widen the range.")
    assert Finding(**said).advice == ""
    assert Finding(**said, advice="Widen the range.", interval=Interval(0.1, None)).interval.high is None


def test_no_proof_holds_at_a_nan():
    assert Certificate(CertificateKind.OPTIMALITY, "duality gap", 1e-9).meets(1e-6)
    assert not Certificate(CertificateKind.OPTIMALITY, "duality gap", math.nan).meets(1e-6)


def test_a_curve_keeps_its_order_and_its_numbers():
    table = (Measurement(0, "valid", "loss", 2.0), Measurement(0, "", "f", 1.0), Measurement(5, "valid", "loss", 1.5))
    run = Run("p", SGD(lr=0.1), 0, Status.CRASHED, {}, table)
    assert run.curve("valid/loss") == [(0, 2.0), (5, 1.5)]
    assert run.curve("f") == [(0, 1.0)]
    assert run.frame().shape == (3, 4)
    with pytest.raises(RunFailed, match="The run ended: crashed"):
        run.raise_if_failed()
    with pytest.raises(RunFailed, match="optwise rerun"):
        run.state_dict()
    kept = {"w": torch.ones(2)}
    assert Run("p", SGD(lr=0.1), 0, Status.BUDGET_SPENT, {}, (), weights=HeldWeights(kept)).state_dict() is kept


def test_what_the_caller_can_mend_exits_with_2_and_what_failed_with_3():
    assert (CallerError.exit_code, UnknownName("m", "x", []).exit_code) == (2, 2)
    assert (OptwiseError.exit_code, RunFailed.exit_code) == (3, 3)
    assert str(UnknownName("metric", "valid/los", ["valid/loss"])).startswith(
        "Unknown metric 'valid/los'. Did you mean 'valid/loss'?"
    )


def test_plain_values_are_json_and_equal_values_have_one_digest():
    assert dumps({"b": (1, 2.5), "a": float("inf")}) == '{"a":{"class":"float","value":"inf"},"b":[1,2.5]}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert plain(torch.optim.Adam) == "torch.optim.adam:Adam"
    with pytest.raises(TypeError, match="no plain description"):
        plain({"w": torch.zeros(2)})
