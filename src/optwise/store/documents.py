"""JSON documents on disk, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optwise.core.errors import BadFolder, RunFailed


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A temporary file beside ``path`` to write to; it takes the name ``path`` only when all of it is on disk.

    A reader sees the old file or the new one, and a kill leaves the old one.

    Raises:
        BadFolder: The place cannot be written.
        RunFailed: The disk is full.
    """
    path = Path(path)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(descriptor)
        part = Path(name)
        try:
            yield part
            part.chmod(0o666 & ~_umask())  # mkstemp makes files that only their owner reads
            with part.open("rb") as written:
                os.fsync(written.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunFailed(f"{path} could not be written: the disk is full; free some space and try again.") from error
        raise BadFolder(f"{path} cannot be written ({error.strerror}); choose another place.") from error


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_json(path: Path | str, document: Mapping[str, Any]) -> None:
    """Write ``document``, its keys in their own order: equal documents become equal bytes.

    Raises:
        ValueError: It holds a NaN or an infinity; JSON has neither, ``null`` says that there is no number.
        BadFolder, RunFailed: As :func:`replacing`.
    """
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def read_json(path: Path | str) -> dict[str, Any]:
    """Read a document back.

    Raises:
        BadFolder: The file is missing, or holds no JSON object.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFolder(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:  # broken JSON and broken UTF-8 alike
        raise BadFolder(f"{path} holds no JSON ({error}); delete it and make it again.") from error
    if not isinstance(document, dict):
        raise BadFolder(f"{path} holds a JSON {type(document).__name__}, not an object; delete it and make it again.")
    return document
