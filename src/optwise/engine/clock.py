"""The clock of steps: CPU time of this process, which another process cannot take away."""

from __future__ import annotations

import time
from collections.abc import Callable

FINE = 1e-4
"""Seconds a tick may last; some systems count CPU time in ticks of 15 ms, which is longer than a step."""

Clock = Callable[[], float]

wall_seconds: Clock = time.perf_counter
cpu_seconds: Clock = time.process_time if time.get_clock_info("process_time").resolution <= FINE else wall_seconds
"""Seconds that this process has computed, in all its threads; it stands still while another process has the core."""
