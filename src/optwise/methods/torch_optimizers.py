"""Any ``torch.optim.Optimizer`` class, a user's own included, run unmodified and alone."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self, final

import torch
from torch.nn import Parameter

from optwise.core.errors import BadMethod
from optwise.core.hyperparameters import admitted
from optwise.core.layout import Leaves
from optwise.core.method import Oracles, Procedure
from optwise.core.schedule import Schedule
from optwise.core.space import LogUniform
from optwise.methods.ranges import NONNEGATIVE


@final
@dataclass(frozen=True, init=False)
class Torch(Procedure):
    """A ``torch.optim.Optimizer`` class with its hyperparameters, open or closed.

    A bare class is open in ``lr`` alone, over its default times 1e-2 to 1e2: a *borrowed space*, since nobody chose it
    for this class. As soon as a hyperparameter is given, ``lr`` takes the class's default unless given too.

    Each step sees one batch. The gradient is there before ``step`` is called, as in an ordinary loop; a closure is
    handed to a ``step`` that takes one, and evaluates the same batch again wherever the optimizer moves the parameters
    to (L-BFGS, SAM). A schedule rescales ``lr`` of every parameter group; while its factor stays the same the groups
    are left alone, so that an optimizer may adapt them itself. ``train()`` and ``eval()``, where the optimizer has
    them (schedule-free ones do), are called before a step and before its parameters are read.

    Args:
        optimizer: The class, whose first argument is the parameters.
        name: Label; ``None`` takes the name of the class in lower case.
        schedule: Factor on ``lr`` over the steps.
        hyperparameters: Arguments of the class, numbers or distributions, where their names collide with those above.
        **more: Arguments of the class, as anybody would write them.

    Raises:
        BadMethod: No optimizer class, a hyperparameter that it does not take, or one that it needs and that is missing.

    Example:
        >>> Torch(torch.optim.Adam).space.fields
        {'lr': LogUniform(low=1e-05, high=0.1)}
        >>> Torch(torch.optim.SGD, momentum=0.9).hyperparameters
        {'lr': 0.001, 'momentum': 0.9}
    """

    optimizer: type[torch.optim.Optimizer]
    hyperparameters: Mapping[str, Any]

    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": NONNEGATIVE}

    def __init__(
        self,
        optimizer: type[torch.optim.Optimizer],
        *,
        name: str | None = None,
        schedule: Schedule | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        if not (isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer)):
            raise BadMethod(
                f"Torch was given {optimizer!r}, which is no class of optimizers; "
                "give a subclass of torch.optim.Optimizer, not an instance."
            )
        given = {**(hyperparameters or {}), **more}
        _refuse_unknown(optimizer, given)
        shipped = _shipped_lr(optimizer)
        if shipped is not None:
            given = {"lr": given.pop("lr", shipped if given else _borrowed(shipped)), **given}
        _refuse_missing(optimizer, given)
        given = {name: _admitted(optimizer, name, value) for name, value in given.items()}
        fields = {"optimizer": optimizer, "hyperparameters": given, "name": name, "schedule": schedule}
        for field, value in fields.items():
            object.__setattr__(self, field, value)
        self.__post_init__()

    @property
    def label(self) -> str:
        return self.name or self.optimizer.__name__.lower()

    @property
    def borrowed_space(self) -> bool:
        """Whether the range of ``lr`` is derived from its default rather than chosen for this class."""
        shipped = _shipped_lr(self.optimizer)
        return shipped is not None and bool(self.hyperparameters["lr"] == _borrowed(shipped))

    def at_defaults(self) -> Self:
        """Defaults of the class and no schedule; what has no default keeps its value, or the middle of its range."""
        middle = self.close(self.space.point((0.5,) * self.space.dimensions))
        shipped = {n: p.default for n, p in _parameters(self.optimizer).items() if p.default is not p.empty}
        if _shipped_lr(self.optimizer) is None:
            shipped.pop("lr", None)
        closed = {n: shipped.get(n, v) for n, v in middle.hyperparameters.items()}
        return replace(middle, hyperparameters=closed, schedule=None)

    def describe(self) -> dict[str, Any]:
        """As every method; a class that torch does not ship carries a digest of its file, since a user edits it."""
        description = super().describe()
        file = _source_file(self.optimizer)
        if file is not None:
            description["file_digest"] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        return description

    def iterate(self, oracles: Oracles, w: Leaves) -> Iterator[tuple[Leaves, Mapping[str, float]]]:
        self.require_closed()
        parameters = {name: Parameter(leaf.detach().clone()) for name, leaf in w.items()}
        optimizer = self.optimizer(list(parameters.values()), **self.hyperparameters)
        base = [group.get("lr", math.nan) for group in optimizer.param_groups]
        takes_closure = "closure" in inspect.signature(optimizer.step).parameters
        to_training, to_evaluation = (_mode(optimizer, mode) for mode in ("train", "eval"))
        factor = 1.0
        while True:
            to_training()
            if oracles.factor != factor:
                factor = oracles.factor
                _rescale(optimizer, base, factor)
            batch = _Batch(oracles, parameters)
            if takes_closure:
                optimizer.step(batch.closure)
            else:
                optimizer.step()
            to_evaluation()
            yield _values(parameters), {"loss": float(batch.loss)}


class _Batch:
    """One step's batch: the gradient at its start, and again wherever the closure is asked for it."""

    def __init__(self, oracles: Oracles, parameters: Mapping[str, Parameter]) -> None:
        self.oracles = oracles
        self.parameters = parameters
        self.start: Leaves | None = _values(parameters)
        self.loss, self.gradient = oracles.value_and_gradient(self.start)
        self._hand_over(self.gradient)

    def closure(self) -> Any:  # a 0-d Tensor, which torch accepts and annotates as a float
        """Loss at the parameters of now, with gradients set; asked first and unmoved, it costs nothing new.

        Then gradients stay what the class has made of them, as in a loop that calls ``backward`` before ``step``: one
        that takes their signs first and leaves the rest to the class it derives from takes the steps that it says.
        Where it set them to nothing, they are handed over again.
        """
        start, self.start = self.start, None
        if start is not None and all(torch.equal(start[n], p.detach()) for n, p in self.parameters.items()):
            if not any(p.grad is not None and bool(p.grad.any()) for p in self.parameters.values()):
                self._hand_over(self.gradient)
            return self.loss
        loss, gradient = self.oracles.value_and_gradient(_values(self.parameters))
        self._hand_over(gradient)
        return loss

    def _hand_over(self, gradient: Leaves) -> None:
        for name, parameter in self.parameters.items():
            parameter.grad = gradient[name].detach()


