"""What was measured, as compare.py keeps it: one entry a workload and thread count, one record a contestant."""

from __future__ import annotations

from typing import Any, Optional

from sampling import quartiles, ratios

LOSS_TOLERANCE = 1e-4  # relative; the frameworks sum in other orders

WHAT = {
    "a": "3072-20-15-10, SGD, batch 128",
    "b": "784-512-10, Adam, batch 128",
    "b-nesterov": "784-512-10, SGD with Nesterov momentum, batch 128",
    "c": "784-256, 100 residual blocks of 2 x 256, 10, Adam, batch 128",
    "d": "CNN 32x32x3: conv 32, conv 32, pool, conv 64, conv 64, pool, dense 128, dense 10, Adam, batch 64",
    "e": "transformer encoder, 2 layers, width 256, 4 heads, 64 tokens, pre-norm, ReLU, Adam, batch 16",
}
LABEL = {
    "cotangent": "Cotangent",
    "torch eager": "PyTorch, eager",
    "torch compiled": "PyTorch, compiled",
    "jax step": "JAX, a call a step",
    "jax scan": "JAX, a call a pass",
    "tensorflow function": "TensorFlow, graph",
    "tensorflow xla": "TensorFlow, XLA",
    "openblas": "OpenBLAS",
    "blis": "BLIS",
    "onednn": "oneDNN",
}

Entry = dict[str, Any]


def entries(state: Entry, kind: str) -> list[tuple[int, str, Entry]]:
    """Thread count, name and entry, by thread count, then workloads in their order, others in that of measuring."""
    found = []
    for key, value in state.items():
        words = key.split(" ", 2)
        if words[0] == kind:
            found.append((int(words[1]), words[2] if len(words) > 2 else "", value))
    order = list(WHAT)
    return sorted(found, key=lambda entry: (entry[0], order.index(entry[1]) if entry[1] in WHAT else 0))


def spread(values: list[float], scale: float, digits: int) -> str:
    low, middle, high = (f"{scale * value:.{digits}f}" for value in quartiles(values))
    return f"{middle} ({low}-{high})"


def peers_of(entry: Entry) -> dict[str, Entry]:
    return {name: record for name, record in entry["records"].items() if name != "cotangent"}


def fastest(entry: Entry) -> Optional[tuple[str, list[float]]]:
    """The peer with the least median ratio, and its ratios."""
    ours = entry["records"]["cotangent"]
    found = {name: ratios(ours, record) for name, record in peers_of(entry).items()}
    name = min(found, key=lambda n: quartiles(found[n])[1], default=None)
    return None if name is None else (name, found[name])


def largest_difference(entry: Entry) -> float:
    """Of the mean losses of the first rounds, relative, over all peers."""
    ours = entry["records"]["cotangent"]["values"]
    pairs = [pair for record in peers_of(entry).values() for pair in zip(record["values"], ours)]
    return max((abs(theirs - own) / abs(own) for theirs, own in pairs), default=0.0)


def losses_agree(state: Entry) -> bool:
    return all(largest_difference(entry) <= LOSS_TOLERANCE for _, _, entry in entries(state, "training"))


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def plural(threads: int) -> str:
    return f"{threads} thread{'s' if threads > 1 else ''}"


def mebibytes(n: int) -> str:
    return "unknown" if n < 0 else f"{n / 1048576:.1f}"
