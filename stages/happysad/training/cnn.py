"""The CNN: how it is built, run, saved and loaded."""

import json
import math
import re
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from happysad.common.errors import UserError
from happysad.common.files import replacing_file
from happysad.common.params import Model

VERSIONS = {"tensorflow": tf.__version__, "keras": keras.__version__}


def build(image_size: int, params: Model) -> keras.Model:
    """uint8 pictures (batch, image_size, image_size, 3) RGB -> scores (batch, 1), the probability of happy.

    Raises UserError where the pictures are too small for so many stages.
    """
    inputs = keras.Input((image_size, image_size, 3), dtype="uint8", name="pictures")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)  # to [-1, 1]: trains faster than [0, 1]
    for filters in params.filters:
        if x.shape[1] < (4 if params.padding == "valid" else 2):
            raise UserError(
                f"params.yaml: model.filters has too many entries for pictures of {image_size} pixels: "
                f"remove one, or set model.padding to same"
            )
        if params.batch_norm:
            x = keras.layers.Conv2D(filters, 3, padding=params.padding, use_bias=False)(x)
            x = keras.layers.BatchNormalization()(x)
            x = keras.layers.ReLU()(x)
        else:
            x = keras.layers.Conv2D(filters, 3, padding=params.padding, activation="relu")(x)
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(params.dense_units, activation="relu")(x)
    x = keras.layers.Dropout(params.dropout)(x) if params.dropout else x
    outputs = keras.layers.Dense(1, activation="sigmoid", name="score")(x)
    return keras.Model(inputs, outputs, name="happysad")


def predict(model: keras.Model, pictures: np.ndarray) -> np.ndarray:
    """Scores float (n,) of uint8 pictures (n, image_size, image_size, 3)."""
    batches = np.array_split(pictures, math.ceil(len(pictures) / 256))
    return np.concatenate([compiled(model)(batch).numpy() for batch in batches]).astype(float)


@cache
def compiled(model: keras.Model) -> Callable:
    """Keras' own predict_on_batch would have each GPU process the whole batch."""
    return tf.function(lambda pictures: model(pictures, training=False)[:, 0], reduce_retracing=True)


def save(model: keras.Model, path: Path) -> None:
    """As ``model.save(path)``, but the same model gives the same bytes: no dates, no memory addresses."""
    with replacing_file(path) as partial, tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "model.keras")  # Keras insists on the suffix
        model.save(written)
        with zipfile.ZipFile(written) as source, zipfile.ZipFile(partial, "w") as target:
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


def load(path: Path) -> keras.Model:
    """Raises UserError if there is no model."""
    if not path.exists():
        raise UserError(f"{path} is missing: run `dvc repro`")
    return keras.models.load_model(path)
