#!/usr/bin/env python3
"""Makes the expected summaries beside this script, with the library that Keras itself lays its tables out with.

Needs: Python 3 and rich 15.0.0. The rows are those that Keras 3 prints for the models of test_summary.c; widths, headers
and the footer follow keras/src/utils/summary_utils.py (3.16). Not needed to run the tests.
"""
import os
import sys

import rich.console
import rich.table

NARROW = ([0.45, 0.80, 1.0], ["Layer (type)", "Output Shape", "Param #"], 88)
WIDE = ([0.3, 0.56, 0.74, 1.0], ["Layer (type)", "Output Shape", "Param #", "Connected to"], 108)


def size(n_bytes):
    for unit in ["B", "KB", "MB", "GB", "TB"]:
        if n_bytes / 1024 < 1:
            return f"{n_bytes:.2f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.2f} PB"


def summary(name, columns, rows, trainable, fixed=0, optimizer=None, optimizer_bytes=0):
    positions, header, longest = NARROW if len(rows[0]) == 3 else WIDE
    line = min(longest, columns - 4)
    widths, done = [], 0
    for position in positions:
        widths.append(int(position * line) - done)
        done += widths[-1]
    justify = ["left", "left", "right", "left"]
    table = rich.table.Table(
        *[rich.table.Column(h, justify=j, width=w) for h, j, w in zip(header, justify, widths)],
        width=line, show_lines=True)
    for row in rows:
        table.add_row(*row)
    console = rich.console.Console(highlight=False, force_terminal=False, color_system=None, width=columns)
    with console.capture() as capture:
        console.print(f'Model: "{name}"')
        console.print(table)
        total = trainable + fixed + (optimizer or 0)
        total_bytes = 4 * (trainable + fixed) + optimizer_bytes
        console.print(f" Total params: {total:,} ({size(total_bytes)})")
        console.print(f" Trainable params: {trainable:,} ({size(4 * trainable)})")
        console.print(f" Non-trainable params: {fixed:,} ({size(4 * fixed)})")
        if optimizer is not None:
            console.print(f" Optimizer params: {optimizer:,} ({size(optimizer_bytes)})")
    return "".join(text.rstrip() + "\n" for text in capture.get().splitlines())


LECTURE = [("dense (Dense)", "(None, 20)", "61,460"), ("dense_1 (Dense)", "(None, 15)", "315"),
           ("dense_2 (Dense)", "(None, 10)", "160")]
# iterations is an int64: 8 bytes; everything else float32.
ADAM = dict(optimizer=2 * 61935 + 2, optimizer_bytes=4 * (2 * 61935 + 1) + 8)
BRANCHES = [
    ("img (InputLayer)", "(None, 8, 8, 3)", "0", "-"),
    ("flatten (Flatten)", "(None, 192)", "0", "img[0][0]"),
    ("meta (InputLayer)", "(None, 192)", "0", "-"),
    ("shared_projection_of_both_inputs (Dense)", "(None, 192)", "37,056", "flatten[0][0], meta[0][0]"),
    ("concatenate (Concatenate)", "(None, 384)", "0",
     "shared_projection_of_both_inputs[0][0], shared_projection_of_both_inputs[1][0]"),
    ("head (Dense)", "(None, 12)", "4,620", "concatenate[0][0]"),
]

CASES = {
    "lecture_80.txt": summary("sequential", 80, LECTURE, 61935),
    "lecture_80_adam.txt": summary("sequential", 80, LECTURE, 61935, **ADAM),
    "lecture_200.txt": summary("sequential", 200, LECTURE, 61935),
    "lecture_37.txt": summary("sequential", 37, LECTURE, 61935),
    "branches_80.txt": summary("branches", 80, BRANCHES, 37056, 4620),
    "branches_120.txt": summary("branches", 120, BRANCHES, 37056, 4620),
    "branches_50.txt": summary("branches", 50, BRANCHES, 37056, 4620),
}

for file, text in CASES.items():
    with open(os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), file), "w", encoding="utf-8") as out:
        out.write(text)
