"""Laws that every convex proximal map and its conjugate obey, over one table of all of them."""

import functools
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from optwise.numerics.proximal import (
    chains,
    groups,
    l1,
    logarithmic,
    margin_losses,
    matrices,
    norms,
    quadratic_penalties,
    regression_losses,
    sorted_l1,
)
from optwise.numerics.proximal.moreau import prox_conjugate

P = 6


def vector(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


@dataclass(frozen=True)
class Case:
    """One function of the table: where it is, its parameters, and what its instances look like."""

    module: ModuleType
    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    separable: bool = True
    shape: tuple[int, ...] = (P,)
    slack: bool = False  # whether the conjugate's domain is a ball, with a slack for rounding

    def value(self, x: Tensor) -> Tensor:
        """One number per instance; eigenvalues of a matrix of low rank are rounded."""
        slack = {"slack": 1e-12} if self.name == "psd_trace" else {}
        values = getattr(self.module, self.name)(x, **self.parameters, **slack)
        return values.sum(-1) if self.separable else values

    def prox(self, v: Tensor, step: Any) -> Tensor:
        return getattr(self.module, f"prox_{self.name}")(v, step, **self.parameters)

    def conjugate(self, u: Tensor) -> Tensor:
        """One number per instance; u came out of a division and may be one rounding outside the domain."""
        if self.slack:
            values = getattr(self.module, f"conjugate_{self.name}")(u, **self.parameters, slack=1e-12)
        else:
            values = getattr(self.module, f"conjugate_{self.name}")(u * (1 - 1e-13), **self.parameters)
        return values.sum(-1) if self.separable else values

    def derivative(self, v: Tensor, step: Any) -> Tensor:
        return getattr(self.module, f"prox_{self.name}_derivative")(v, step, **self.parameters)

    def inner(self, x: Tensor, y: Tensor) -> Tensor:
        return (x * y).flatten(-len(self.shape)).sum(-1)

    def points(self, seed: int, *, instances: int = 40, spread: float = 2.0) -> Tensor:
        g = torch.Generator().manual_seed(seed)
        v = spread * torch.randn(instances, *self.shape, generator=g, dtype=torch.float64)
        return 0.5 * (v + v.mT) if self.name in SYMMETRIC else v


SYMMETRIC = ("psd_trace", "negative_log_determinant")
W = vector(0.5, 1.0, 2.0, 0.0, 1.5, 0.7)
POSITIVE = vector(0.5, 1.0, 2.0, 3.0, 1.5, 0.7)
B = vector(-1.0, 0.0, 0.3, 2.0, -2.5, 1.0)
Y = vector(1.0, -1.0, 1.0, 1.0, -1.0, -1.0)
COUNTS = vector(0.0, 1.0, 3.0, 0.0, 7.0, 2.0)
PARTITION = {"groups": torch.tensor([0, 2, 0, 1, 2, 2]), "weights": vector(1.0, 0.0, 1.7)}
FALLING = {"weights": vector(2.0, 1.5, 1.5, 0.5, 0.2, 0.0)}
RECTANGLE = {"separable": False, "shape": (3, 4), "slack": True}
BALL = {"separable": False, "slack": True}
CASES = {
    case.name: case
    for case in [
        Case(l1, "l1", {"weight": W}, slack=True),
        Case(l1, "nonnegative_l1", {"weight": W}, slack=True),
        Case(l1, "box_l1", {"low": vector(-1, -torch.inf, 0.5, -3, -2, 0), "high": B.abs() + 1.0, "weight": W}),
        Case(quadratic_penalties, "squared_l2", {"weight": W}),
        Case(quadratic_penalties, "elastic_net", {"l1": W, "l2": POSITIVE}),
        Case(quadratic_penalties, "berhu", {"delta": 0.8, "weight": W}),
        Case(norms, "l2_norm", {"weight": 0.7}, **BALL),
        Case(norms, "huber_norm", {"delta": 1.5, "weight": 0.7}, **BALL),
        Case(norms, "linf_norm", {"weight": 1.3}, **BALL),
        Case(groups, "group_l2", {**PARTITION, "weight": 1.2}, **BALL),
        Case(sorted_l1, "sorted_l1", FALLING, **BALL),
        Case(regression_losses, "squared_error", {"target": B, "weight": W}),
        Case(regression_losses, "absolute_error", {"target": B, "weight": W}),
        Case(regression_losses, "quantile_loss", {"target": B, "quantile": 0.3, "weight": W}),
        Case(regression_losses, "huber", {"target": B, "delta": 0.6, "weight": W}),
        Case(margin_losses, "hinge", {"label": Y, "weight": W}),
        Case(margin_losses, "squared_hinge", {"label": Y, "weight": W}),
        Case(margin_losses, "logistic", {"label": Y, "weight": W}),
        Case(logarithmic, "poisson", {"target": COUNTS, "weight": W}),
        Case(logarithmic, "negative_log", {"weight": POSITIVE}),
        Case(logarithmic, "entropy", {"weight": POSITIVE}),
        Case(matrices, "nuclear_norm", {"weight": 1.1}, **RECTANGLE),
        Case(matrices, "spectral_norm", {"weight": 1.1}, **RECTANGLE),
        Case(matrices, "frobenius_norm", {"weight": 1.1}, **RECTANGLE),
        Case(matrices, "psd_trace", {"weight": 0.6}, separable=False, shape=(3, 3), slack=True),
        Case(matrices, "negative_log_determinant", {"weight": 0.6}, separable=False, shape=(3, 3)),
        Case(chains, "total_variation", {"weight": vector(1.0, 0.5, 0.0, 2.0, 0.7)}, **BALL),
        Case(chains, "fused_lasso", {"l1": 0.4, "tv": vector(1.0, 0.5, 0.0, 2.0, 0.7)}, **BALL),
    ]
}
ON_THE_HOST = ("sorted_l1", "total_variation", "fused_lasso")
DERIVATIVES = [name for name, case in CASES.items() if hasattr(case.module, f"prox_{name}_derivative")]
every_map = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@every_map
def test_a_map_is_firmly_nonexpansive(case):
    for step in (0.1, 1.0, 10.0):
        v, w = case.points(0, instances=200), case.points(1, instances=200)
        moved, gap = case.prox(v, step) - case.prox(w, step), v - w
        # rounding of the entries, of size 10, against their squares
        assert (case.inner(moved, moved) <= case.inner(moved, gap) + 1e-12).all()


@every_map
def test_a_function_and_its_conjugate_are_at_least_the_inner_product_of_any_two_points(case):
    """Young's inequality: where it fails, a duality gap would certify a point that is not optimal."""
    x, at = case.prox(case.points(2), 0.5), case.points(3)
    u = (at - case.prox(at, 2.0)) / 2.0
    value, conjugate = case.value(x), case.conjugate(u)
    assert value.isfinite().all()
    assert conjugate.isfinite().all(), "subgradients lie in the domain"
    gaps = value[:, None] + conjugate[None, :] - case.inner(x[:, None], u[None, :])
    assert gaps.min() > -1e-10  # sums of a dozen numbers of size 10, and the slack of 1e-12
    assert gaps.max() > 0.1


@every_map
def test_the_inequality_is_an_equality_at_a_mapped_point_and_its_subgradient(case):
    for step in (0.05, 1.0, 20.0):
        v = case.points(4)
        x = case.prox(v, step)
        u = (v - x) / step
        total, product = case.value(x) + case.conjugate(u), case.inner(x, u)
        # the slack of 1e-12, and rounding of u by 1e-16 / step, times entries of size 10
        torch.testing.assert_close(total, product, rtol=1e-9, atol=1e-9)


@every_map
def test_many_points_at_once_are_the_same_as_one_by_one(case):
    """Batching is an optimisation: it may not change a number."""
    v, steps = case.points(5, instances=4), vector(0.01, 0.5, 1.0, 30.0)
    together = [case.prox(v, steps), case.value(v), case.conjugate(v)]
    apart = [
        torch.stack([case.prox(point, float(step)) for point, step in zip(v, steps, strict=True)]),
        torch.stack([case.value(point) for point in v]),
        torch.stack([case.conjugate(point) for point in v]),
    ]
    if case.name in DERIVATIVES:
        together.append(case.derivative(v, steps))
        apart.append(torch.stack([case.derivative(p, float(s)) for p, s in zip(v, steps, strict=True)]))
    folded = case.prox(v.reshape(2, 2, *case.shape), steps.reshape(2, 2)).reshape(v.shape)
    for found, expected in zip([*together, folded], [*apart, apart[0]], strict=True):
        # torch may add six numbers in another order
        torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("name", [name for name in CASES if name not in ON_THE_HOST])
def test_a_map_is_right_under_vmap(name):
    """A rule of many trials calls the map of one."""
    case = CASES[name]
    v, steps = case.points(6, instances=3), vector(0.1, 1.0, 7.0)
    found = torch.func.vmap(case.prox)(v, steps)
    torch.testing.assert_close(found, case.prox(v, steps), rtol=1e-14, atol=1e-14)


@every_map
def test_float32_stays_float32_whatever_the_parameters_are(case):
    v = case.points(7, instances=5)
    step = vector(0.1, 0.5, 1.0, 2.0, 5.0)
    single = case.prox(v.float(), step)
    assert single.dtype == torch.float32
    assert case.value(v.float()).dtype == case.conjugate(v.float()).dtype == torch.float32
    # a few dozen operations on numbers of size 10
    torch.testing.assert_close(single.double(), case.prox(v, step), rtol=2e-5, atol=2e-5)
    if case.name in DERIVATIVES:
        assert case.derivative(v.float(), step).dtype == torch.float32


@every_map
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_extreme_points_and_steps_give_finite_numbers_that_do_not_run_away(case, dtype):
    special = vector(0.0, 1e8, -1e8, 1e-8, 1.0, -1.0)
    count = functools.reduce(int.__mul__, case.shape)
    rows = [special.repeat(3)[i : i + count] for i in range(6)] + [torch.full((count,), c) for c in (0.0, 1e8, -1e8)]
    v = torch.stack([row.reshape(case.shape) for row in rows]).to(dtype)
    v = 0.5 * (v + v.mT) if case.name in SYMMETRIC else v
    for step in (1e-12, 1.0, 1e12):
        x = case.prox(v, step)
        assert x.isfinite().all()
        length, moved = case.inner(v, v).sqrt(), x - case.prox(torch.zeros_like(v), step)
        rounding = 100 * torch.finfo(dtype).eps * (length + x.abs().amax())
        assert (case.inner(moved, moved).sqrt() <= length + rounding).all(), "nonexpansive, so no longer than v"
        if case.name in DERIVATIVES:
            slope = case.derivative(v, step)
            assert ((slope >= 0) & (slope <= 1)).all()


def clip(v: Tensor, bound: Any) -> Tensor:
    return torch.maximum(torch.minimum(v, torch.as_tensor(bound)), -torch.as_tensor(bound))


def on_ball(v: Tensor, radius: float, dims: tuple[int, ...] = (-1,)) -> Tensor:
    return v * (radius / v.square().sum(dims, keepdim=True).sqrt()).clamp(max=1)


def clipped_singular_values(v: Tensor, bound: float) -> Tensor:
    U, sigma, Vh = torch.linalg.svd(v, full_matrices=False)
    return U @ torch.diag_embed(sigma.clamp(max=bound)) @ Vh


def clipped_eigenvalues(v: Tensor, bound: float) -> Tensor:
    values, Q = torch.linalg.eigh(v)
    return Q @ torch.diag_embed(values.clamp(max=bound)) @ Q.mT


def by_group(v: Tensor, s: float) -> Tensor:
    out = v.clone()
    for label, weight in enumerate(PARTITION["weights"]):
        members = PARTITION["groups"] == label
        out[:, members] = on_ball(v[:, members], 1.2 * float(weight))
    return out


CONJUGATE_MAPS = {
    "l1": lambda v, s: clip(v, W),
    "nonnegative_l1": lambda v, s: torch.minimum(v, W),
    "squared_l2": lambda v, s: v * W / (W + s),
    "elastic_net": lambda v, s: torch.where(v.abs() <= W, v, v.sign() * (POSITIVE * v.abs() + s * W) / (POSITIVE + s)),
    "l2_norm": lambda v, s: on_ball(v, 0.7),
    "group_l2": by_group,
    "absolute_error": lambda v, s: clip(v - s * B, W),
    "quantile_loss": lambda v, s: torch.maximum(torch.minimum(v - s * B, 0.7 * W), -0.3 * W),
    "squared_error": lambda v, s: (v - s * B) * W / (W + s),
    "huber": lambda v, s: clip((v - s * B) * W / (W + s), 0.6 * W),
    "hinge": lambda v, s: Y * torch.maximum((Y * v - s).clamp(max=0), -W),
    "squared_hinge": lambda v, s: Y * ((Y * v - s) * W / (W + s)).clamp(max=0),
    "negative_log": lambda v, s: 0.5 * (v - (v.square() + 4 * s * POSITIVE).sqrt()),
    "nuclear_norm": lambda v, s: clipped_singular_values(v, 1.1),
    "frobenius_norm": lambda v, s: on_ball(v, 1.1, (-2, -1)),
    "psd_trace": lambda v, s: clipped_eigenvalues(v, 0.6),
}


@pytest.mark.parametrize("name", CONJUGATE_MAPS)
def test_moreau_s_identity_gives_the_map_of_the_conjugate_in_closed_form(name):
    case = CASES[name]
    v = case.points(8)
    for step in (0.2, 3.0):
        expected = CONJUGATE_MAPS[name](v, step)
        found = prox_conjugate(case.prox, v, step, dimensions=len(case.shape))
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        steps = torch.full(v.shape[:1], step, dtype=v.dtype)
        torch.testing.assert_close(prox_conjugate(case.prox, v, steps, dimensions=len(case.shape)), found)
