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
from happysad.common.params import Model, Train

LUMA = np.array([0.299, 0.587, 0.114], np.float32).reshape(1, 1, 3, 1)  # of ITU-R BT.601, as in Pillow's "L"
VERSIONS = {"tensorflow": tf.__version__, "keras": keras.__version__}


def build(image_size: int, params: Model) -> keras.Model:
    """uint8 pictures (batch, image_size, image_size, 3) RGB -> scores (batch, 1), the probability of happy.

    Raises UserError where the pictures are too small for so many stages.
    """
    inputs = keras.Input((image_size, image_size, 3), dtype="uint8", name="pictures")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)  # to [-1, 1]: trains faster than [0, 1]
    if params.grey:
        x = keras.layers.Conv2D(1, 1, use_bias=False, trainable=False, name="grey")(x)
    if params.mirror:  # operations and not layers, so that train_scores skips them
        x = keras.ops.concatenate([x, keras.ops.flip(x, axis=2)])
    for filters in params.filters:
        border = 2 * params.convolutions if params.padding == "valid" else 0
        if x.shape[1] < 2 + border:
            raise UserError(
                f"params.yaml: model.filters has too many entries for pictures of {image_size} pixels: "
                f"remove one, or set model.padding to same"
            )
        for _ in range(params.convolutions):
            if params.batch_norm:
                x = keras.layers.Conv2D(filters, 3, padding=params.padding, use_bias=False)(x)
                x = keras.layers.BatchNormalization()(x)
                x = keras.layers.ReLU()(x)
            else:
                x = keras.layers.Conv2D(filters, 3, padding=params.padding, activation="relu")(x)
        x = keras.layers.MaxPooling2D()(x)
        x = keras.layers.SpatialDropout2D(params.spatial_dropout)(x) if params.spatial_dropout else x
    x = keras.layers.GlobalAveragePooling2D()(x) if params.pooling == "average" else keras.layers.Flatten()(x)
    x = keras.layers.Dense(params.dense_units, activation="relu")(x) if params.dense_units else x
    if params.mirror:
        x = keras.ops.mean(keras.ops.reshape(x, (2, -1, x.shape[1])), axis=0)
    x = keras.layers.Dropout(params.dropout)(x) if params.dropout else x
    outputs = keras.layers.Dense(1, activation="sigmoid", name="score")(x)
    model = keras.Model(inputs, outputs, name="happysad")
    if params.grey:
        model.get_layer("grey").set_weights([LUMA])
    return model


def set_precision(model: keras.Model, precision: str) -> None:
    """Have every layer but the last compute in ``precision``, float32 or mixed_bfloat16; weights stay float32."""
    for layer in model.layers[:-1]:
        layer.dtype_policy = precision
    compiled.cache_clear()


def train_scores(model: keras.Model, pictures: tf.Tensor) -> tf.Tensor:
    """Scores (batch,) of uint8 pictures (batch, image_size, image_size, 3) in training: without their mirror images."""
    for layer in model.layers[1:]:
        pictures = layer(pictures, training=True)
    return pictures[:, 0]


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


Weights = dict[str, list[np.ndarray]]  # by name of layer


def read_start(root: Path, params: Train) -> Weights:
    """The weights of the model that training begins with; none where ``params`` name no model."""
    if params.start is None:
        return {}
    return {layer.name: layer.get_weights() for layer in load(root / params.start).layers}


def start_from(model: keras.Model, weights: Weights) -> None:
    """Assign ``weights`` to the layers of ``model`` that have the same name and shapes; the others stay random.

    No weights, no change. Raises UserError if there are some, but for no layer.
    """
    if not weights:
        return
    layers = [layer for layer in model.layers if layer.weights]
    alike = [layer for layer in layers if shapes(weights.get(layer.name, [])) == shapes(layer.weights)]
    if not alike:
        raise UserError(
            "params.yaml: no layer of the model fits train.start: copy model: from its params.yaml"
        )
    for layer in alike:
        layer.set_weights(weights[layer.name])
    random = ", ".join(layer.name for layer in layers if layer not in alike)
    print(f"weights of {len(alike)} layers from train.start; random weights for: {random or 'none'}")


def shapes(weights: list) -> list[tuple[int, ...]]:
    return [tuple(w.shape) for w in weights]
