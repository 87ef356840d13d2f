"""Seeds that are derived, not counted, and generators made from them."""

import hashlib
import json

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
