"""Writes reference values as text (README.md), and how Keras is set up for them. Import it before Keras.

One thread, the processor alone, the TensorFlow backend: so that a second run writes the same files.
"""
import os

os.environ.update(KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

DATA = Path(__file__).parent / "data"
WANTED = (Path(__file__).parent / "requirements.txt").read_text().split()
FOUND = [f"keras=={keras.__version__}", f"tensorflow-cpu=={tf.__version__}"]
if sorted(WANTED) != sorted(FOUND):
    raise SystemExit(f"requirements.txt has {' '.join(WANTED)}, found {' '.join(FOUND)}")


def grid(shape, offset=0, scale=1.0):
    """Numbers without a pattern that are made by arithmetic alone, in [-scale / 2, scale / 2), as float32."""
    k = np.arange(int(np.prod(shape)), dtype=np.int64)
    return ((((k + offset) * 37 + 11) % 101 / 101.0 - 0.5) * scale).astype(np.float32).reshape(shape)


def number(value):
    """The shortest text that reads back to the same float32, or the integer."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.float64)):
        return repr(float(value))
    value = np.float32(value)
    if not np.isfinite(value):
        return str(float(value))
    return np.format_float_positional(value, trim="-") if 1e-4 <= abs(value) < 1e7 or value == 0 else \
        np.format_float_scientific(value, trim="-")


def numbers(value):
    """A number, or those of a list, joined by commas."""
    return ",".join(map(number, value)) if isinstance(value, list) else number(value)


class Writer:
    """A file of cases."""

    def __init__(self, file, what):
        self.path, self.n_cases = DATA / file, 0
        self.lines = [f"# {what}", f"# Made by {' and '.join(FOUND)}, with tests/reference; not to be edited."]

    def case(self, kind, name, **options):
        """Begin a case. An option that is None is left out."""
        words = [f"{key}={value if isinstance(value, str) else numbers(value)}"
                 for key, value in options.items() if value is not None]
        if any(" " in word for word in words):
            raise ValueError(f"{kind} {name}: a space in {words}")
        self.lines.append(" ".join(["case", kind, name, *words]))
        self.n_cases += 1

    def array(self, name, value):
        """Add an array to the case: floats as float32."""
        value = np.asarray(value)
        if value.dtype.kind == "f":
            value = value.astype(np.float32)
        words = " ".join(number(x) for x in value.reshape(-1))
        self.lines.append(f"array {' '.join([name, *map(str, value.shape)])}: {words}".rstrip())

    def close(self):
        DATA.mkdir(exist_ok=True)
        self.path.write_text("\n".join(self.lines) + "\n")
        print(f"{self.path.name}: {self.n_cases} cases")
