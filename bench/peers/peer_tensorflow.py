"""TensorFlow: a step as one graph, by tf.function, and by XLA; what Keras calls, without its overhead."""

from __future__ import annotations

import os
from typing import Any, Callable

import networks
import tensorflow as tf
from work import Trainer, Work, serve


class Operations:
    def __init__(self, variant: str) -> None:
        self.is_xla = variant == "xla"

    def dense(self, x: Any, w: Any, b: Any) -> Any:
        if len(x.shape) == 2:
            return tf.nn.bias_add(tf.matmul(x, w), b)
        flat = tf.nn.bias_add(tf.matmul(tf.reshape(x, [-1, x.shape[-1]]), w), b)
        return tf.reshape(flat, [*x.shape[:-1], w.shape[-1]])

    def relu(self, x: Any) -> Any:
        return tf.nn.relu(x)

    def conv(self, x: Any, w: Any, b: Any) -> Any:
        return tf.nn.bias_add(tf.nn.conv2d(x, w, 1, "SAME"), b)

    def pool(self, x: Any) -> Any:
        """By reshaping under XLA, whose own gradient of a window's maximum is slow."""
        if not self.is_xla:
            return tf.nn.max_pool2d(x, 2, 2, "VALID")
        rows, height, width, channels = x.shape
        return tf.reduce_max(tf.reshape(x, [rows, height // 2, 2, width // 2, 2, channels]), axis=[2, 4])

    def flatten(self, x: Any) -> Any:
        return tf.reshape(x, [x.shape[0], -1])

    def norm(self, x: Any, scale: Any, offset: Any) -> Any:
        mean, variance = tf.nn.moments(x, -1, keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, offset, scale, networks.NORM_EPSILON)

    def embed(self, table: Any, tokens: Any) -> Any:
        return tf.gather(table, tokens)

    def attention(self, qkv: Any, heads: int) -> Any:
        rows, tokens, width = qkv.shape
        split = tf.reshape(qkv, [rows, tokens, 3, heads, width // (3 * heads)])
        q, k, v = tf.unstack(tf.transpose(split, [2, 0, 3, 1, 4]))
        scores = tf.matmul(q * q.shape[-1] ** -0.5, k, transpose_b=True)
        y = tf.matmul(tf.nn.softmax(scores), v)
        return tf.reshape(tf.transpose(y, [0, 2, 1, 3]), [rows, tokens, width // 3])


class Optimizer:
    """TensorFlow's fused update kernels, which are those of Keras's formulas."""

    def __init__(self, name: str, weights: list[tf.Variable]) -> None:
        self.kind = networks.OPTIMIZER[name]
        self.rate = networks.LEARNING_RATE[name]
        n_slots = {"adam": 2, "nesterov": 1, "sgd": 0}[self.kind]
        self.slots = [[tf.Variable(tf.zeros_like(w)) for _ in range(n_slots)] for w in weights]
        self.beta_1_power = tf.Variable(networks.BETA_1)
        self.beta_2_power = tf.Variable(networks.BETA_2)

    def update(self, w: tf.Variable, slots: list[tf.Variable], g: Any) -> None:
        slot = [s.handle for s in slots]
        if self.kind == "adam":
            powers = {"beta1_power": self.beta_1_power.read_value(), "beta2_power": self.beta_2_power.read_value()}
            betas = {"beta1": networks.BETA_1, "beta2": networks.BETA_2, "epsilon": networks.EPSILON}
            tf.raw_ops.ResourceApplyAdam(var=w.handle, m=slot[0], v=slot[1], lr=self.rate, grad=g, **powers, **betas)
        elif self.kind == "nesterov":
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=w.handle, accum=slot[0], lr=self.rate, grad=g, momentum=networks.MOMENTUM, use_nesterov=True
            )
        else:
            tf.raw_ops.ResourceApplyGradientDescent(var=w.handle, alpha=self.rate, delta=g)

    def apply(self, weights: list[tf.Variable], gradients: list[Any]) -> None:
        for w, slots, g in zip(weights, self.slots, gradients):
            self.update(w, slots, tf.convert_to_tensor(g))
        if self.kind == "adam":
            self.beta_1_power.assign(self.beta_1_power * networks.BETA_1)
            self.beta_2_power.assign(self.beta_2_power * networks.BETA_2)


class TensorflowTrainer:
    def __init__(self, work: Work, variant: str) -> None:
        self.weights = [tf.Variable(w) for _, w in networks.prepared(work.name, work.weights)]
        self.batches = [(tf.constant(x), tf.constant(y)) for x, y in zip(work.x, work.y)]
        ops = Operations(variant)
        optimizer = Optimizer(work.name, self.weights)

        def step(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                logits = networks.logits(work.name, ops, self.weights, x)
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
            optimizer.apply(self.weights, tape.gradient(loss, self.weights))
            return loss

        self.step = tf.function(step, jit_compile=variant == "xla").get_concrete_function(*self.batches[0])

    def run(self, rounds: int) -> Callable[[], float]:
        losses = []
        for _ in range(rounds):
            for x, y in self.batches:
                losses.append(self.step(x, y))
        last = losses[-1].numpy()
        del last
        return lambda: float(tf.reduce_mean(tf.stack(losses)))


def make(work: Work, variant: str) -> Trainer:
    threads = int(os.environ["OMP_NUM_THREADS"])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    return TensorflowTrainer(work, variant)


if __name__ == "__main__":
    serve(make, tf.__version__)
