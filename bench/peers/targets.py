"""The project's targets, and whether what was measured meets them."""

from __future__ import annotations

import re

from measured import LABEL, Entry, entries, fastest, mebibytes, peers_of, plural, spread, table
from sampling import quartiles, shares

TARGET_RATIO = {"a": 5.0, "b": 2.0, "b-nesterov": 2.0, "c": 2.0, "d": 1.3, "e": 1.3}
TARGET_SHARE = {"a": 0.85, "b": 0.85, "b-nesterov": 0.85, "c": 0.85, "d": 0.85, "e": 0.80}


def verdict(met: bool) -> str:
    return "yes" if met else "no"


def ratio_target(name: str, entry: Entry, best: tuple[str, list[float]]) -> float:
    """The stated ratio, or 0.9 of what the peer's own share leaves below the peak."""
    share = quartiles(shares(entry["records"][best[0]], entry["flops"]))[1]
    return min(TARGET_RATIO[name], 0.9 / share)


def against_peers(name: str, entry: Entry) -> list[list[str]]:
    best = fastest(entry)
    if best is None:
        return []
    wanted = ratio_target(name, entry, best)
    ratio = f"{spread(best[1], 1, 2)} x {LABEL[best[0]]}"
    grown = entry["records"]["cotangent"]["growth"]
    least = min((r["growth"] for r in peers_of(entry).values() if r["growth"] >= 0), default=-1)
    memory = f"{mebibytes(grown)} MiB, least peer {mebibytes(least)} MiB"
    stated = f">= {wanted:.2f} x the fastest peer (stated: {TARGET_RATIO[name]:g})"
    return [
        [name, stated, ratio, verdict(quartiles(best[1])[1] >= wanted)],
        [name, "memory below every peer", memory, verdict(0 <= grown <= least)],
    ]


def of_step(name: str, entry: Entry) -> list[list[str]]:
    own = shares(entry["records"]["cotangent"], entry["flops"])
    wanted = TARGET_SHARE[name]
    share = [name, f"share of peak >= {wanted:.0%}", spread(own, 100, 1) + " %", verdict(quartiles(own)[1] >= wanted)]
    excess = entry["arena"] / max(entry["bound"], 1)
    arena = [name, "arena within 10 % of the liveness bound", f"{excess:.3f} of it", verdict(excess <= 1.1)]
    return [share, *against_peers(name, entry), arena]


def of_products(state: Entry, threads: int) -> list[list[str]]:
    """Of all matrix products that were compared, how many are won, and the worst."""
    compared = [(name, fastest(e)) for n, name, e in entries(state, "product") if n == threads and "gemm" in name]
    medians = [(quartiles(best[1])[1], name) for name, best in compared if best is not None]
    if not medians:
        return []
    won = sum(median >= 1.0 for median, _ in medians)
    text = f"{won} of {len(medians)}; least {min(medians)[0]:.2f} x, {min(medians)[1]}"
    return [[f"sgemm, {plural(threads)}", ">= 1.0 x the best library on each", text, verdict(won == len(medians))]]


def of_empty(state: Entry, threads: int) -> list[list[str]]:
    what = {"empty": "a run that counts itself", "smallest": "a step of fit, 1-10, batch 1"}
    rows = []
    for name, record in next((records for n, _, records in entries(state, "empty") if n == threads), {}).items():
        text = f"{spread(record['seconds'], 1e6, 2)} us"
        met = verdict(quartiles(record["seconds"])[1] < 1e-5)
        rows.append([f"empty step, {plural(threads)}: {what[name]}", "< 10 us", text, met])
    return rows


def of_compiling(state: Entry) -> list[list[str]]:
    """From the benchmark's lines: a network, ms cold by the wall and by the processors, the same from the cache."""
    line = re.compile(r"^ +(\S.*?) {2,}([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+) ", re.MULTILINE)
    found = {m[1]: (float(m[2]), float(m[4])) for m in line.finditer(state.get("compiling", ""))}
    rows = []
    for name, (cold, warm) in found.items():
        if name.startswith("3072-20-15-10"):
            rows.append(["compile a", "< 60 ms cold", f"{cold:.0f} ms", verdict(cold < 60)])
        if name.startswith("1,000 blocks"):
            rows.append([f"compile {name}", "< 1 s cold", f"{cold:.0f} ms", verdict(cold < 1000)])
            rows.append([f"compile {name}", "< 0.1 s from the cache", f"{warm:.0f} ms", verdict(warm < 100)])
    times = [cold for name, (cold, _) in found.items() if "blocks of" in name]
    if len(times) == 3:
        grown = f"{times[0]:.0f}, {times[1]:.0f}, {times[2]:.0f} ms"
        less = times[1] < 10 * times[0] and times[2] < 10 * times[1]
        rows.append(["compile 10, 100, 1,000 blocks", "less than linear", grown, verdict(less)])
    return rows


def targets(state: Entry, threads: int) -> str:
    rows = [row for n, name, e in entries(state, "training") if n == threads for row in of_step(name, e)]
    for n in sorted({1, threads}):
        rows += of_products(state, n)
    return table(["what", "target", "measured", "met"], rows + of_empty(state, threads) + of_compiling(state))
