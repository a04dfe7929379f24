"""The networks of the workloads, written once for every framework.

A framework gives the operations; the weights come in the order in which the benchmark makes them. The attention's three
products are one, of the weights side by side: no framework loses by that, and some gain.
"""

from __future__ import annotations

from typing import Any, Iterator, Protocol

import numpy as np

HEADS = 4


class Operations(Protocol):
    """What a framework gives. Activations of d are images in the framework's own layout until flatten."""

    def dense(self, x: Any, w: Any, b: Any) -> Any: ...
    def relu(self, x: Any) -> Any: ...
    def conv(self, x: Any, w: Any, b: Any) -> Any: ...
    def pool(self, x: Any) -> Any: ...
    def flatten(self, x: Any) -> Any: ...
    def norm(self, x: Any, scale: Any, offset: Any) -> Any: ...
    def embed(self, table: Any, tokens: Any) -> Any: ...
    def attention(self, qkv: Any, heads: int) -> Any: ...


def prepared(name: str, weights: list[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """The weights with their kinds: dense, conv, table, vector; of e with one product for query, key and value."""
    if name != "e":
        kinds = {1: "vector", 2: "dense", 4: "conv"}
        return [(kinds[w.ndim], w) for w in weights]
    result = [("table", weights[0]), ("table", weights[1])]
    rest = iter(weights[2:])
    while True:
        block = [w for _, w in zip(range(16), rest)]
        if len(block) < 16:
            break
        qkv = [("dense", np.concatenate(block[2:8:2], axis=1)), ("vector", np.concatenate(block[3:9:2]))]
        result += plain(block[:2]) + qkv + plain(block[8:])
    return result + plain(block)


def plain(weights: list[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    return [("dense" if w.ndim == 2 else "vector", w) for w in weights]


def chain(ops: Operations, w: Iterator[Any], x: Any, n_layers: int) -> Any:
    """Dense layers with ReLU, the last without."""
    for i in range(n_layers):
        x = ops.dense(x, next(w), next(w))
        x = ops.relu(x) if i < n_layers - 1 else x
    return x


def residual(ops: Operations, w: Iterator[Any], x: Any, n_blocks: int) -> Any:
    x = ops.relu(ops.dense(x, next(w), next(w)))
    for _ in range(n_blocks):
        x = x + chain(ops, w, x, 2)
    return ops.dense(x, next(w), next(w))


def images(ops: Operations, w: Iterator[Any], x: Any) -> Any:
    for _ in range(2):
        for _ in range(2):
            x = ops.relu(ops.conv(x, next(w), next(w)))
        x = ops.pool(x)
    return chain(ops, w, ops.flatten(x), 2)


def encoder(ops: Operations, w: Iterator[Any], tokens: Any, n_layers: int) -> Any:
    x = ops.embed(next(w), tokens) + next(w)
    for _ in range(n_layers):
        qkv = ops.dense(ops.norm(x, next(w), next(w)), next(w), next(w))
        x = x + ops.dense(ops.attention(qkv, HEADS), next(w), next(w))
        x = x + chain(ops, w, ops.norm(x, next(w), next(w)), 2)
    return ops.dense(ops.norm(x, next(w), next(w)), next(w), next(w))


def logits(name: str, ops: Operations, weights: list[Any], x: Any) -> Any:
    w = iter(weights)
    if name == "c":
        return residual(ops, w, x, (len(weights) - 4) // 4)
    if name == "d":
        return images(ops, w, x)
    if name == "e":
        return encoder(ops, w, x, (len(weights) - 6) // 12)
    return chain(ops, w, x, len(weights) // 2)


LEARNING_RATE = {"a": 0.01, "b": 1e-4, "b-nesterov": 0.01, "c": 1e-4, "d": 1e-4, "e": 1e-4}
OPTIMIZER = {"a": "sgd", "b": "adam", "b-nesterov": "nesterov", "c": "adam", "d": "adam", "e": "adam"}
MOMENTUM, BETA_1, BETA_2, EPSILON = 0.9, 0.9, 0.999, 1e-7
NORM_EPSILON = 1e-5
