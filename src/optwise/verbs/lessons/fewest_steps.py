"""The fewest steps over continuous settings: a grid first, then ever closer looks around each batch size's winner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optwise.numerics.quasirandom import sobol

Floats = NDArray[np.float64]
Count = Callable[[Floats, Floats, int], Floats]
"""First steps [T, B] of places [T, D] at batch sizes [B] within a number of steps, infinite for a miss."""

LOOKS = 16
"""New places of one batch size in a round, for one coordinate; three times as many for two."""
MISSED = 12
"""How many times as many places a batch size that no place has met yet is looked for at."""
CENTRES = 6
"""Places around which the next ones lie: the best, and those that come after."""
ALIKE = 1.01
"""Share of the fewest steps within which places count as good: the next look covers all of them."""
CLOSE = 0.06
"""How finely places lie, in units of a logarithm, when a batch size that no longer falls is settled."""
LATER = 2
"""Rounds without a fall after which it is settled, however finely its places lie: many are alike."""
ROUNDS = 12
TOGETHER = 4.0
"""Ratio of the fewest steps of batch sizes that are looked at together, each of them within the most of these."""
DOWN = 5.0
"""How far below the next larger batch size's good places those of one that no place has met are looked for."""


@dataclass(frozen=True)
class Looked:
    """Places and what was counted there.

    Args:
        places: Coordinates, of which a unit is a factor of e [T, D].
        steps: First steps at each batch size [T, B], infinite for a miss or where there was no need to count on.
        gaps: How far a place lies from its neighbours [T, D].
    """

    places: Floats
    steps: Floats
    gaps: Floats


@dataclass(frozen=True)
class Range:
    """What is looked through.

    Args:
        sizes: Batch sizes, rising [B].
        most: Steps at most.
        ends: Least and largest coordinates [2, D].
        scan: Places over the range of the grid, and up to the upper end, at which batch sizes whose steps are of one
            order are looked at first.
    """

    sizes: Floats
    most: int
    ends: Floats
    scan: int


def fewest_steps(count: Count, grid: Looked, searched: Range) -> Looked:
    """The fewest steps at each batch size, to about a percent of those over all places.

    After a scan of the range, the box around the good places of a batch size, one gap wider on each side, is filled
    with new places, half of them close to the best. This is repeated until steps no longer fall. A batch size that no
    place has met is looked for below the good places of the next larger one, the largest in all of the range.

    Args:
        count: Looks places up.
        grid: Where to begin.
        searched: What is looked through.

    Returns:
        The best place of each batch size that has one, looked up at every batch size.
    """
    search = _Search(count, grid, searched)
    for _ in range(ROUNDS):
        if not search.looked_closer():
            break
    return search.winners()


