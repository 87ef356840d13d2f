"""Which file system a folder lies on, and whether it is a network disk."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

MOUNTS = Path("/proc/self/mountinfo")
NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
        "ocfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "wekafs",
        "fuse.beegfs", "fuse.ceph", "fuse.cephfs", "fuse.curlftpfs", "fuse.davfs", "fuse.gcsfuse", "fuse.glusterfs",
        "fuse.juicefs", "fuse.mfs", "fuse.rclone", "fuse.s3fs", "fuse.seaweedfs", "fuse.smbnetfs", "fuse.sshfs",
    }
)  # fmt: skip


def network_disk(path: Path | str) -> str | None:
    """The type of the network file system that ``path`` lies on, ``None`` on a local or unknown one.

    SQLite relies on locks and flushes that network disks do not always honour; a caller warns, with this name.
    ``path`` need not exist yet.
    """
    try:
        text = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # no such table on this operating system
        return None
    kind = file_system(Path(path).resolve(), text)
    return kind if kind in NETWORK else None


def file_system(path: PurePath, mountinfo: str) -> str | None:
    r"""The file-system type at absolute ``path`` by a mount table in the format of ``/proc/self/mountinfo``.

    The deepest mount point above the path counts, and the last of several mounts on one point, which covers the
    others. Lines that cannot be read are passed over.

    Example:
        >>> table = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:2 / /srv rw shared:1 - nfs4 host:/srv rw"
        >>> file_system(PurePath("/srv/ann/runs"), table), file_system(PurePath("/var"), table)
        ('nfs4', 'ext4')

    References:
        proc_pid_mountinfo(5): optional fields end at a single hyphen; blanks are written as octal escapes.
    """
    kind, depth = None, 0
    for line in mountinfo.splitlines():
        mount, hyphen, source = line.partition(" - ")
        fields = mount.split(" ")
        if not hyphen or len(fields) < 6:
            continue
        point = PurePath(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4]))
        if path.is_relative_to(point) and len(point.parts) >= depth:
            kind, depth = source.split(" ")[0], len(point.parts)
    return kind
