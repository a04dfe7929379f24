#!/usr/bin/env python3
"""Cotangent beside other frameworks and libraries on the same work: see bench/README.md.

Every contestant is a process that stays alive and works on request, so that samples can alternate. What is measured is
kept after each workload, so that a run that was cut off goes on with --resume.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import results
from child import Child, ChildError
from environments import install
from machine import describe
from measured import losses_agree
from sampling import Contestant, interleave, prepare

WORKLOADS = ["a", "b", "b-nesterov", "c", "d", "e"]
CHECKS = {"a": 2, "b": 3, "b-nesterov": 3, "c": 3, "d": 3, "e": 3}  # rounds whose losses must agree
VARIANTS = ["torch eager", "torch compiled", "jax step", "jax scan", "tensorflow function", "tensorflow xla"]
HOPELESS = {("d", "jax scan")}  # XLA's convolutions inside a loop take minutes a step
LIBRARIES = ["openblas", "blis", "onednn"]
HERE = Path(__file__).resolve().parent


class Comparison:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.directory: Path = options.directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.state_file = self.directory / "measured.json"
        self.state: dict[str, Any] = {}
        if options.resume and self.state_file.exists():
            self.state = json.loads(self.state_file.read_text())
        self.state["machine"] = describe()
        self.state["clock"] = "processor" if options.processor_time else "wall"
        self.clock = ["--processor-time"] if options.processor_time else []
        self.start = time.monotonic()

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.start:5.0f} s] {text}", flush=True)

    def keep(self, key: str, value: Any) -> None:
        self.state[key] = value
        self.state_file.write_text(json.dumps(self.state))

    def environment(self, threads: int) -> dict[str, str]:
        return {
            "OMP_NUM_THREADS": str(threads),
            "BLIS_NUM_THREADS": str(threads),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "TORCHINDUCTOR_CACHE_DIR": str(self.directory / "inductor"),
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
            "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}",
            "JAX_PLATFORMS": "cpu",
            "CUDA_VISIBLE_DEVICES": "",
        }

    def child(self, command: list[str], threads: int, log: str) -> Child:
        """On as many of the machine's cores as there are threads, so that nobody takes more."""
        cores = set(sorted(os.sched_getaffinity(0))[:threads])
        return Child(command, self.environment(threads), self.directory / f"{log}.log", cores)

    def ours(self, name: str, threads: int, *more: str) -> Child:
        tiny = ["--tiny"] if self.options.tiny else []
        command = [str(self.options.build / "bench"), "serve", name, "--threads", str(threads)]
        return self.child([*command, *tiny, *self.clock, *more], threads, "cotangent")

    def peak(self, threads: int) -> Child:
        command = ["env", "OMP_WAIT_POLICY=passive", str(self.options.build / "bench"), "serve", "peak"]
        child = self.child([*command, "--threads", str(threads), *self.clock], threads, "peak")
        child.hear()
        return child

    def measure(self, contestants: list[Contestant], threads: int, checks: int, seconds: float) -> None:
        peak = self.peak(threads)
        try:
            for failed in prepare(contestants, checks, seconds):
                self.say(f"{failed.name}: left out; see {failed.child.log}")
                failed.child.close()
            interleave(contestants, peak, self.options.samples)
        finally:
            peak.close()

    # ---- training steps ----

    def frameworks(self, name: str, work: Path, threads: int) -> list[Contestant]:
        """Those that are installed, started at once; those that fail are left out."""
        started = []
        for variant in VARIANTS:
            framework, how = variant.split()
            python = self.directory / framework / "bin" / "python"
            wanted = framework in self.options.peers and (name, variant) not in HOPELESS
            if wanted and python.exists():
                command = [str(python), str(HERE / f"peer_{framework}.py"), name, str(work), how, self.state["clock"]]
                log = variant.replace(" ", "-")
                started.append((variant, self.child(command, threads, log)))
        ready = []
        for variant, child in started:
            try:
                version = " ".join(child.hear()[1:])
                ready.append(Contestant(variant, child, 0, record={"version": version}))
            except ChildError as error:
                self.say(f"{variant}: left out: {error}")
                child.close()
        return ready

    def training(self, name: str, threads: int) -> None:
        work = self.directory / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        child = self.ours(name, threads, "--export", str(work))
        contestants: list[Contestant] = []
        try:
            _, units, flops, compiled, arena, bound = child.hear()
            contestants = self.frameworks(name, work, threads)
            contestants.insert(0, Contestant("cotangent", child, int(units)))
            for c in contestants:
                c.units = int(units)
            self.measure(contestants, threads, CHECKS[name], self.options.sample_seconds)
            for c in contestants:
                c.record["growth"] = int(c.child.ask("memory")[0])
            facts = {"flops": float(flops), "compile": float(compiled), "arena": int(arena), "bound": int(bound)}
            self.keep(f"training {threads} {name}", {**facts, "records": {c.name: c.record for c in contestants}})
        finally:
            for c in contestants or [Contestant("cotangent", child, 0)]:
                c.child.close()
            shutil.rmtree(work, ignore_errors=True)

    # ---- products ----

    def product(self, name: str, threads: int) -> None:
        child = self.ours(name, threads)
        contestants = [Contestant("cotangent", child, 1)]
        try:
            flops = float(child.hear()[2])
            for library in LIBRARIES if not self.options.tiny else []:
                program = self.options.build / "peers" / f"bench_{library}"
                if program.exists() and (library == "onednn" or name.startswith("gemm")):
                    command = [str(program), name, self.state["clock"]]
                    peer = Contestant(library, self.child(command, threads, library), 1)
                    contestants.append(peer)
                    peer.record["version"] = " ".join(peer.child.hear()[1:])
            self.measure(contestants, threads, 1, self.options.sample_seconds / 4)
            records = {c.name: c.record for c in contestants}
            self.keep(f"product {threads} {name}", {"flops": flops, "records": records})
        finally:
            for c in contestants:
                c.child.close()

    def empty(self, threads: int) -> None:
        """A run that counts itself, and a step of fit with next to no work."""
        records = {}
        for name in ("empty", "smallest"):
            child = self.ours(name, threads)
            try:
                contestant = Contestant("cotangent", child, int(child.hear()[1]))
                self.measure([contestant], threads, 1, 0.01)
                records[name] = contestant.record
            finally:
                child.close()
        self.keep(f"empty {threads}", records)

    def compiling(self) -> None:
        """The benchmark's own text about compile time."""
        command = [str(self.options.build / "bench"), "compile", "--samples", str(self.options.samples)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode == 0:
            self.keep("compiling", done.stdout)

    # ---- all ----

    def attempt(self, key: str, function: Any, *arguments: Any) -> bool:
        if key in self.state and self.options.resume:
            return True
        self.say(key)
        try:
            function(*arguments)
            return True
        except ChildError as error:
            self.say(f"{key}: {error}")
            return False

    def run(self) -> bool:
        good = True
        if self.options.workloads:
            for framework in self.options.peers:
                good &= install(framework, self.directory, self.options.torch_index, self.say)
        for threads in self.options.threads:
            for name in self.options.workloads:
                good &= self.attempt(f"training {threads} {name}", self.training, name, threads)
            good &= self.attempt(f"empty {threads}", self.empty, threads)
        for threads in sorted({1, *self.options.threads}):
            for name in self.options.products:
                good &= self.attempt(f"product {threads} {name}", self.product, name, threads)
        if not self.options.tiny:
            good &= self.attempt("compiling", self.compiling)
        self.options.output.write_text(results.report(self.state))
        self.say(f"written: {self.options.output}")
        return good and losses_agree(self.state)


PRODUCTS = [
    *("gemm-128x3072x20", "gemm-128x784x512", "gemm-128x512x10", "gemm-128x256x256", "gemm-1024x1024x1024"),
    *("gemm-2048x2048x2048", "gemm-256x256x256", "gemm-64x64x64", "gemmt-3072x20x128", "gemmt-784x512x128"),
    *("gemmt-256x256x128", "conv-fwd-3-32-32", "conv-fwd-32-32-32", "conv-fwd-32-64-16", "conv-fwd-64-64-16"),
    *("conv-dx-32-32-32", "conv-dx-32-64-16", "conv-dx-64-64-16", "conv-dw-3-32-32", "conv-dw-32-32-32"),
    *("conv-dw-32-64-16", "conv-dw-64-64-16", "group-fwd-64-64-56", "group-dx-64-64-56", "group-dw-64-64-56"),
    *("group-fwd-128-32-28", "group-dx-128-32-28", "group-dw-128-32-28"),
]


def words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def parse() -> argparse.Namespace:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cotangent-bench"
    parser = argparse.ArgumentParser(prog="scripts/bench --peers", description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=Path("bench/RESULTS.md"), help="the table: bench/RESULTS.md")
    parser.add_argument("--directory", type=Path, default=cache, help="environments, logs and samples: %(default)s")
    parser.add_argument("--threads", default="", help="counts, such as 1,2,4,8,16: the machine's cores, at most 2")
    parser.add_argument("--samples", type=int, default=9, help="of each: %(default)s")
    parser.add_argument("--sample-seconds", type=float, default=0.06, help="a sample takes at least: %(default)s")
    parser.add_argument("--workloads", type=words, default=WORKLOADS, help="such as a,b: all")
    parser.add_argument("--products", type=words, default=PRODUCTS, help="such as gemm-64x64x64: all")
    parser.add_argument("--peers", type=words, default=["torch", "jax", "tensorflow"], help="such as torch,jax: all")
    parser.add_argument("--torch-index", default="", help="a package index with a CPU-only torch")
    parser.add_argument("--processor-time", action="store_true", help="instead of the wall's, on one thread")
    parser.add_argument("--resume", action="store_true", help="keep what an earlier run has measured")
    parser.add_argument("--tiny", action="store_true", help="an eighth of every size: a test, no measurement")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    wanted = ["1"] if options.processor_time else words(options.threads) or [str(min(2, cores))]
    options.threads = [int(word) for word in wanted if int(word) <= cores]
    return options


if __name__ == "__main__":
    sys.exit(0 if Comparison(parse()).run() else 1)