def _source_file(optimizer: type) -> Path | None:
    """The file that a class of the user's was written in; ``None`` for torch's own and for a notebook's."""
    try:
        file = None if optimizer.__module__.startswith("torch.") else inspect.getsourcefile(optimizer)
    except (TypeError, OSError):
        return None
    return Path(file) if file is not None and Path(file).exists() else None


def _values(parameters: Mapping[str, Parameter]) -> Leaves:
    return {name: parameter.detach().clone() for name, parameter in parameters.items()}


def _rescale(optimizer: torch.optim.Optimizer, base: list[Any], factor: float) -> None:
    for group, lr in zip(optimizer.param_groups, base, strict=True):
        if "lr" not in group:
            raise BadMethod(
                f"{type(optimizer).__name__} keeps no lr in its parameter groups, which a schedule acts on; "
                "hand it to the defaults of torch.optim.Optimizer, or use Constant()."
            )
        group["lr"] = lr * factor


def _mode(optimizer: torch.optim.Optimizer, mode: str) -> Callable[[], Any]:
    # a user's class declares nothing to us; these two names are the convention of schedule-free optimizers
    switch = getattr(optimizer, mode, None)
    return switch if callable(switch) else lambda: None


def _parameters(optimizer: type[torch.optim.Optimizer]) -> dict[str, inspect.Parameter]:
    """What the class takes after the model's parameters."""
    return dict(list(inspect.signature(optimizer).parameters.items())[1:])


def _refuse_unknown(optimizer: type[torch.optim.Optimizer], given: Mapping[str, Any]) -> None:
    known = _parameters(optimizer)
    if any(p.kind is p.VAR_KEYWORD for p in known.values()):
        return
    if "lr" not in known:
        raise BadMethod(f"{optimizer.__name__} takes no lr, which searches and schedules act on; give it one.")
    for name in given:
        if name not in known:
            raise BadMethod(f"{optimizer.__name__} takes no hyperparameter {name!r}; it takes {', '.join(known)}.")


def _admitted(optimizer: type[torch.optim.Optimizer], name: str, value: Any) -> Any:
    """A hyperparameter of the kind of the class's own default; ``None`` too, which many classes read as *off*."""
    parameter = _parameters(optimizer).get(name)
    known = parameter is not None and parameter.default is not parameter.empty
    shipped = parameter.default if parameter is not None and known else 1.0 if name == "lr" else None
    if value is None and name != "lr":
        return value
    if isinstance(shipped, torch.Tensor):
        shipped = 1.0
    return admitted(f"{optimizer.__name__}.{name}", value, shipped)


def _refuse_missing(optimizer: type[torch.optim.Optimizer], given: Mapping[str, Any]) -> None:
    required = [n for n, p in _parameters(optimizer).items() if p.default is p.empty and p.kind in _BY_NAME]
    for name in dict.fromkeys(["lr", *required]):
        if name not in given:
            raise BadMethod(
                f"{optimizer.__name__} has no default for {name}; give a number, `Torch({optimizer.__name__}, "
                f"{name}=0.1)`, or a range, `Torch({optimizer.__name__}, {name}=LogUniform(0.001, 1.0))`."
            )


_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _shipped_lr(optimizer: type[torch.optim.Optimizer]) -> float | None:
    """The class's default ``lr``, where it has one that a range can be built on."""
    parameter = _parameters(optimizer).get("lr")
    usable = parameter is not None and isinstance(parameter.default, int | float) and 0 < parameter.default < math.inf
    return float(parameter.default) if parameter is not None and usable else None


def _borrowed(lr: float) -> LogUniform:
    # a short decimal: 0.001 * 100 would print as 0.09999999999999999
    return LogUniform(float(f"{lr * 1e-2:.12g}"), float(f"{lr * 1e2:.12g}"))
