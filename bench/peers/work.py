"""A workload's data as the benchmark wrote it (export.h), and work on request over pipes (serve.h)."""

from __future__ import annotations

import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Protocol

import numpy as np


@dataclass
class Work:
    """Initial weights in order of making, and all batches in order of use."""

    name: str
    weights: list[np.ndarray]
    x: np.ndarray  # [batches, batch, ...], f32 or i32
    y: np.ndarray  # [batches, batch, ...], i32

    @property
    def is_tokens(self) -> bool:
        return self.name == "e"


class Trainer(Protocol):
    """One way to do the work."""

    def run(self, rounds: int) -> Callable[[], float]:
        """Passes over the data; all work is done at return, but for the mean loss, which the result tells."""


def read_weights(directory: Path) -> list[np.ndarray]:
    values = np.fromfile(directory / "weights.bin", dtype=np.float32)
    weights = []
    at = 0
    for line in (directory / "weights.txt").read_text().splitlines():
        shape = [int(word) for word in line.split()[1:]]
        count = math.prod(shape)
        weights.append(values[at : at + count].reshape(shape).copy())
        at += count
    return weights


def read_work(name: str, directory: Path) -> Work:
    facts = dict(line.split() for line in (directory / "work.txt").read_text().splitlines())
    batch, rows = int(facts["batch"]), int(facts["rows"])
    x = np.fromfile(directory / "x.bin", dtype=np.int32 if name == "e" else np.float32)
    y = np.fromfile(directory / "y.bin", dtype=np.int32)
    x = x.reshape(rows // batch, batch, -1)
    if name == "d":
        extent = math.isqrt(x.shape[2] // 3)
        x = x.reshape(*x.shape[:2], extent, extent, 3)
    y = y.reshape(rows // batch, batch, -1) if name == "e" else y.reshape(rows // batch, batch)
    return Work(name, read_weights(directory), x, y)


def resident_bytes(which: str) -> int:
    """VmRSS, the resident size now, or VmHWM, its peak; -1 where the machine does not tell."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(which + ":"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return -1


def reset_peak_resident() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def private_stdout() -> Callable[[str], None]:
    """Keep standard output for answers: whatever libraries print goes to standard error."""
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(text: str) -> None:
        stream.write(text + "\n")
        stream.flush()

    return say


def serve(make: Callable[[Work, str], Trainer], version: str) -> None:
    """The program of a peer: arguments are the workload's name, its directory, the variant, the clock."""
    say = private_stdout()
    name, directory, variant, clock = sys.argv[1:5]
    now = time.perf_counter if clock == "wall" else time.process_time
    trainer = make(read_work(name, Path(directory)), variant)
    say(f"ready {version}")
    reset_peak_resident()
    resident = resident_bytes("VmRSS")
    for line in sys.stdin:
        words = line.split()
        if words[0] == "run":
            start = now()
            loss = trainer.run(int(words[1]))
            seconds = now() - start
            say(f"{seconds:.9g} {loss():.9g}")
        elif words[0] == "memory":
            peak = resident_bytes("VmHWM")
            say(str(-1 if resident < 0 or peak < 0 else peak - resident))
        else:
            break
