"""How a folder is taken: found or made, locked, and checked to hold what the caller means."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optwise.core.errors import BadFolder, RunFailed
from optwise.store.database import connect, transaction
from optwise.store.differences import differences, folder_part
from optwise.store.locking import FolderLock
from optwise.store.records import from_json, to_json

DATABASE = "study.db"


def take(path: Path, *, create: bool) -> tuple[FolderLock, sqlite3.Connection]:
    """Lock the folder and open its database; with ``create``, make what is not there.

    Raises:
        BadFolder: It is a file, not there, not writable, in use, or its ``study.db`` is not ours.
    """
    try:
        _prepare(path, create=create)
    except OSError as error:
        raise BadFolder(f"{path} cannot be written ({error.strerror}); choose another --out.") from error
    lock = FolderLock.acquire(path)
    try:
        return lock, connect(path / DATABASE)
    except BaseException:
        lock.release()
        raise


def look_for(path: Path) -> Path:
    """The database of a folder that is there.

    Raises:
        BadFolder: It is a file, or holds none.
    """
    if path.exists() and not path.is_dir():
        raise BadFolder(f"{path} is a file, not a folder; give the folder that `optwise compare` wrote.")
    if not (path / DATABASE).exists():
        raise BadFolder(f"{path} holds no {DATABASE}; give the folder that `optwise compare` wrote.")
    return path / DATABASE


def _prepare(path: Path, *, create: bool) -> None:
    database = path / DATABASE
    if create and path.exists() and not path.is_dir():
        raise BadFolder(f"{path} is a file, not a folder; choose another --out.")
    if not create:
        look_for(path)
    path.mkdir(parents=True, exist_ok=True)
    if database.exists() and not os.access(database, os.R_OK | os.W_OK):
        raise BadFolder(f"{database} is read-only; choose another --out, or make it writable.")


def claim(connection: sqlite3.Connection, path: Path, *, folder_hash: str, protocol: Mapping[str, Any]) -> None:
    """Say what a new folder is about, or check that an old one is about the same.

    Raises:
        BadFolder: It holds another protocol; the text names the parts that differ.
    """
    part = from_json(to_json(folder_part(protocol)))
    meta = read_meta(connection)
    if not meta:
        rows = [("folder_hash", to_json(folder_hash)), ("folder", to_json(part))]
        try:
            with transaction(connection, path):
                connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
        except RunFailed as error:  # nothing has run yet: the caller can mend it
            raise BadFolder(f"{path} cannot be written ({error.__cause__}); choose another --out.") from error
    elif meta["folder_hash"] != folder_hash:
        hashes = f"its hash ({meta['folder_hash'][:8]} there, {folder_hash[:8]} here)"
        raise BadFolder(
            f"{path} holds another protocol: it differs in {differences(meta['folder'], part) or hashes}; "
            "choose another --out, or delete it."
        )


def read_meta(connection: sqlite3.Connection) -> dict[str, Any]:
    """What the folder says of itself; empty where its making was interrupted."""
    return {name: from_json(text) for name, text in connection.execute("SELECT name, json FROM meta")}