class _Search:
    def __init__(self, count: Count, grid: Looked, searched: Range) -> None:
        self.count, self.places, self.steps, self.gaps = count, grid.places, grid.steps, grid.gaps
        self.sizes, self.most, self.ends, self.scan = searched.sizes, searched.most, searched.ends, searched.scan
        B, D = len(self.sizes), grid.places.shape[1]
        self.looks = LOOKS if D == 1 else 3 * LOOKS
        self.fine = np.full((B, D), np.inf)  # of the last look
        self.idle = np.zeros(B, dtype=int)
        self.radius = np.full((B, D), np.inf)
        self.settled = np.zeros(B, dtype=bool)
        self.round = 0
        self.scanned = np.stack([np.maximum((grid.places - grid.gaps).min(0), self.ends[0]), self.ends[1]])

    def looked_closer(self) -> bool:
        """One round; whether there was anything to look at."""
        best = self.steps.min(0)
        self.settled |= best <= 1
        boxes = {int(j): box for j in np.flatnonzero(~self.settled) if (box := self._box(int(j), best)) is not None}
        if not boxes:
            return False
        self.round += 1
        for group in _groups(best, list(boxes)):
            own = [self._filled(j, boxes[j], best) for j in group]
            if self.round == 1 and np.isfinite(best[group]).all():
                own.append(self._scan())
            places = np.concatenate(own)
            finite = best[group][np.isfinite(best[group])]
            # what needs as many steps as the best is of no use
            within = self.most if finite.size < len(group) else int(finite.max()) - 1
            steps = np.full((len(places), len(self.sizes)), np.inf)
            steps[:, group] = self.count(places, self.sizes[group], within)
            self.places, self.steps = np.concatenate([self.places, places]), np.concatenate([self.steps, steps])
            fine = [*self.fine[group], (self.scanned[1] - self.scanned[0]) / self.scan][: len(own)]
            gaps = [np.broadcast_to(each, added.shape) for each, added in zip(fine, own, strict=True)]
            self.gaps = np.concatenate([self.gaps, *gaps])
        self._settle(best, list(boxes))
        return True

    def _box(self, j: int, best: Floats) -> Floats | None:
        """Where the next places of a batch size are to lie [2, D]; ``None`` where nothing says where."""
        last = len(best) - 1
        box: Floats
        if np.isfinite(best[j]):
            good = np.flatnonzero(self.steps[:, j] <= ALIKE * best[j])
            room = np.minimum(self.gaps[good], self.fine[j])
            box = np.stack([(self.places[good] - room).min(0), (self.places[good] + room).max(0)])
        elif j == last:
            box = self.ends
        elif np.isfinite(best[j + 1]):
            good = np.flatnonzero(self.steps[:, j + 1] <= ALIKE * best[j + 1])
            box = np.stack([self.places[good].min(0) - DOWN, self.places[good].max(0) + 0.5])
        else:
            # what the next larger one cannot do, this one cannot
            self.settled[j] = self.settled[j + 1]
            return None
        inside: Floats = np.clip(box, *self.ends)
        return inside

    def _scan(self) -> Floats:
        """Places over the whole range that the grid covers, and up to its upper end."""
        wide = self.scanned[1] - self.scanned[0]
        places: Floats = self.scanned[0] + sobol(self.scan, len(wide), seed=0) * wide
        return places

    def _filled(self, j: int, box: Floats, best: Floats) -> Floats:
        """New places in a box, half of them close to the best place."""
        wide, D = box[1] - box[0], box.shape[1]
        looks = self.looks if np.isfinite(best[j]) else MISSED * self.looks
        cube = sobol(looks, D, seed=self.round)
        self.fine[j] = wide / looks ** (1 / D)
        filled: Floats = box[0] + cube * wide
        if np.isinf(best[j]):
            return filled
        centre = self._centres(j, best, self.looks - self.looks // 2)
        self.radius[j] = np.minimum(self.radius[j] / 2 if self.idle[j] else self.radius[j], 2 * self.fine[j])
        half = self.looks // 2
        near = centre + (2 * cube[half:] - 1) * self.radius[j]
        inside: Floats = np.clip(np.concatenate([filled[:half], near]), *self.ends)
        return inside

    def _centres(self, j: int, best: Floats, count: int) -> Floats:
        """Places that others are to lie close to: the best, some that come after, and between its neighbours' best."""
        good = int((self.steps[:, j] <= ALIKE * best[j]).sum()) + CENTRES
        ranked = np.argsort(self.steps[:, j], kind="stable")[:good]
        ranked = ranked[np.isfinite(self.steps[ranked, j])]
        centres: Floats = self.places[ranked[np.linspace(0, len(ranked) - 1, count).astype(int)]]
        own = {i: self.places[self._middle(i, best)] for i in range(j - 1, j + 3) if self._met(i, best)}
        if {j - 1, j + 1} <= own.keys():
            centres[:: max(4, count // 6)] = (own[j - 1] + own[j + 1]) / 2
        elif {j + 1, j + 2} <= own.keys():
            centres[:: max(4, count // 6)] = 2 * own[j + 1] - own[j + 2]
        return centres

    def _met(self, j: int, best: Floats) -> bool:
        return 0 <= j < len(best) and bool(np.isfinite(best[j]))

    def _settle(self, before: Floats, looked: list[int]) -> None:
        best = self.steps.min(0)
        for j in looked:
            if np.isinf(best[j]):
                self.settled[j] = True
                continue
            falls = best[j] < (1 - 0.3 * (ALIKE - 1)) * before[j]
            self.idle[j] = 0 if falls else self.idle[j] + 1
            close = bool(np.all(self.fine[j] <= CLOSE)) and self.places.shape[1] == 1
            self.settled[j] = self.idle[j] >= (1 if close else LATER)

    def winners(self) -> Looked:
        """The best place of each batch size, all of them looked up at all batch sizes."""
        best = self.steps.min(0)
        own = [self._middle(j, best) for j in range(len(best)) if np.isfinite(best[j])]
        rows = np.array(list(dict.fromkeys(own)), dtype=int)
        steps = self.count(self.places[rows], self.sizes, self.most) if rows.size else self.steps[:0]
        return Looked(self.places[rows], steps, self.gaps[rows])

    def _middle(self, j: int, best: Floats) -> int:
        """Of equals those with the largest last coordinate, and of these the one in the middle of the first."""
        equal = np.flatnonzero(self.steps[:, j] == best[j])
        if self.places.shape[1] > 1:
            last = self.places[equal, -1]
            equal = equal[last >= last.max() - 1e-9]
        return int(equal[np.argsort(self.places[equal, 0], kind="stable")[len(equal) // 2]])


def _groups(best: Floats, chosen: list[int]) -> list[list[int]]:
    """Batch sizes whose fewest steps are of one order; those without any by themselves."""
    groups: list[list[int]] = []
    for j in sorted(chosen, key=lambda j: -best[j]):
        first = best[groups[-1][0]] if groups else np.nan
        if groups and (first == best[j] or first <= TOGETHER * best[j]):
            groups[-1].append(j)
        else:
            groups.append([j])
    return groups
