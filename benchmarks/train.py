"""What training on a picture costs, next to the tutorials' own loop, with the same CNN, size and batches.

    python benchmarks/train.py DIR [--size 48] [--epochs 5]

DIR holds happy/ and sad/. The tutorials' way, benchmarks/tutorial.py, runs in a process of its own, with TensorFlow's
defaults. Ours, with data augmentation: pictures decoded once, then as in stages/train.py. They train in turn, so that both
meet the same load of the machine. The first epochs, in which TensorFlow traces, are left out.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stages"))

import numpy as np

from happysad import CLASSES
from happysad.common import images, params
from happysad.common.cli import PROJECT
from happysad.data.prepared import Split
from happysad.training import cnn, fit

TUTORIAL = Path(__file__).with_name("tutorial.py")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    settings = params.load(PROJECT)
    fit.make_deterministic(settings.train)
    pictures, labels = decode(options.folder, options.size)
    part = np.random.default_rng(1).permutation(len(labels))[: int(0.7 * len(labels))]
    split = Split(pictures[part], labels[part], [])
    steps = len(fit.shuffle(len(part), settings.train, 1))
    model = cnn.build(options.size, settings.model)
    fit.compile_(model, "adam", settings.train, happy=0.5)
    data = fit.batches(split, settings)

    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    arguments = [options.folder, options.size, settings.train.batch_size, *settings.model.filters]
    tutorial = subprocess.Popen(
        [sys.executable, TUTORIAL, *map(str, arguments)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    costs = {"ours": [], "tutorial": []}  # milliseconds of CPU and by the clock, per picture
    for _ in range(options.epochs + 1):
        cpu, clock = time.process_time(), time.perf_counter()
        model.fit(data, steps_per_epoch=steps, shuffle=False, verbose=0)
        n = steps * settings.train.batch_size
        costs["ours"].append(
            (1000 * (time.process_time() - cpu) / n, 1000 * (time.perf_counter() - clock) / n)
        )
        tutorial.stdin.write("one more\n")
        tutorial.stdin.flush()
        costs["tutorial"].append(tuple(map(float, tutorial.stdout.readline().split())))
    tutorial.stdin.close()
    medians = {
        name: [statistics.median(column) for column in zip(*rows[1:], strict=True)]
        for name, rows in costs.items()
    }
    for name, (cpu, clock) in medians.items():
        print(f"{name}: {cpu:.2f} ms of CPU, {clock:.2f} ms by the clock per picture")
    cpu, clock = (b / a for a, b in zip(*medians.values(), strict=True))
    print(f"tutorial / ours: {cpu:.2f} of the CPU, {clock:.2f} by the clock")


def decode(folder: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    pictures, labels = [], []
    for label, name in enumerate(CLASSES):
        for file in sorted((folder / name).iterdir()):
            try:
                pictures.append(images.squash(images.read(file, max_megapixels=64)[0], size))
            except images.Unusable:
                continue
            labels.append(label)
    return np.stack(pictures), np.array(labels)


if __name__ == "__main__":
    main()
