"""The folder of a comparison: what was planned, what was run, and what was looked at."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from optwise.core.errors import BadFolder, RunFailed
from optwise.core.layout import Leaves
from optwise.core.run import Phase, Run
from optwise.core.spending import Spending
from optwise.core.status import Status
from optwise.store.database import look, transaction
from optwise.store.frames import measurement_frame
from optwise.store.locking import FolderLock
from optwise.store.opening import claim, look_for, read_meta, take
from optwise.store.records import (
    Chunk,
    Curves,
    StoredRun,
    Trial,
    curve_rows,
    from_json,
    read_curve,
    read_spending,
    read_trial,
    spending_row,
    to_json,
    trial_row,
)
from optwise.store.tensors import pack_leaves, unpack_leaves

if TYPE_CHECKING:
    import pandas as pd

_TRIALS = "SELECT trials.*, best_weights.step AS best_step FROM trials LEFT JOIN best_weights USING (key)"
_RETRIED = to_json([status.name for status in Status if status.retried])


class Folder:
    """Runs on disk, in ``study.db``; the process that opened it is the only one that reads or writes it.

    Make one with :meth:`open` or :meth:`existing`, as a context manager or with :meth:`close`. What a method of this
    class has written when it returns survives a kill and a power cut; what it had not is as if it had never begun.
    """

    def __init__(self, path: Path, lock: FolderLock | None, connection: sqlite3.Connection) -> None:
        self.path = path
        self._lock = lock
        self._connection = connection
        self._connection.row_factory = sqlite3.Row

    @classmethod
    def open(cls, path: Path | str, *, folder_hash: str, protocol: Mapping[str, Any], create: bool = True) -> Self:
        """Open the folder for a protocol; make it where it does not exist.

        Args:
            path: The folder; other files in it are left alone.
            folder_hash: What the folder must be about.
            protocol: The protocol as plain JSON, by the names of its fields; the parts under the folder hash are kept,
                to say later in what another protocol differs.
            create: Whether to make a folder that is not there.

        Raises:
            BadFolder: It is a file, cannot be written, is in use, holds something else or another protocol.
        """
        folder = cls(Path(path), *take(Path(path), create=create))
        try:
            claim(folder._connection, folder.path, folder_hash=folder_hash, protocol=protocol)
        except BaseException:
            folder.close()
            raise
        return folder

    @classmethod
    def existing(cls, path: Path | str) -> Self:
        """Open a folder that is there, whatever its protocol: to report, score or export it.

        Raises:
            BadFolder: There is none, or as :meth:`open`.
        """
        folder = cls(Path(path), *take(Path(path), create=False))
        if not read_meta(folder._connection):
            folder.close()
            raise BadFolder(f"{path} holds no comparison yet; run `optwise compare` with this --out first.")
        return folder

    @classmethod
    def reading(cls, path: Path | str) -> Self:
        """Open a folder that is there to look at what it holds, also while another process works in it.

        Nothing is written, so that a folder that may not be written can be read; only what a killed process left
        half-written is put right first, by opening the folder as :meth:`existing` does.

        Raises:
            BadFolder: There is none, or its ``study.db`` is not ours.
        """
        database = look_for(Path(path))
        try:
            folder = cls(Path(path), None, look(database))
        except sqlite3.OperationalError:
            return cls.existing(path)
        if not read_meta(folder._connection):
            folder.close()
            raise BadFolder(f"{path} holds no comparison yet; run `optwise compare` with this --out first.")
        return folder

    def close(self) -> None:
        """Let another process have the folder."""
        self._connection.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def folder_hash(self) -> str:
        """What the folder is about."""
        return str(read_meta(self._connection)["folder_hash"])

    def pledge(self, name: str, value: Any) -> Any:
        """Put on record what is said before the first trial; later words change nothing.

        Returns:
            What was said under ``name`` before any trial was stored; ``None`` where nothing was.
        """
        with self._transaction():
            self._connection.execute(
                "INSERT OR IGNORE INTO meta SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM trials)", (name, to_json(value))
            )
        return read_meta(self._connection).get(name)

    def record_protocol(self, protocol_hash: str, document: Mapping[str, Any]) -> None:
        """Note that a protocol was asked of this folder; one that was asked before becomes the latest."""
        row = (protocol_hash, to_json(document), _now())
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO protocols VALUES (?, ?, ?)", row)

    def protocols(self) -> dict[str, dict[str, Any]]:
        """Hash to document of every protocol that was asked, the latest last."""
        rows = self._connection.execute("SELECT hash, json FROM protocols ORDER BY rowid")
        return {row["hash"]: from_json(row["json"]) for row in rows}

    def commit_plan(self, plans: Mapping[tuple[str, str], Mapping[str, Any]], chunks: Sequence[Chunk] = ()) -> None:
        """Add to the execution plan, all or nothing: it is committed before the trials it is about.

        Args:
            plans: ``(problem, method)`` to how its trials are run.
            chunks: Which trials share a pass.

        Raises:
            ValueError: A part that is committed already would change.
        """
        known = {chunk.id: chunk for chunk in self.chunks()}
        changed = [
            *(pair for pair, plan in self.plans().items() if pair in plans and from_json(to_json(plans[pair])) != plan),
            *(chunk.id for chunk in chunks if known.get(chunk.id, chunk) != chunk),
        ]
        if changed:
            raise ValueError(f"the plan of {changed[0]} is committed and cannot change")
        plan_rows = [(*pair, to_json(plan)) for pair, plan in plans.items()]
        chunk_rows = [(chunk.id, chunk.to_json()) for chunk in chunks]
        with self._transaction():
            self._connection.executemany("INSERT OR IGNORE INTO plans VALUES (?, ?, ?)", plan_rows)
            self._connection.executemany("INSERT OR IGNORE INTO chunks VALUES (?, ?)", chunk_rows)

    def plans(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The committed plan of each ``(problem, method)``."""
        rows = self._connection.execute("SELECT problem, method, json FROM plans ORDER BY rowid")
        return {(row["problem"], row["method"]): from_json(row["json"]) for row in rows}

    def record_timings(self, timings: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
        """Note how long steps take; what was noted before of the same ``(problem, method)`` is replaced."""
        rows = [(*pair, to_json(timing)) for pair, timing in timings.items()]
        with self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO timings VALUES (?, ?, ?)", rows)

    def timings(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The last timing of each ``(problem, method)``."""
        rows = self._connection.execute("SELECT problem, method, json FROM timings ORDER BY rowid")
        return {(row["problem"], row["method"]): from_json(row["json"]) for row in rows}

    def chunks(self) -> tuple[Chunk, ...]:
        """The planned chunks, in the order of their commit."""
        rows = self._connection.execute("SELECT id, json FROM chunks ORDER BY rowid")
        return tuple(Chunk.from_json(row["id"], row["json"]) for row in rows)

    def copy_plan_from(self, path: Path | str) -> None:
        """Take over the execution plan of another folder, so that the same trials run in the same company.

        Raises:
            BadFolder: The other folder cannot be opened, or is about something else.
        """
        with Folder.existing(path) as other:
            if other.folder_hash != self.folder_hash:
                raise BadFolder(f"{path} holds another protocol than {self.path}; its plan does not fit.")
            self.commit_plan(other.plans(), other.chunks())
            self.record_timings(other.timings())

    def commit_chunk(self, chunk_id: str, runs: Sequence[StoredRun]) -> None:
        """Store the runs of one chunk, all or nothing.

        A run whose key is stored and done stays as it was; one that crashed, ran out of memory or was interrupted is
        replaced. Curves of the test split are sealed.

        Raises:
            RunFailed: The disk is full or does not answer; what was committed before stays readable.
        """
        with self._transaction():
            for stored in runs:
                self._connection.execute(
                    "DELETE FROM trials WHERE key = ? AND status IN (SELECT value FROM json_each(?))",
                    (stored.key, _RETRIED),
                )
                if not self.has(stored.key):
                    self._insert(stored, chunk_id)

    def _insert(self, stored: StoredRun, chunk_id: str) -> None:
        execute = self._connection.execute
        execute(
            """INSERT INTO trials VALUES (:key, :name, :problem, :method, :study, :idx, :confirm, :phase, :seed,
            :status, :point_json, :method_json, :counts_json, :execution_json, :findings_json, :certificate_json,
            :seconds, :evaluation_seconds, :infeasible, :traceback, :chunk)""",
            trial_row(stored, chunk_id),
        )
        for sealed, *row in curve_rows(stored.run.measurements):
            execute(f"INSERT INTO {'sealed' if sealed else 'curves'} VALUES (?, ?, ?, ?)", (stored.key, *row))  # noqa: S608 - two literals
        if stored.run.weights is not None:
            execute("INSERT INTO weights VALUES (?, ?, ?)", (stored.key, *pack_leaves(stored.run.weights.load())))
        if stored.run.spending.steps:
            execute("INSERT INTO spending VALUES (?, ?, ?, ?)", (stored.key, *spending_row(stored.run.spending)))
        if stored.run.best_step is not None:
            execute("INSERT INTO best_weights VALUES (?, ?, ?, ?)", (stored.key, *_best_row(stored.run)))

    def has(self, key: str) -> bool:
        """Whether a trial is stored, done or to be retried."""
        return self._connection.execute("SELECT 1 FROM trials WHERE key = ?", (key,)).fetchone() is not None

    def keys(self) -> set[str]:
        """Keys of every stored trial."""
        return {row["key"] for row in self._connection.execute("SELECT key FROM trials")}

    def done_keys(self) -> set[str]:
        """Keys of the trials that a resumed study does not run again."""
        rows = self._connection.execute(
            "SELECT key FROM trials WHERE status NOT IN (SELECT value FROM json_each(?))", (_RETRIED,)
        )
        return {row["key"] for row in rows}

    def trial(self, key: str) -> Trial:
        """One stored trial; raises :class:`KeyError` where there is none."""
        row = self._connection.execute(f"{_TRIALS} WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(f"{self.path} holds no trial with key {key}")
        curves = self._connection.execute("SELECT * FROM curves WHERE key = ? ORDER BY rowid", (key,))
        paid = self._connection.execute("SELECT * FROM spending WHERE key = ?", (key,))
        return read_trial(row, _read_curves(curves).get(key, {}), _read_spendings(paid).get(key))

    def trials(
        self,
        *,
        problem: str | None = None,
        method: str | None = None,
        phase: Phase | None = None,
        keys: Collection[str] | None = None,
    ) -> list[Trial]:
        """Stored trials, those to be retried included, ordered by address and then key, not by when they ran.

        Args:
            problem: Only of this problem; ``None`` takes all.
            method: Only of this method.
            phase: Only of this phase.
            keys: Only these. One address may hold several trials (selected under two rules, run under two versions);
                a protocol lists the keys that are its own.
        """
        rows = self._connection.execute(
            f"""{_TRIALS} WHERE problem = ifnull(?, problem) AND method = ifnull(?, method)
            AND phase = ifnull(?, phase) ORDER BY problem, method, study, confirm, idx, key""",
            (problem, method, None if phase is None else phase.value),
        ).fetchall()
        curves = _read_curves(self._connection.execute("SELECT * FROM curves ORDER BY rowid"))
        paid = _read_spendings(self._connection.execute("SELECT * FROM spending"))
        asked = [row for row in rows if keys is None or row["key"] in keys]
        return [read_trial(row, curves.get(row["key"], {}), paid.get(row["key"])) for row in asked]

    def frame(
        self, *, keys: Collection[str] | None = None, revealed: Mapping[str, Curves] | None = None
    ) -> pd.DataFrame:
        """One row a measurement: address, phase, seed, status, step, split, metric, value, and the axes.

        Args:
            keys: Only these trials.
            revealed: What :meth:`reveal` gave; without it no row is of the test split.
        """
        return measurement_frame(self.trials(keys=keys), revealed or {})

    def weights(self, key: str) -> Leaves:
        """The final weights of a trial by leaf name.

        Raises:
            RunFailed: They were not kept.
        """
        row = self._connection.execute("SELECT layout_json, bytes FROM weights WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise RunFailed(f"The weights of trial {key} were not kept; `optwise rerun` makes them again.")
        return unpack_leaves(row["layout_json"], row["bytes"])

    def best_weights(self, key: str) -> Leaves:
        """The weights of a trial at its best evaluation, by leaf name.

        Raises:
            RunFailed: They were not kept.
        """
        row = self._connection.execute("SELECT layout_json, bytes FROM best_weights WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise RunFailed(
                f"The weights of trial {key} at its best evaluation were not kept; `optwise rerun` makes them again."
            )
        return self.weights(key) if row["bytes"] is None else unpack_leaves(row["layout_json"], row["bytes"])

    def select(self, rule: str, chosen: Mapping[tuple[str, str, int], int | None]) -> None:
        """Note which point each ``(problem, method, study)`` selects under ``rule``.

        Args:
            rule: The rule in words, its target included: under another rule a study may select another point.
            chosen: Index of the point; ``None`` where no trial was feasible.
        """
        rows = [(*study, rule, index) for study, index in chosen.items()]
        with self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO selected VALUES (?, ?, ?, ?, ?)", rows)

    def selected(self, rule: str) -> dict[tuple[str, str, int], int | None]:
        """``(problem, method, study)`` to the selected point, for the studies that have selected under ``rule``."""
        rows = self._connection.execute(
            "SELECT * FROM selected WHERE rule = ? ORDER BY problem, method, study", (rule,)
        )
        return {(row["problem"], row["method"], row["study"]): row["idx"] for row in rows}

    def reveal(self, protocol_hash: str) -> dict[str, Curves]:
        """Look at the test split, and put on record that it was looked at.

        Returns:
            Key to the curves of the test split, for every stored trial that has one.
        """
        with self._transaction():
            self._connection.execute("INSERT INTO reveals VALUES (?, ?)", (_now(), protocol_hash))
        return _read_curves(self._connection.execute("SELECT * FROM sealed ORDER BY rowid"))

    def unsealed(self) -> dict[str, Curves]:
        """The curves of the test split by key, where it was looked at; of a folder where nobody looked, none."""
        return _read_curves(self._connection.execute("SELECT * FROM sealed ORDER BY rowid")) if self.reveals() else {}

    def reveals(self) -> list[tuple[str, str]]:
        """When the test split was looked at (UTC), and under which protocol's hash."""
        return [tuple(row) for row in self._connection.execute("SELECT moment, protocol FROM reveals ORDER BY rowid")]

    def _transaction(self) -> AbstractContextManager[None]:
        return transaction(self._connection, self.path)


def _read_curves(rows: Iterable[sqlite3.Row]) -> dict[str, Curves]:
    curves: dict[str, Curves] = {}
    for row in rows:
        curves.setdefault(row["key"], {})[row["metric"]] = read_curve(row["steps"], row["values"])
    return curves


def _read_spendings(rows: Iterable[sqlite3.Row]) -> dict[str, Spending]:
    return {row["key"]: read_spending(row["units_json"], row["steps"], row["amounts"]) for row in rows}


def _best_row(run: Run) -> tuple[int | None, str | None, bytes | None]:
    best = None if run.best_weights is None else pack_leaves(run.best_weights.load())
    final = None if run.weights is None else pack_leaves(run.weights.load())
    return (run.best_step, None, None) if best in (None, final) else (run.best_step, *best)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
