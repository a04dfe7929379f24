"""The text of RESULTS.md."""

from __future__ import annotations

from typing import Callable

from measured import LABEL, LOSS_TOLERANCE, WHAT, Entry, entries, largest_difference
from measured import mebibytes, peers_of, plural, spread, table
from sampling import ratios, shares
from targets import targets


# ---- training steps ----


def step_row(entry: Entry, name: str, record: Entry) -> list[str]:
    ours = entry["records"]["cotangent"]
    against = "1" if name == "cotangent" else spread(ratios(ours, record), 1, 2)
    share = spread(shares(record, entry["flops"]), 100, 1)
    loss = f"{record['values'][-1]:.6f}"
    return [LABEL[name], spread(record["seconds"], 1e3, 3), share, against, mebibytes(record["growth"]), loss]


def step_table(threads: int, name: str, entry: Entry) -> str:
    head = ["", "step, ms", "% of peak", "times ours", "memory, MiB", "loss"]
    rows = [step_row(entry, who, record) for who, record in entry["records"].items()]
    difference = largest_difference(entry)
    agree = "agree" if difference <= LOSS_TOLERANCE else "DO NOT AGREE"
    words = f"Losses {agree}: largest relative difference {difference:.1e}, tolerance {LOSS_TOLERANCE:.0e}."
    title = f"### {name}, {plural(threads)}: {WHAT[name]}"
    return f"{title}\n\n{entry['flops'] / 1e6:.1f} MFLOP a step. {words}\n\n{table(head, rows)}"


# ---- products ----


def product_row(name: str, entry: Entry, libraries: list[str]) -> list[str]:
    ours = entry["records"]["cotangent"]
    row = [name, spread(ours["seconds"], 1e6, 1), spread(shares(ours, entry["flops"]), 100, 1)]
    for library in libraries:
        record = entry["records"].get(library)
        row.append(spread(shares(record, entry["flops"]), 100, 1) if record else "")
        row.append(spread(ratios(ours, record), 1, 2) if record else "")
    return row


def product_tables(state: Entry, is_wanted: Callable[[str], bool], libraries: list[str]) -> str:
    """A table for each thread count."""
    head = ["", "Cotangent, us", "% of peak"]
    head += [part for library in libraries for part in (f"{LABEL[library]}, % of peak", "times ours")]
    wanted = [(n, name, entry) for n, name, entry in entries(state, "product") if is_wanted(name)]
    text = ""
    for threads in sorted({n for n, _, _ in wanted}):
        rows = [product_row(name, entry, libraries) for n, name, entry in wanted if n == threads]
        text += f"{plural(threads)}:\n\n{table(head, rows)}\n"
    return text


# ---- all ----


def versions(state: Entry) -> str:
    found = {}
    for kind in ("training", "product"):
        for _, _, entry in entries(state, kind):
            for name, record in peers_of(entry).items():
                label = LABEL[name].split(",")[0]
                found[label] = record["version"] if label in record["version"] else f"{label} {record['version']}"
    return ", ".join(found.values()) or "none"


def peak_of(state: Entry) -> str:
    """The bursts of all samples, by thread count."""
    peaks: dict[int, list[float]] = {}
    for kind in ("training", "product"):
        for threads, _, entry in entries(state, kind):
            for record in entry["records"].values():
                peaks.setdefault(threads, []).extend(record["peak"])
    return ", ".join(f"{spread(values, 1e-9, 0)} GFLOP/s on {plural(n)}" for n, values in sorted(peaks.items()))


METHOD = """Made by `scripts/bench --peers`. Every sample stands between two bursts of independent fused
multiply-adds on as many threads, and contestants alternate sample by sample; "% of peak" is against the mean of a
sample's two bursts, "times ours" is the ratio of times, each multiplied by the peak at its moment, sample by
sample. Medians, in brackets quartiles. FLOPs are those of matrix products and convolutions, of convolutions only
the taps that do not fall on the padding. All start from the same weights, take the same batches in the same order,
in f32, and their mean losses over the first steps are compared. Memory is the growth of the resident size since
before the first step; what is compiled in the first step (PyTorch compiled, TensorFlow XLA) is part of it. Peers:
fused optimizers and channels-last images in PyTorch, donated buffers in JAX, TensorFlow's own fused update kernels;
pools by reshaping under XLA, whose gradient of a window's maximum is slow. oneDNN's convolutions run in its own
layouts, nothing is converted; its matrix products, and all of OpenBLAS's and BLIS's, take the operands as they lie,
as ours do."""


CLOCK = {
    "wall": "Times are the wall's.",
    "processor": "Times are processor time on one thread, for the machine was busy; compile times are not.",
}


def report(state: Entry) -> str:
    threads = max((n for n, _, _ in entries(state, "training")), default=1)
    steps = "\n".join(step_table(n, name, entry) for n, name, entry in entries(state, "training"))
    gemm = product_tables(state, lambda name: name.startswith("gemm"), ["openblas", "blis", "onednn"])
    conv = product_tables(state, lambda name: name.startswith(("conv", "group")), ["onednn"])
    compiling = f"## Compile time\n\n```\n{state['compiling'].strip()}\n```\n" if "compiling" in state else ""
    return f"""# Results

{METHOD} {CLOCK[state['clock']]}

Machine: {state['machine']}. FMA peak {peak_of(state)}. Beside it: {versions(state)}.

## Targets

A ratio is asked as stated, or, where the peer's own share of the peak leaves no room for it, as far as 0.9 of the
peak.

{targets(state, threads)}
## Training steps

{steps}
## Matrix products

gemm-MxKxN: [M,K] by [K,N]. gemmt-MxNxK: [M,N] from the transposes of [K,M] and [K,N].

{gemm}
## Convolutions

conv-WHAT-IN-OUT-EXTENT: channels in and out, 3x3, padding "same", batch 64; forward, by data (dx), by weights (dw).
group-WHAT-CHANNELS-GROUPS-EXTENT: the same of as many channels in as out, in groups; of one channel each, depthwise.

{conv}{compiling}""".rstrip() + "\n"
