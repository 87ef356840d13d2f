"""One writer a folder: a lock that dies with its process."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from optwise.core.errors import BadFolder

LOCK = "study.lock"


@dataclass
class FolderLock:
    """The right to write into a folder; the kernel takes it back when the process ends, however it ends."""

    descriptor: int

    @classmethod
    def acquire(cls, folder: Path) -> FolderLock:
        """Take the lock of an existing folder, at once or not at all.

        The file ``study.lock`` stays behind when the lock is released: removing it would let two processes lock two
        files of one name.

        Raises:
            BadFolder: Another process holds it, or the file cannot be made or locked.
        """
        try:
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise BadFolder(f"{folder} cannot be written ({error.strerror}); choose another --out.") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise BadFolder(
                f"{folder} is in use by another optwise (process {holder}); wait for its end, or choose another --out."
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise BadFolder(f"{folder} cannot be locked ({error.strerror}); choose --out on a local disk.") from error
        with suppress(OSError):  # the number only serves the sentence above; a full disk must stay readable
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Give the lock back; once is enough, twice does no harm."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
