"""The tables of ``study.db``, how the file is opened, and how it is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optwise.core.errors import BadFolder, RunFailed

SCHEMA = 1
APPLICATION = 0x6F707477  # "optw" in ASCII: tells our files from other SQLite files

# Numbers that need not be finite are never SQLite numbers, because SQLite turns NaN into NULL. A curve is one row: two
# BLOBs of equal length, the steps as little-endian int64 and the values as little-endian float64, bit for bit what was
# measured. Columns named `json` hold JSON text; a float that is not finite is {"class": "float", "value": "nan"} there.
TABLES = (
    # What the folder is about: "folder_hash" and "folder", the part of the protocol that the hash covers.
    "CREATE TABLE meta (name TEXT PRIMARY KEY, json TEXT NOT NULL)",
    # Every protocol that was asked of this folder, the latest last.
    "CREATE TABLE protocols (hash TEXT PRIMARY KEY, json TEXT NOT NULL, last_used TEXT NOT NULL)",
    # The execution plan, committed before the first trial; rows are added, never changed.
    "CREATE TABLE plans (problem TEXT, method TEXT, json TEXT NOT NULL, PRIMARY KEY (problem, method))",
    "CREATE TABLE chunks (id TEXT PRIMARY KEY, json TEXT NOT NULL)",
    # One row a trial, by content key. `chunk` is the unit in which it was committed.
    """CREATE TABLE trials (
        key TEXT PRIMARY KEY, name TEXT NOT NULL,
        problem TEXT NOT NULL, method TEXT NOT NULL, study INTEGER NOT NULL, idx INTEGER NOT NULL,
        confirm INTEGER NOT NULL, phase TEXT NOT NULL,
        seed INTEGER NOT NULL, status TEXT NOT NULL,
        point_json TEXT NOT NULL, method_json TEXT NOT NULL, counts_json TEXT NOT NULL, execution_json TEXT NOT NULL,
        findings_json TEXT NOT NULL, certificate_json TEXT NOT NULL,
        seconds REAL, evaluation_seconds REAL, infeasible INTEGER NOT NULL, traceback TEXT NOT NULL,
        chunk TEXT NOT NULL)""",
    # Curves of the metrics that may be looked at.
    """CREATE TABLE curves (
        key TEXT NOT NULL REFERENCES trials ON DELETE CASCADE, metric TEXT NOT NULL,
        steps BLOB NOT NULL, "values" BLOB NOT NULL, PRIMARY KEY (key, metric))""",
    # Curves of the test split: the same shape, read by the act of revealing alone.
    """CREATE TABLE sealed (
        key TEXT NOT NULL REFERENCES trials ON DELETE CASCADE, metric TEXT NOT NULL,
        steps BLOB NOT NULL, "values" BLOB NOT NULL, PRIMARY KEY (key, metric))""",
    # Final weights: the raw little-endian bytes of all leaves; `layout_json` lists [name, shape, dtype] in their order.
    """CREATE TABLE weights (
        key TEXT PRIMARY KEY REFERENCES trials ON DELETE CASCADE, layout_json TEXT NOT NULL, bytes BLOB NOT NULL)""",
    # What each study chose under a rule; idx is NULL where no trial was feasible.
    """CREATE TABLE selected (
        problem TEXT, method TEXT, study INTEGER, rule TEXT, idx INTEGER,
        PRIMARY KEY (problem, method, study, rule))""",
    # When the test split was looked at, and under which protocol.
    "CREATE TABLE reveals (moment TEXT NOT NULL, protocol TEXT NOT NULL)",
)

# Tables that came later. They are made where they are missing; a folder without them is read as what it holds.
ADDED = (
    # The counters of a trial at its evaluations and its end: `steps` as little-endian int64 [n], `amounts` as
    # little-endian float64, one row of n for each unit of `units_json`.
    """CREATE TABLE IF NOT EXISTS spending (
        key TEXT PRIMARY KEY REFERENCES trials ON DELETE CASCADE,
        units_json TEXT NOT NULL, steps BLOB NOT NULL, amounts BLOB NOT NULL)""",
    # The last solo step time of each method, unlike its plan measured anew when a method is added.
    """CREATE TABLE IF NOT EXISTS timings (
        problem TEXT, method TEXT, json TEXT NOT NULL, PRIMARY KEY (problem, method))""",
    # Weights at the evaluation with the best value; `layout_json` and `bytes` are NULL where they are the final ones,
    # or where weights were too large to keep.
    """CREATE TABLE IF NOT EXISTS best_weights (
        key TEXT PRIMARY KEY REFERENCES trials ON DELETE CASCADE,
        step INTEGER NOT NULL, layout_json TEXT, bytes BLOB)""",
)

# The disk or another program stood in the way; every other operational error is a mistake of ours.
_OUTSIDE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
    }
)


def connect(path: Path) -> sqlite3.Connection:
    """Open ``study.db``, and make its tables where there are none.

    Raises:
        BadFolder: The file is not ours, has another schema, or cannot be read or made.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=60.0)
    try:
        # a rollback journal works on every file system, network disks included; FULL survives a power cut
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            _create(connection)  # a new file, or one whose making was interrupted
        _check(connection, path)
        for statement in ADDED:
            connection.execute(statement)
    except sqlite3.Error as error:
        connection.close()
        found = "cannot be opened" if _outside(error) else "is not a study of optwise"
        raise BadFolder(f"{path} {found} ({error}); choose another --out, or move the file away.") from error
    except BaseException:
        connection.close()
        raise
    return connection


def look(path: Path) -> sqlite3.Connection:
    """Open a ``study.db`` that is there for reading alone: no lock is taken and nothing is written.

    Raises:
        sqlite3.OperationalError: It cannot be read as it stands, as where a killed process left a half-written commit.
        BadFolder: The file is not ours, or has another schema.
    """
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=60.0)
    try:
        _check(connection, path)
        known = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for statement in ADDED:
            if statement.split()[5] not in known:  # an older folder has nothing there, which an empty table says too
                connection.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
    except sqlite3.DatabaseError as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise BadFolder(f"{path} is not a study of optwise ({error}); name a folder that it wrote.") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION}")
    connection.execute(f"PRAGMA user_version={SCHEMA}")
    connection.execute("COMMIT")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise BadFolder(f"{path} belongs to another program; choose another --out, or move the file away.")
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found != SCHEMA:
        raise BadFolder(
            f"{path} has storage schema {found} and this optwise reads schema {SCHEMA}; "
            "use the version that wrote it, or choose another --out."
        )


@contextmanager
def transaction(connection: sqlite3.Connection, folder: Path) -> Iterator[None]:
    """Everything inside is written, or nothing is.

    Raises:
        RunFailed: The disk is full or does not answer; what was committed before stays readable.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:  # SQLite rolls back by itself after some errors
            connection.execute("ROLLBACK")
        if _outside(error):
            raise RunFailed(
                f"{folder} could not take the last results ({error}); what was committed before stays readable: "
                "free some space there and run the same command again."
            ) from error
        raise


def _outside(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF in _OUTSIDE
