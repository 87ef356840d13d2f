"""Seeds that are derived, not counted, and generators and streams made from them."""

from __future__ import annotations

import hashlib
import json
import random
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch


def derive_seed(base: int, *parts: str | int) -> int:
    """A seed for the named part of an experiment: stable across processes, machines and versions.

    The first 63 bits of SHA-256 over ``[base, *parts]`` written as JSON, so ``("a", "bc")`` and ``("ab", "c")``, or
    ``1`` and ``"1"``, never share a seed by their spelling; Python's own ``hash`` changes from process to process.

    Args:
        base: Seed of the whole experiment.
        parts: What this seed is for, from the largest to the smallest: method, study, purpose, index.

    Example:
        >>> derive_seed(0, "adamw", 2, "search")
        6830059127696506862
    """
    written = json.dumps([base, *parts], separators=(",", ":"), ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(written.encode("ascii")).digest()[:8], "big") >> 1


def numpy_generator(seed: int) -> np.random.Generator:
    """A numpy generator of its own (PCG64, named so that no new default of numpy can replace it).

    Example:
        >>> numpy_generator(0).integers(100, size=3)
        array([85, 63, 51])
    """
    return np.random.Generator(np.random.PCG64(seed))


def torch_generator(seed: int, *, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator of its own on ``device``; the global one stays untouched.

    Example:
        >>> torch.randint(100, (3,), generator=torch_generator(0))
        tensor([44, 39, 33])
    """
    return torch.Generator(device=device).manual_seed(seed)


class Streams(AbstractContextManager[None]):
    """A seed's own run of the global random numbers of torch, numpy and Python, however often it is left and entered.

    Inside, ``torch.rand``, ``np.random.rand`` and ``random.random`` go on from where this stream stood; outside, they
    find their own state as it was.

    Example:
        >>> with Streams(3):
        ...     first = torch.rand(1).item(), np.random.rand(), random.random()
        >>> with Streams(3):
        ...     again = torch.rand(1).item(), np.random.rand(), random.random()
        >>> first == again
        True
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._own: tuple[Any, ...] = (
            torch.Generator().manual_seed(seed).get_state(),
            [torch.Generator(f"cuda:{i}").manual_seed(seed).get_state() for i in range(_cuda_devices())],
            np.random.RandomState(seed % 2**32).get_state(),
            random.Random(seed).getstate(),
        )

    def __enter__(self) -> None:
        self._outer = global_states()
        if torch.cuda.is_available() and not torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(self._seed)  # takes effect should a GPU be met for the first time inside
        _set_states(self._own)

    def __exit__(self, *_: object) -> None:
        self._own = global_states()
        _set_states(self._outer)


def global_states() -> tuple[Any, ...]:
    """Where the global random numbers of torch (CPU, GPUs), numpy and Python stand."""
    gpus = [torch.cuda.get_rng_state(i) for i in range(_cuda_devices())]
    return torch.get_rng_state(), gpus, np.random.get_state(), random.getstate()  # noqa: NPY002


def moved(before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
    """Whether any of the global streams went on between two looks at them."""
    torches = zip([before[0], *before[1]], [after[0], *after[1]], strict=False)  # a GPU may have been met in between
    numpys = zip(before[2], after[2], strict=True)
    same = all(torch.equal(a, b) for a, b in torches) and all(np.array_equal(a, b) for a, b in numpys)
    return not same or before[3] != after[3]


def _set_states(states: tuple[Any, ...]) -> None:
    own, gpus, numpys, pythons = states
    torch.set_rng_state(own)
    for i, state in enumerate(gpus):
        torch.cuda.set_rng_state(state, i)
    np.random.set_state(numpys)  # noqa: NPY002
    random.setstate(pythons)


def _cuda_devices() -> int:
    # a process that has not used a GPU so far is not made to load one
    return torch.cuda.device_count() if torch.cuda.is_initialized() else 0
