"""How much memory there is, and how much of it is free: the machine's, or less by its control group."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def total_bytes(root: Path = Path("/")) -> int:
    """Memory that this process and all others together may use: that of the machine, or less by its control group.

    What is already in use is not subtracted. Control groups of both versions are read, with those around them.
    Where the system does not tell (Windows), the answer is ``sys.maxsize``, so that nothing is refused.

    Args:
        root: Where ``proc`` and ``sys`` lie.

    Example:
        >>> total_bytes() >= 2**28
        True

    References:
        Linux kernel documentation, Control Group v2, section Memory: memory.max.
    """
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        physical = sys.maxsize
    return min([physical, *_group_limits(root)])


def free_bytes() -> int:
    """Memory that new work may use: the kernel's own estimate, or less by what the control group has left.

    Where the system does not tell, the answer is 2 GiB.

    Example:
        >>> free_bytes() <= total_bytes()
        True

    References:
        Linux kernel documentation, The /proc Filesystem, section meminfo: MemAvailable.
    """
    limits = []
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        limits.append(int(fields["MemAvailable"].split()[0]) * 1024)
    group = Path("/sys/fs/cgroup/memory.max")
    if group.exists() and group.read_text().strip().isdigit():
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        limits.append(max(0, int(group.read_text()) - used))
    return min(limits, default=2**31)


def _group_limits(root: Path) -> list[int]:
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        mount, name = ("memory", "memory.limit_in_bytes") if controllers else ("", "memory.max")
        group = Path(path.lstrip("/"))
        for folder in (group, *group.parents):  # a limit of an outer group holds inside
            try:
                written = (root / "sys/fs/cgroup" / mount / folder / name).read_text(encoding="ascii").strip()
            except OSError:
                continue
            if written.isdecimal():  # "max" is no limit
                limits.append(int(written))
    return limits
