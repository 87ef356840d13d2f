"""What a network and its loss do besides computing, as a probe saw it, and what follows for running them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

RANDOM = "draws random numbers in its passes"
WRITES = "writes into its input or labels, so it is handed copies in every pass"


@dataclass(frozen=True)
class Traits:
    """How a network, its loss and its metrics behave.

    Args:
        random: Whether a pass draws from the global random numbers of torch, numpy or Python.
        writes: Whether a pass writes into what it was handed: inputs, labels, outputs, buffers while measuring.
        state: What changes through a pass beside parameters and buffers, by name.
        shared: Whether some of that is not made anew with the network: closures, global names, class attributes.
        seeded: Attributes beside parameters and buffers that differ from seed to seed.
        sees_batch: Whether an example's output depends on the others of its training batch.
        smallest_batch: Fewest examples of a training batch that it takes.
        dtype: Of the network as it is built.
        mixes: Whether it computes with constants of that type, which other types have to be brought together with.
        fixed: Why it computes in that type only; empty where it does not.
    """

    random: bool = False
    writes: bool = False
    state: tuple[str, ...] = ()
    shared: bool = False
    seeded: tuple[str, ...] = ()
    sees_batch: bool = False
    smallest_batch: int = 1
    dtype: torch.dtype = torch.float32
    mixes: bool = False
    fixed: str = ""

    @property
    def reason(self) -> str:
        """Why trials cannot share a pass, as the rest of a sentence about the module; empty where they can."""
        state = f"keeps a state of its own ({_listed(self.state)}), so every trial gets a fresh copy"
        seeded = f"draws constants beside its parameters ({_listed(self.seeded)}), so every trial gets its own"
        fixed = f"computes in {str(self.dtype).removeprefix('torch.')} only ({self.fixed})"
        found = {RANDOM: self.random, state: self.state, seeded: self.seeded, WRITES: self.writes, fixed: self.fixed}
        return "; ".join(why for why, holds in found.items() if holds)


def _listed(names: tuple[str, ...]) -> str:
    """The first names, those of parts of others left out."""
    names = tuple(n for n in names if not any(n.startswith((f"{other}.", f"{other}[")) for other in names))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
