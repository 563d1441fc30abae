"""What an epoch costs, next to the tutorial's own loop, on the same pictures, CNN, batches and threads.

    python benchmarks/train.py DIR [--size 256] [--epochs 5]

DIR holds happy/ and sad/. The tutorial's way: image_dataset_from_directory on the raw folder, x / 255,
Keras' fit with its defaults. Ours: pictures decoded once, `happysad.fitting.fit`. Both train on 70% and
validate on 20% of the batches, in turn, an epoch each, so that both meet the same load of the machine.
The first epoch, in which TensorFlow traces, is told apart from the others, and so is our decoding. Both run
with TensorFlow's deterministic operations, which may slow the tutorial's input.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stages"))
from happysad import CLASSES, fitting, images, model, params
from happysad.stage import PROJECT


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
    fitting.make_deterministic(train_params)

    began = Clock()
    pictures, labels = decode(options.folder, options.size)
    print(f"decoding {len(labels)} pictures once: {began}")
    order = np.random.default_rng(1).permutation(len(labels))
    first, second = int(0.7 * len(order)), int(0.9 * len(order))
    train, validation = (
        model.Split(pictures[part], labels[part], []) for part in (order[:first], order[first:second])
    )

    theirs = tutorial(options.folder, options.size, train_params.batch_size)
    ours = []
    tutorials = []
    clock = Clock()

    def after_our_epoch(row: dict) -> None:
        nonlocal clock
        ours.append(clock.seconds())
        clock = Clock()
        theirs()
        tutorials.append(clock.seconds())
        clock = Clock()

    cnn = model.build(options.size, settings.model)
    with tempfile.TemporaryDirectory() as folder:
        fitting.fit(
            cnn, train, validation, train_params, settings.augment, Path(folder, "c.npz"), after_our_epoch
        )

    for name, epochs in {"tutorial": tutorials, "ours": ours}.items():
        cpu, wall = (statistics.median(column) for column in zip(*epochs[1:], strict=True))
        print(
            f"{name}: {cpu:.2f} s CPU, {wall:.2f} s by the clock an epoch; the first {epochs[0][0]:.2f} s CPU"
        )
    ratios = [a[0] / b[0] for a, b in zip(tutorials[1:], ours[1:], strict=True)]
    print(f"tutorial / ours: {statistics.median(ratios):.2f} of the CPU")

    clock = Clock()
    for batch in fitting.shuffle(len(train.labels), train_params, 1):
        tf.convert_to_tensor(train.pictures[batch])
    cpu = statistics.median(cpu for cpu, _ in ours[1:])
    print(f"our input: {clock.seconds()[0] / cpu:.1%} of the epoch's CPU")
    per_picture = operations(cnn)
    work = per_picture * (3 * len(train.labels) + len(validation.labels))
    peak = matrix_peak()
    print(
        f"float32 matrix peak {peak / 1e9:.0f} GFLOP per CPU s, of which an epoch reaches {work / cpu / peak:.0%}"
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
                pictures.append(images.decode(file, size))
            except images.Unusable:
                continue
            labels.append(label)
    return np.stack(pictures), np.array(labels)


def tutorial(folder: Path, size: int, batch_size: int) -> Callable[[], object]:
    """A function that trains one epoch more."""
    data = keras.utils.image_dataset_from_directory(
        folder, class_names=CLASSES, image_size=(size, size), batch_size=batch_size, seed=1, verbose=False
    )
    batches = len(data)
    data = data.map(lambda x, y: (x / 255, y))
    train = data.take(int(0.7 * batches))
    validation = data.skip(int(0.7 * batches)).take(int(0.2 * batches))
    layers = keras.layers
    cnn = keras.Sequential(
        [
            keras.Input((size, size, 3)),
            *(layer for n in (16, 32, 16) for layer in (layers.Conv2D(n, 3, activation="relu"), layers.MaxPool2D())),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )  # fmt: skip
    cnn.compile("adam", loss="binary_crossentropy", metrics=["accuracy"])
    return lambda: cnn.fit(train, validation_data=validation, epochs=1, verbose=0)


def operations(cnn: keras.Model) -> float:
    """Multiplications and additions of convolutions and dense layers for one picture, forward."""
    total = 0.0
    for layer in cnn.layers:
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
