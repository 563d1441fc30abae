"""What training on a picture costs, next to the loop of the well-known tutorials with the same CNN, size and batches.

    python benchmarks/train.py DIR [--size 48] [--epochs 5]

DIR holds happy/ and sad/. Ours: pictures decoded once, then as in stages/train.py, with data augmentation. The
tutorials': image_dataset_from_directory, x / 255 and fit, with the defaults of Keras and TensorFlow and no
augmentation. Each runs in a process of its own. The first epoch, in which TensorFlow traces, is left out.
"""

import argparse
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stages"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--epochs", type=int, default=5)
    options = vars(parser.parse_args())
    costs = []
    for way in (ours, tutorial):
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            cpu, clock = pool.submit(way, **options).result()
        print(f"{way.__name__}: {cpu:.2f} ms of CPU, {clock:.2f} ms by the clock per picture")
        costs.append((cpu, clock))
    cpu, clock = (b / a for a, b in zip(*costs, strict=True))
    print(f"tutorial / ours: {cpu:.2f} of the CPU, {clock:.2f} by the clock")


def ours(folder: Path, size: int, epochs: int) -> tuple[float, float]:
    from happysad import CLASSES  # here, since it changes settings of TensorFlow
    from happysad.common import images, params
    from happysad.common.cli import PROJECT
    from happysad.data.prepared import Split
    from happysad.training import cnn, fit

    settings = params.load(PROJECT)
    fit.make_deterministic(settings.train)
    pictures, labels = [], []
    for label, name in enumerate(CLASSES):
        for file in sorted((folder / name).iterdir()):
            try:
                pictures.append(images.decode(file, size, max_megapixels=64))
            except images.Unusable:
                continue
            labels.append(label)
    part = np.random.default_rng(1).permutation(len(labels))[: int(0.7 * len(labels))]
    split = Split(np.stack(pictures)[part], np.array(labels)[part], [])
    steps = len(fit.shuffle(len(part), settings.train, 1))
    model = cnn.build(size, settings.model)
    model.compile("adam", "binary_focal_crossentropy", metrics=["accuracy"])
    per_epoch = {"steps_per_epoch": steps, "shuffle": False}
    return cost(model, fit.batches(split, settings), steps * settings.train.batch_size, epochs, **per_epoch)


def tutorial(folder: Path, size: int, epochs: int) -> tuple[float, float]:
    import keras
    import yaml
    from keras import layers

    settings = yaml.safe_load(Path(__file__).parents[1].joinpath("params.yaml").read_text())
    batch_size = settings["train"]["batch_size"]
    data = keras.utils.image_dataset_from_directory(
        folder, image_size=(size, size), batch_size=batch_size, verbose=False
    )
    train = data.map(lambda x, y: (x / 255, y)).take(int(len(data) * 0.7))
    model = keras.Sequential([keras.Input((size, size, 3))])
    for filters in settings["model"]["filters"]:
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(256, activation="relu"))
    model.add(layers.Dropout(0.4))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return cost(model, train, len(train) * batch_size, epochs)


def cost(model, data, pictures: int, epochs: int, **options) -> tuple[float, float]:
    """Milliseconds of CPU and by the clock per picture: the medians over ``epochs``, each of ``pictures``."""
    cpu, clock = [], []
    for _ in range(epochs + 1):
        cpu.append(-time.process_time())
        clock.append(-time.perf_counter())
        model.fit(data, verbose=0, **options)
        cpu[-1] += time.process_time()
        clock[-1] += time.perf_counter()
    return tuple(1000 * statistics.median(times[1:]) / pictures for times in (cpu, clock))


if __name__ == "__main__":
    main()
