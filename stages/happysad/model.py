"""The CNN: what it is, what it is fed, how it is saved."""

import json
import re
import zipfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from happysad import CLASSES
from happysad.params import Model


def build(image_size: int, params: Model) -> keras.Model:
    """uint8 pictures (batch, image_size, image_size, 3) RGB -> scores (batch, 1), the probability of happy."""
    inputs = keras.Input((image_size, image_size, 3), dtype="uint8", name="pictures")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    for filters in params.filters:
        x = keras.layers.Conv2D(filters, 3, activation="relu")(x)
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(params.dense_units, activation="relu")(x)
    outputs = keras.layers.Dense(1, activation="sigmoid", name="score")(x)
    return keras.Model(inputs, outputs, name="happysad")


def open_split(folder: Path, batch_size: int, seed: int | None = None) -> tuple[tf.data.Dataset, list[str]]:
    """Batches of uint8 pictures (batch, image_size, image_size, 3) and labels (batch, 1), and the files' paths.

    Decoded in the first pass and kept in memory. With a ``seed`` each pass is in a new order of all
    pictures; without one the order is that of the paths.
    """
    image_size = keras.utils.load_img(next(folder.glob("*/*.png"))).size
    files = keras.utils.image_dataset_from_directory(
        folder,
        class_names=CLASSES,
        label_mode="binary",
        image_size=image_size,
        batch_size=None,
        shuffle=False,
        verbose=False,
    )
    # uint8, since float32 would take four times the memory for the same values
    data = files.map(lambda picture, label: (tf.cast(picture, tf.uint8), label)).cache()
    if seed is not None:
        data = data.shuffle(len(files), seed=seed)
    return data.batch(batch_size).prefetch(2), files.file_paths


def answers(model: keras.Model, data: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) int, 1 for happy, and scores (n,) float of the batches in ``data``, in their order."""
    labels = np.concatenate([labels for _, labels in data])
    scores = model.predict(data, verbose=0)
    return labels[:, 0].astype(int), scores[:, 0].astype(float)


def save(model: keras.Model, path: Path) -> None:
    """As ``model.save(path)``, but the same model gives the same bytes: no dates, no memory addresses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name("partial.keras")
    model.save(written)
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(path, "w") as target:
        for name in sorted(source.namelist()):
            content = source.read(name)
            if name == "metadata.json":
                content = json.dumps({**json.loads(content), "date_saved": ""}).encode()
            if name == "config.json":
                addresses = {}  # Keras tells objects that layers share by where they lie; number them instead
                content = re.sub(
                    rb'(?<="shared_object_id": )\d+',
                    lambda match: b"%d" % addresses.setdefault(match[0], len(addresses)),  # noqa: B023
                    content,
                )
            target.writestr(zipfile.ZipInfo(name), content)  # dated 1980
    written.unlink()


def load(path: Path) -> keras.Model:
    """Raises ValueError if there is no model."""
    if not path.exists():
        raise ValueError(f"{path} is missing: run `dvc repro`")
    return keras.models.load_model(path)
