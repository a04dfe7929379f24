"""The frameworks' virtual environments: one each, so that none needs another's versions of anything."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

PACKAGES = {"torch": ["torch", "numpy"], "jax": ["jax"], "tensorflow": ["tensorflow-cpu"]}
NEEDED_GB = {"torch": 9.0, "jax": 1.5, "tensorflow": 3.0}  # on disk while installing, with what a wheel brings along


def install(framework: str, directory: Path, index: str, say: Callable[[str], None]) -> bool:
    """Make directory/framework unless it is there and complete. index: an index for torch, "" for pip's own."""
    place = directory / framework
    done = place / "complete"
    if done.exists():
        return True
    free = shutil.disk_usage(directory).free / 1e9
    if free < NEEDED_GB[framework]:
        say(f"{framework}: not installed: {free:.1f} GB free, {NEEDED_GB[framework]:.1f} GB needed")
        return False
    say(f"installing {' '.join(PACKAGES[framework])} into {place}")
    python = str(place / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check"]
    steps = [[sys.executable, "-m", "venv", str(place)]]
    if framework == "torch" and index:
        steps.append([*pip, "--index-url", index, "torch"])
    steps.append([*pip, *PACKAGES[framework]])
    for step in steps:
        if subprocess.run(step, check=False).returncode != 0:
            say(f"{framework}: not installed: {' '.join(step)} failed")
            return False
    done.touch()
    return True
