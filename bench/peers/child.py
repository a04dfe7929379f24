"""A process that works on request: a line to it, a line from it (bench/serve.h)."""

from __future__ import annotations

import os
import select
import subprocess
import time
from pathlib import Path


class ChildError(Exception):
    """The process ended, said nothing for too long, or something else than was asked."""


class Child:
    def __init__(self, command: list[str], environment: dict[str, str], log: Path, cores: set[int]) -> None:
        """cores: those that it may run on. log: what it writes to standard error."""
        self.name = Path(command[0]).name
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **environment},
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )
        self.log = log
        self.rest = b""

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write((line + "\n").encode())
            self.process.stdin.flush()
        except OSError as error:
            raise ChildError(f"{self.name} has ended; see {self.log}") from error

    def hear(self, seconds: float = 600.0) -> list[str]:
        """The words of its next line."""
        assert self.process.stdout is not None
        end = time.monotonic() + seconds
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise ChildError(f"{self.name} has said nothing for {seconds:.0f} s; see {self.log}")
            read = os.read(self.process.stdout.fileno(), 65536)
            if not read:
                raise ChildError(f"{self.name} has ended; see {self.log}")
            self.rest += read
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode().split()

    def ask(self, line: str) -> list[str]:
        self.say(line)
        return self.hear()

    def close(self) -> None:
        """End it, gently if it listens."""
        try:
            self.say("quit")
            self.process.wait(timeout=10)
        except (ChildError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass
