"""JAX: a step by jit with donated weights and state; and all steps of a pass in one call, by scan."""

from __future__ import annotations

from typing import Any, Callable

import jax
import jax.numpy as jnp
import networks
from work import Trainer, Work, serve


class Operations:
    def dense(self, x: Any, w: Any, b: Any) -> Any:
        return x @ w + b

    def relu(self, x: Any) -> Any:
        return jax.nn.relu(x)

    def conv(self, x: Any, w: Any, b: Any) -> Any:
        return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + b

    def pool(self, x: Any) -> Any:
        """By reshaping: XLA's own gradient of a window's maximum is slow."""
        rows, height, width, channels = x.shape
        return x.reshape(rows, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))

    def flatten(self, x: Any) -> Any:
        return x.reshape(x.shape[0], -1)

    def norm(self, x: Any, scale: Any, offset: Any) -> Any:
        mean = x.mean(axis=-1, keepdims=True)
        variance = jnp.square(x - mean).mean(axis=-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + networks.NORM_EPSILON) * scale + offset

    def embed(self, table: Any, tokens: Any) -> Any:
        return table[tokens]

    def attention(self, qkv: Any, heads: int) -> Any:
        rows, tokens, width = qkv.shape
        q, k, v = qkv.reshape(rows, tokens, 3, heads, width // (3 * heads)).transpose(2, 0, 3, 1, 4)
        scores = jnp.einsum("nhqd,nhkd->nhqk", q, k) * q.shape[-1] ** -0.5
        y = jnp.einsum("nhqk,nhkd->nhqd", jax.nn.softmax(scores), v)
        return y.transpose(0, 2, 1, 3).reshape(rows, tokens, width // 3)


State = Any  # step number, weights, and per weight the optimizer's slots


def adam(rate: float, t: Any, w: Any, g: Any, slots: Any) -> tuple[Any, Any]:
    m = slots[0] + (g - slots[0]) * (1 - networks.BETA_1)
    v = slots[1] + (g * g - slots[1]) * (1 - networks.BETA_2)
    alpha = rate * jnp.sqrt(1 - networks.BETA_2**t) / (1 - networks.BETA_1**t)
    return w - alpha * m / (jnp.sqrt(v) + networks.EPSILON), (m, v)


def nesterov(rate: float, t: Any, w: Any, g: Any, slots: Any) -> tuple[Any, Any]:
    del t
    m = networks.MOMENTUM * slots[0] - rate * g
    return w + networks.MOMENTUM * m - rate * g, (m,)


def sgd(rate: float, t: Any, w: Any, g: Any, slots: Any) -> tuple[Any, Any]:
    del t
    return w - rate * g, slots


RULES = {"adam": (adam, 2), "nesterov": (nesterov, 1), "sgd": (sgd, 0)}


def step_of(name: str) -> Callable[[State, Any, Any], tuple[State, Any]]:
    ops = Operations()
    rule, _ = RULES[networks.OPTIMIZER[name]]
    rate = networks.LEARNING_RATE[name]

    def loss(weights: Any, x: Any, y: Any) -> Any:
        shares = jax.nn.log_softmax(networks.logits(name, ops, weights, x))
        return -(jax.nn.one_hot(y, shares.shape[-1]) * shares).sum(axis=-1).mean()

    def step(state: State, x: Any, y: Any) -> tuple[State, Any]:
        t, weights, slots = state
        value, gradients = jax.value_and_grad(loss)(weights, x, y)
        t = t + 1
        moved = [rule(rate, t, w, g, s) for w, g, s in zip(weights, gradients, slots)]
        return (t, [w for w, _ in moved], [s for _, s in moved]), value

    return step


class JaxTrainer:
    """variant: "step", a call a step; "scan", a call a pass."""

    def __init__(self, work: Work, variant: str) -> None:
        weights = [jnp.asarray(w) for _, w in networks.prepared(work.name, work.weights)]
        _, n_slots = RULES[networks.OPTIMIZER[work.name]]
        slots = [tuple(jnp.zeros_like(w) for _ in range(n_slots)) for w in weights]
        self.state = (jnp.zeros(()), weights, slots)
        step = step_of(work.name)
        if variant == "scan":
            self.batches = [(jnp.asarray(work.x), jnp.asarray(work.y))]
            function = lambda state, x, y: jax.lax.scan(lambda s, batch: step(s, *batch), state, (x, y))
        else:
            self.batches = [(jnp.asarray(x), jnp.asarray(y)) for x, y in zip(work.x, work.y)]
            function = step
        self.step = jax.jit(function, donate_argnums=0).lower(self.state, *self.batches[0]).compile()

    def run(self, rounds: int) -> Callable[[], float]:
        losses = []
        for _ in range(rounds):
            for x, y in self.batches:
                self.state, loss = self.step(self.state, x, y)
                losses.append(loss)
        jax.block_until_ready((self.state, losses))
        return lambda: float(jnp.stack(losses).mean())


def make(work: Work, variant: str) -> Trainer:
    return JaxTrainer(work, variant)


if __name__ == "__main__":
    serve(make, jax.__version__)
