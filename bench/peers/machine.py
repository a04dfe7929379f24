"""The machine in words."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def first_value(path: str, key: str, separator: str) -> str:
    try:
        for line in Path(path).read_text().splitlines():
            name, found, value = line.partition(separator)
            if found and name.strip() == key:
                return value.strip().strip('"')
    except OSError:
        pass
    return ""


def cache(level: int) -> str:
    """Size of the first core's data or unified cache of that level."""
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            if (folder / "level").read_text().strip() == str(level) and (folder / "type").read_text()[0] != "I":
                return (folder / "size").read_text().strip().replace("K", " KiB")
        except OSError:
            continue
    return "unknown"


def describe() -> str:
    flags = first_value("/proc/cpuinfo", "flags", ":").split()
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "baseline vectors"
    virtual = "virtual " if "hypervisor" in flags else ""
    cores = len(os.sched_getaffinity(0))
    model = first_value("/proc/cpuinfo", "model name", ":") or platform.machine()
    family = first_value("/proc/cpuinfo", "cpu family", ":")
    number = first_value("/proc/cpuinfo", "model", ":")
    memory = round(int(first_value("/proc/meminfo", "MemTotal", ":").split()[0]) / 1048576)
    system = first_value("/etc/os-release", "PRETTY_NAME", "=") or platform.system()
    return (
        f"{cores} {virtual}cores of {model} (family {family}, model {number}), {vectors}; caches {cache(1)}, "
        f"{cache(2)}, {cache(3)}; {memory} GiB of memory; {system}, Linux {platform.release().split('-')[0]}"
    )
