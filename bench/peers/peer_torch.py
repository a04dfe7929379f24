"""PyTorch: eager, and the loss and its gradients by torch.compile; fused optimizers; images channels-last."""

from __future__ import annotations

import math
import os
from typing import Any, Callable

import networks
import numpy as np
import torch
import torch.nn.functional as F
from work import Trainer, Work, serve


class Operations:
    def dense(self, x: Any, w: Any, b: Any) -> Any:
        return F.linear(x, w, b)

    def relu(self, x: Any) -> Any:
        return F.relu(x)

    def conv(self, x: Any, w: Any, b: Any) -> Any:
        return F.conv2d(x, w, b, padding=1)

    def pool(self, x: Any) -> Any:
        return F.max_pool2d(x, 2)

    def flatten(self, x: Any) -> Any:
        return x.permute(0, 2, 3, 1).flatten(1)

    def norm(self, x: Any, scale: Any, offset: Any) -> Any:
        return F.layer_norm(x, scale.shape, scale, offset, networks.NORM_EPSILON)

    def embed(self, table: Any, tokens: Any) -> Any:
        return F.embedding(tokens, table)

    def attention(self, qkv: Any, heads: int) -> Any:
        rows, tokens, width = qkv.shape
        q, k, v = qkv.view(rows, tokens, 3, heads, width // (3 * heads)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        return y.transpose(1, 2).reshape(rows, tokens, width // 3)


def parameter(kind: str, value: np.ndarray) -> torch.nn.Parameter:
    tensor = torch.from_numpy(value)
    if kind == "dense":
        tensor = tensor.t().contiguous()
    if kind == "conv":
        tensor = tensor.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    return torch.nn.Parameter(tensor)


def optimizer(name: str, weights: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    rate = networks.LEARNING_RATE[name]
    if networks.OPTIMIZER[name] == "adam":
        betas = (networks.BETA_1, networks.BETA_2)
        return torch.optim.Adam(weights, lr=rate, betas=betas, eps=networks.EPSILON, fused=True)
    nesterov = networks.OPTIMIZER[name] == "nesterov"
    momentum = networks.MOMENTUM if nesterov else 0.0
    return torch.optim.SGD(weights, lr=rate, momentum=momentum, nesterov=nesterov, fused=True)


def set_epsilon(optimizer: torch.optim.Optimizer, t: int) -> None:
    """PyTorch adds epsilon to the corrected root, Keras to the uncorrected one: at step t that is so much less."""
    group = optimizer.param_groups[0]
    if "eps" in group:
        group["eps"] = networks.EPSILON / math.sqrt(1 - networks.BETA_2**t)


class TorchTrainer:
    def __init__(self, work: Work, variant: str) -> None:
        self.weights = [parameter(*pair) for pair in networks.prepared(work.name, work.weights)]
        self.optimizer = optimizer(work.name, self.weights)
        x = torch.from_numpy(work.x)
        self.t = 0
        self.x = [batch.permute(0, 3, 1, 2) if work.name == "d" else batch for batch in x]
        self.y = list(torch.from_numpy(work.y).long())
        ops = Operations()

        def loss(x: Any, y: Any) -> Any:
            logits = networks.logits(work.name, ops, self.weights, x)
            return F.cross_entropy(logits.flatten(0, -2), y.flatten())

        self.loss = torch.compile(loss, fullgraph=True, dynamic=False) if variant == "compiled" else loss

    def run(self, rounds: int) -> Callable[[], float]:
        losses = []
        for _ in range(rounds):
            for x, y in zip(self.x, self.y):
                self.optimizer.zero_grad(set_to_none=True)
                loss = self.loss(x, y)
                loss.backward()
                self.t += 1
                set_epsilon(self.optimizer, self.t)
                self.optimizer.step()
                losses.append(loss.detach())
        return lambda: float(torch.stack(losses).mean())


def make(work: Work, variant: str) -> Trainer:
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.set_flush_denormal(True)
    return TorchTrainer(work, variant)


if __name__ == "__main__":
    serve(make, torch.__version__)
