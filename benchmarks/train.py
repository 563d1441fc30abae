"""What an epoch costs, next to the tutorials' own loop, on the same pictures, CNN, size and batches.

    python benchmarks/train.py DIR [--size 256] [--epochs 5]

DIR holds happy/ and sad/. The tutorials' way, benchmarks/tutorial.py, runs in a process of its own, with
TensorFlow's defaults. Ours: pictures decoded once, `happysad.fitting.fit`. Both train on 70% and validate on
20% of the batches, an epoch each in turn, so that both meet the same load of the machine. The first epoch, in
which TensorFlow traces, is left out, and so is our decoding, which is told apart.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stages"))
import happysad  # noqa: F401 - before TensorFlow, which it sets up

# isort: split
import keras
import numpy as np
import tensorflow as tf

from happysad import CLASSES
from happysad.common import images, params
from happysad.common.cli import PROJECT
from happysad.data.prepared import Split
from happysad.training import augmentation, cnn, fit

TUTORIAL = Path(__file__).with_name("tutorial.py")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    settings = params.load(PROJECT)
    train_params = replace(settings.train, epochs=options.epochs)
    fit.make_deterministic(train_params)

    began = Clock()
    pictures, labels = decode(options.folder, options.size)
    print(f"decoding {len(labels)} pictures once: {began}")
    order = np.random.default_rng(1).permutation(len(labels))
    first, second = int(0.7 * len(order)), int(0.9 * len(order))
    train, validation = (
        Split(pictures[part], labels[part], []) for part in (order[:first], order[first:second])
    )

    theirs = start_tutorial(options.folder, options.size, train_params.batch_size)
    ours = []
    tutorials = []
    clock = Clock()

    def after_our_epoch(row: dict) -> None:
        nonlocal clock
        ours.append(clock.seconds())
        theirs.stdin.write("one more\n")
        theirs.stdin.flush()
        tutorials.append(tuple(map(float, theirs.stdout.readline().split())))
        clock = Clock()

    model = cnn.build(options.size, settings.model)
    with tempfile.TemporaryDirectory() as folder, theirs:
        fit.fit(
            model, train, validation, train_params, settings.augment, Path(folder, "c.npz"), after_our_epoch
        )
        theirs.stdin.close()

    medians = {}
    for name, epochs in {"tutorial": tutorials, "ours": ours}.items():
        cpu, wall = medians[name] = [statistics.median(column) for column in zip(*epochs[1:], strict=True)]
        print(
            f"{name}: {cpu:.2f} s CPU, {wall:.2f} s by the clock an epoch; the first {epochs[0][0]:.2f} s CPU"
        )
    cpu, wall = (a / b for a, b in zip(*medians.values(), strict=True))
    print(f"tutorial / ours: {cpu:.2f} of the CPU, {wall:.2f} by the clock")

    clock = Clock()
    for i, batch in enumerate(fit.shuffle(len(train.labels), train_params, 1)):
        tf.convert_to_tensor(train.pictures[batch])
        augmentation.random_values(len(batch), 1, 1, i)
    epoch = medians["ours"][0]
    print(f"our input: {clock.seconds()[0] / epoch:.1%} of the epoch's CPU")
    work = operations(model) * (3 * len(train.labels) + len(validation.labels))
    peak = matrix_peak()
    print(
        f"float32 matrix peak {peak / 1e9:.0f} GFLOP per CPU s, of which an epoch reaches {work / epoch / peak:.0%}"
    )


def start_tutorial(folder: Path, size: int, batch_size: int) -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    return subprocess.Popen(
        [sys.executable, TUTORIAL, folder, str(size), str(batch_size)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


class Clock:
    def __init__(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def seconds(self) -> tuple[float, float]:
        return time.process_time() - self.cpu, time.perf_counter() - self.wall

    def __str__(self) -> str:
        return "{:.1f} s CPU, {:.1f} s by the clock".format(*self.seconds())


def decode(folder: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    pictures, labels = [], []
    for label, name in enumerate(CLASSES):
        for file in sorted((folder / name).iterdir()):
            try:
                pictures.append(images.decode(file, size, max_megapixels=64))
            except images.Unusable:
                continue
            labels.append(label)
    return np.stack(pictures), np.array(labels)


def operations(model: keras.Model) -> float:
    """Multiplications and additions of convolutions and dense layers for one picture, forward."""
    total = 0.0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            total += 2 * np.prod(layer.kernel.shape) * np.prod(layer.output.shape[1:3])
        if isinstance(layer, keras.layers.Dense):
            total += 2 * np.prod(layer.kernel.shape)
    return total


def matrix_peak(side: int = 1024) -> float:
    """Floating point operations per CPU second of the best of ten matrix products."""
    a = tf.random.stateless_uniform((side, side), (1, 2))
    best = 1e9
    for _ in range(10):
        clock = Clock()
        for _ in range(4):
            tf.linalg.matmul(a, a).numpy()
        best = min(best, clock.seconds()[0] / 4)
    return 2 * side**3 / best


if __name__ == "__main__":
    main()
