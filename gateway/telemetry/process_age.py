"""Age of this process, logged as the start-up time."""

import os
import time
from pathlib import Path


def process_age_seconds() -> float | None:
    """Seconds since this process began, to a hundredth; None where the kernel is not Linux.

    Source: proc(5), field 22 of `/proc/self/stat`, in ticks since the machine started.
    """
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began
