"""Interleaved samples: ours, peer 1, peer 2, ..., ours, ..., each between two bursts of the machine's FMA peak."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from child import Child, ChildError

BURST_MICROSECONDS = 3000
PAUSE_SECONDS = 0.025  # threads of the last one spin for some time before they sleep
SHORT_ROUND_SECONDS = 0.03  # such rounds are run once unmeasured before each sample
MOST_DIFFERENCE = 0.15  # of the two bursts: beyond that something else ran, and the sample is taken again
TRIES = 3


@dataclass
class Contestant:
    """One of those that are compared; `record` is what becomes of it."""

    name: str
    child: Child
    units: int  # of a round: steps
    rounds: int = 1  # of a sample
    round_seconds: float = 0.0
    record: dict[str, Any] = field(default_factory=dict)

    def run(self, rounds: int) -> tuple[float, float]:
        seconds, value = self.child.ask(f"run {rounds}")
        return float(seconds), float(value)


def begin(contestant: Contestant) -> None:
    """The loss of the very first round, which has been asked for, and in which things may be compiled."""
    contestant.record["values"] = [float(contestant.child.hear()[1])]


def settle(contestant: Contestant, checks: int, sample_seconds: float) -> None:
    """The losses of the next rounds, and how many rounds a sample has."""
    contestant.record["values"] += [contestant.run(1)[1] for _ in range(checks - 1)]
    contestant.round_seconds = contestant.run(1)[0]
    contestant.rounds = max(1, round(sample_seconds / max(contestant.round_seconds, 1e-7)))
    contestant.record.update(seconds=[], peak=[])


def prepare(contestants: list[Contestant], checks: int, sample_seconds: float) -> list[Contestant]:
    """The very first round, all at once, then the next, one after the other. Takes out and returns those that fail;
    of the first contestant, ours, a failure passes on."""
    for c in contestants:
        c.child.say("run 1")
    failed = []
    for function in (begin, lambda c: settle(c, checks, sample_seconds)):
        for c in list(contestants):
            try:
                function(c)
            except ChildError:
                if c is contestants[0]:
                    raise
                failed.append(c)
                contestants.remove(c)
    return failed


def burst(peak: Child) -> float:
    return float(peak.ask(f"run {BURST_MICROSECONDS}")[0])


def take(contestant: Contestant, peak: Child) -> None:
    """One sample: seconds of a unit, and the mean of the bursts around it."""
    for i_try in range(TRIES):
        time.sleep(PAUSE_SECONDS)
        before = burst(peak)
        if contestant.round_seconds < SHORT_ROUND_SECONDS:
            contestant.run(1)
        seconds, _ = contestant.run(contestant.rounds)
        time.sleep(PAUSE_SECONDS)
        after = burst(peak)
        if abs(before - after) <= MOST_DIFFERENCE * max(before, after) or i_try == TRIES - 1:
            contestant.record["seconds"].append(seconds / (contestant.rounds * contestant.units))
            contestant.record["peak"].append((before + after) / 2)
            return


def interleave(contestants: list[Contestant], peak: Child, samples: int) -> None:
    """Each begins once in turn, so that none always runs behind the same other."""
    for i in range(samples):
        first = i % len(contestants)
        for c in contestants[first:] + contestants[:first]:
            take(c, peak)


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """First quartile, median, third."""
    ordered = sorted(values)
    return tuple(ordered[(len(ordered) - 1) * q // 4] for q in (1, 2, 3))  # type: ignore[return-value]


def shares(record: dict[str, Any], flops: float) -> list[float]:
    return [flops / s / p for s, p in zip(record["seconds"], record["peak"])]


def ratios(ours: dict[str, Any], peer: dict[str, Any]) -> list[float]:
    """How many times as long the peer takes, sample by sample, at the machine's speed at that moment."""
    pairs = zip(peer["seconds"], peer["peak"], ours["seconds"], ours["peak"])
    return [(s * p) / (os * op) for s, p, os, op in pairs]
