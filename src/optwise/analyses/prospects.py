"""What a comparison will not be able to say, known before its first trial from its protocol alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from optwise.analyses.verdict import Asked, asked_pairs
from optwise.core.check import Check
from optwise.core.finding import Finding, Interval, Risk
from optwise.core.metric import Direction, Target
from optwise.core.protocol import Protocol
from optwise.numerics.power import smallest_ratio
from optwise.numerics.sequential import nominal_level
from optwise.numerics.statistics import fewest_for

TOO_FEW = Check("too-few-studies", "Are there enough studies for any pair to reach the level?", Risk.CLAIM)
CERTAIN = Check("no-chance", "Does chance have a part in every method's numbers?", Risk.CLAIM)
SHORT = Check("short-budget", "Is the budget as long as that of the references that set the target?", Risk.CLAIM)
HARD = Check("hard-target", "Is the target one that the problem's references reach?", Risk.CLAIM)
COARSE = Check("coarse-evaluations", "Are evaluations close enough for times to be called equivalent?", Risk.SIZE)
PROSPECTS = (TOO_FEW, CERTAIN, SHORT, HARD, COARSE)
"""Every rule that speaks before a comparison."""

UNKNOWN = Interval(None, None)


@dataclass(frozen=True)
class Plan:
    """What is known of one problem of a protocol before it runs.

    Args:
        problem: Name.
        steps: Of each method's runs.
        own_target: The problem's own target, where it has one.
        reference_steps: Steps of the references that set it, where references did.
    """

    problem: str
    steps: Mapping[str, int]
    own_target: Target | None = None
    reference_steps: int | None = None


def prospects(protocol: Protocol, plan: Plan) -> list[Finding]:
    """What cannot come out on one problem, each with what could change it; empty where everything can.

    Args:
        protocol: What is asked.
        plan: Of the problem.
    """
    found = [
        _no_chance(protocol, plan),
        _too_few(protocol, plan),
        _hard_target(protocol, plan),
        _short_budget(protocol, plan),
        _coarse(protocol, plan),
    ]
    return [finding for finding in found if finding is not None]


def smallest_to_find(protocol: Protocol, problem: str) -> float | None:
    """The smallest true ratio of times that these studies find four times in five, if studies spread as usual.

    ``None`` where no times are tested, and infinite where even a clean sweep would not be enough.

    Args:
        protocol: What is asked.
        problem: Name.
    """
    pairs = len(_tested(protocol, problem))
    if protocol.targets[problem] is None or not pairs:
        return None
    alpha = (1 - protocol.level) / pairs
    if protocol.looks:  # the last look decides what a design can find
        alpha = nominal_level(alpha, protocol.looks)
    return smallest_ratio(protocol.studies, level=1 - alpha)


def in_words(protocol: Protocol, problem: str) -> str:
    """The same as a sentence; empty where there is nothing to say.

    Args:
        protocol: What is asked.
        problem: Name.
    """
    found = smallest_to_find(protocol, problem)
    if found is None or not math.isfinite(found):
        return ""
    studies = f"up to {protocol.studies}" if protocol.looks else f"{protocol.studies}"
    return f"{studies} studies find a true ratio of times of {found:.2f} four times in five, if they spread as usual"


def _certain(protocol: Protocol, problem: str) -> list[str]:
    """Methods whose one number holds no chance: closed ones on a deterministic problem."""
    if not protocol.problems[problem].get("deterministic"):
        return []
    return [name for name, method in protocol.methods.items() if not method.is_open]


def _tested(protocol: Protocol, problem: str) -> list[tuple[str, str]]:
    certain = set(_certain(protocol, problem))
    return [pair for pair in asked_pairs(protocol.methods, protocol.against) if not set(pair) <= certain]


def _too_few(protocol: Protocol, plan: Plan) -> Finding | None:
    certain = set(_certain(protocol, plan.problem))
    pairs = _tested(protocol, plan.problem)
    asked = Asked(level=protocol.level, margin=protocol.margin, timed=True, looks=protocol.looks)
    share = asked.share(len(pairs), protocol.looks)
    pairs = [pair for pair in pairs if not set(pair) & certain]  # against one number it takes more: said apart
    needed = fewest_for(share)
    if not pairs or protocol.studies >= needed:
        return None
    return TOO_FEW.opens(
        plan.problem,
        f"{_studies(protocol.studies)} cannot separate {len(protocol.methods)} methods at level {protocol.level:g}",
        f"{_best_p(protocol, share)}{needed} could",
        value=float(needed),
        interval=UNKNOWN,
        advice=f"Give at least {_studies(needed)}.",
    )


def _best_p(protocol: Protocol, share: float) -> str:
    """What a method that is ahead in every study would get, in words; empty where several looks would be taken."""
    if protocol.looks:
        return ""
    sweep = 2 / math.comb(2 * protocol.studies, protocol.studies) * (1 - protocol.level) / share
    return f"a method that is ahead in all of them has an adjusted p of {min(sweep, 1.0):.2g}, "


def _no_chance(protocol: Protocol, plan: Plan) -> Finding | None:
    certain = _certain(protocol, plan.problem)
    if not certain:
        return None
    names, others = _listed(certain), [name for name in protocol.methods if name not in certain]
    number = "one number" if len(certain) == 1 else "one number each"
    detail = f"{names} {'is' if len(certain) == 1 else 'are'} closed, and starts and batches are always the same"
    if not others:
        return CERTAIN.opens(
            plan.problem,
            f"However many studies, {number} comes out, and nothing is tested",
            detail,
            value=1.0,
            interval=UNKNOWN,
            advice="Give one study of one seed." if protocol.studies * protocol.seeds > 1 else "",
        )
    asked = Asked(level=protocol.level, margin=protocol.margin, timed=True, looks=protocol.looks)
    needed = math.ceil(2 / asked.share(len(_tested(protocol, plan.problem)), protocol.looks) - 1e-9) - 1
    if protocol.studies >= needed:
        return None
    return CERTAIN.opens(
        plan.problem,
        f"However many studies, {number} comes out, against which {_studies(needed)} of another method are needed",
        detail,
        value=float(needed),
        interval=UNKNOWN,
        advice=f"Leave a hyperparameter of {names} open, so that its studies differ, or give {_studies(needed)}.",
    )


def _hard_target(protocol: Protocol, plan: Plan) -> Finding | None:
    target, own = protocol.targets[plan.problem], plan.own_target
    if target is None or own is None or plan.reference_steps is None or target.metric != own.metric:
        return None
    harder = target.value < own.value if target.direction is Direction.MIN else target.value > own.value
    if not harder:
        return None
    return HARD.opens(
        plan.problem,
        "Many runs may miss the target",
        f"{target} is harder than {own}, which nine reruns in ten of the problem's references reach "
        f"in {plan.reference_steps} steps",
        value=target.value,
        interval=UNKNOWN,
        advice="Take the problem's own target, or set one for your methods with `optwise target`.",
    )


def _short_budget(protocol: Protocol, plan: Plan) -> Finding | None:
    target, asked = protocol.targets[plan.problem], plan.reference_steps
    short = {name: steps for name, steps in plan.steps.items() if asked is not None and steps < asked}
    if target is None or asked is None or not short or target != plan.own_target:
        return None
    steps = min(short.values())
    return SHORT.opens(
        plan.problem,
        "Many runs may miss the target",
        f"it was set with {asked} steps, and {_listed(list(short))} {'has' if len(short) == 1 else 'have'} {steps}",
        value=float(steps),
        interval=UNKNOWN,
        advice=f"Give a budget of {asked} steps at least, or an easier target.",
    )


def _coarse(protocol: Protocol, plan: Plan) -> Finding | None:
    if protocol.targets[plan.problem] is None or protocol.margin <= 0 or len(protocol.methods) < 2:
        return None
    steps = min(plan.steps.values())
    gaps = len(protocol.evaluation_steps(steps)) - 1
    if 1 / gaps <= protocol.margin / (1 + protocol.margin):
        return None
    needed = (
        math.ceil(2 / math.log1p(protocol.margin)) + 1
    )  # half of the margin is left to chance, for times as long as the budget
    enough = needed <= steps + 1
    return COARSE.opens(
        plan.problem,
        f"No two methods can be called equivalent within {protocol.margin:.0%}",
        f"times are known to 1/{gaps} of the budget at best",
        value=1 / gaps,
        interval=UNKNOWN,
        advice=f"Give at least {needed} evaluations if that word matters."
        if enough
        else f"Give a larger budget, of {needed - 1} steps at least and as many evaluations, if that word matters.",
    )


def _studies(count: int) -> str:
    return "1 study" if count == 1 else f"{count} studies"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
