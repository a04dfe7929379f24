"""The comparison's arithmetic and tables, and its driver without any peer.

test_bench_peers.py SOURCE-DIR PROGRAM-DIR
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE, PROGRAMS = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(SOURCE / "bench" / "peers"))

import measured  # noqa: E402
import results  # noqa: E402
import sampling  # noqa: E402


def record(seconds: list[float], peak: list[float], value: float) -> dict[str, object]:
    return {"seconds": seconds, "peak": peak, "values": [value], "growth": 1 << 20, "version": "1.0"}


class Arithmetic(unittest.TestCase):
    def test_quartiles(self) -> None:
        self.assertEqual(sampling.quartiles([5.0, 1.0, 4.0, 2.0, 3.0]), (2.0, 3.0, 4.0))
        self.assertEqual(sampling.quartiles([7.0]), (7.0, 7.0, 7.0))

    def test_ratios_are_at_equal_speed(self) -> None:
        """The peer took 3 s at twice the clock: 6 s at ours, which took 2."""
        ours, peer = record([2.0], [1e9], 1.0), record([3.0], [2e9], 1.0)
        self.assertEqual(sampling.ratios(ours, peer), [3.0])
        self.assertEqual(sampling.shares(peer, 3e9), [0.5])


class Report(unittest.TestCase):
    def state(self, loss: float) -> dict[str, object]:
        records = {"cotangent": record([1.0] * 3, [1e8] * 3, 2.0)}
        records["torch eager"] = record([6.0] * 3, [1e8] * 3, loss)
        records["jax step"] = record([5.5] * 3, [1e8] * 3, 2.0)
        entry = {"flops": 9e7, "arena": 105, "bound": 100, "records": records}
        return {"machine": "a machine", "clock": "wall", "training 2 a": entry}

    def test_targets(self) -> None:
        text = results.report(self.state(2.0))
        self.assertIn("| a | share of peak >= 85% | 90.0 (90.0-90.0) % | yes |", text)
        ratio = "5.50 (5.50-5.50) x JAX, a call a step"
        self.assertIn(f"| a | >= 5.00 x the fastest peer (stated: 5) | {ratio} | yes |", text)
        self.assertIn("| a | memory below every peer | 1.0 MiB, least peer 1.0 MiB | yes |", text)
        self.assertIn("| a | arena within 10 % of the liveness bound | 1.050 of it | yes |", text)

    def test_ratio_that_is_out_of_reach(self) -> None:
        """A peer at half the peak leaves 1.8 below 0.9 of it."""
        state = self.state(2.0)
        state["training 2 a"]["records"]["jax step"] = record([1.8] * 3, [1e8] * 3, 2.0)
        text = results.report(state)
        self.assertIn("| a | >= 1.80 x the fastest peer (stated: 5) | 1.80 (1.80-1.80) x JAX", text)

    def test_compiling(self) -> None:
        lines = ["   3072-20-15-10, SGD                  61.0     132.2        12.5       3.1        13         0"]
        for blocks, cold in (("10", 100.0), ("100", 300.0), ("1,000", 999.0)):
            name = f"{blocks} blocks of 2 x 64, Adam"
            lines.append(f"   {name:30} {cold:9.1f}     487.3        99.0     25.2   16    0")
        text = results.report({**self.state(2.0), "compiling": "\n".join(lines)})
        self.assertIn("| compile a | < 60 ms cold | 61 ms | no |", text)
        self.assertIn("| compile 1,000 blocks of 2 x 64, Adam | < 1 s cold | 999 ms | yes |", text)
        self.assertIn("| compile 1,000 blocks of 2 x 64, Adam | < 0.1 s from the cache | 99 ms | yes |", text)
        self.assertIn("| compile 10, 100, 1,000 blocks | less than linear | 100, 300, 999 ms | yes |", text)

    def test_losses(self) -> None:
        self.assertTrue(measured.losses_agree(self.state(2.0001)))
        self.assertFalse(measured.losses_agree(self.state(2.001)))
        self.assertIn("DO NOT AGREE", results.report(self.state(2.001)))


class Driver(unittest.TestCase):
    def test_alone(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(SOURCE / "bench/peers/compare.py"), "--build", str(PROGRAMS), "--tiny"]
            command += ["--samples", "1", "--sample-seconds", "0.001", "--peers", "", "--workloads", "a,d,e"]
            command += ["--products", "gemm-64x64x64,conv-dx-32-64-16", "--directory", folder]
            command += ["--output", folder + "/results.md"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=300)
            text = Path(folder, "results.md").read_text()
        for part in ("### a, ", "### d, ", "### e, ", "| gemm-64x64x64 |", "| conv-dx-32-64-16 |", "| Cotangent |"):
            self.assertIn(part, text)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
