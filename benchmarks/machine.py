"""What a run ran on."""

import os
import platform
import re
from pathlib import Path

from benchmarks.effort import Cores


def describe(cores: Cores) -> dict[str, str]:
    """Return what somebody would have to have to get the same numbers."""
    others = ", ".join(map(str, sorted(cores.others)))
    return {
        "processor": _line("/proc/cpuinfo", r"model name\s*: (.+)")
        or platform.machine(),
        "cores": f"{os.cpu_count()}; the proxy on {cores.proxy}, all else on {others}",
        "memory": _gigabytes(),
        "kernel": f"{platform.system()} {platform.release()}",
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _gigabytes() -> str:
    kilobytes = int(_line("/proc/meminfo", r"MemTotal:\s*(\d+)"))
    return f"{kilobytes / 1024**2:.0f} GiB"


def _line(path: str, pattern: str) -> str:
    found = re.search(pattern, Path(path).read_text())
    return found[1] if found else ""
