"""The CNN: how it is built, run, saved and loaded."""

import json
import re
import tempfile
import zipfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from happysad.common.errors import UserError
from happysad.common.files import replacing_file
from happysad.common.params import Model

VERSIONS = {"tensorflow": tf.__version__, "keras": keras.__version__}


def build(image_size: int, params: Model) -> keras.Model:
    """RGB pictures (batch, image_size, image_size, 3), values 0 to 255 -> scores (batch, 1), the probability of happy.

    Raises UserError where the pictures are too small for so many blocks.
    """
    inputs = keras.Input((image_size, image_size, 3), name="pictures")
    x = keras.ops.image.rgb_to_grayscale(inputs)
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    for filters in params.filters:
        if x.shape[1] < 2:
            raise UserError(
                f"params.yaml: model.filters has too many entries for pictures of {image_size} pixels: remove one"
            )
        for _ in range(params.convolutions):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=not params.batch_norm)(x)
            if params.batch_norm:  # Keras' momentum of 0.99 lags behind for the first thousand steps
                x = layers.BatchNormalization(momentum=0.9)(x)
            x = layers.ReLU()(x)
        x = layers.MaxPooling2D()(x)
    x = layers.GlobalAveragePooling2D()(x) if params.pooling == "average" else layers.Flatten()(x)
    if params.dense_units:
        x = layers.Dense(params.dense_units, activation="relu")(x)
    x = layers.Dropout(params.dropout)(x)
    outputs = layers.Dense(1, activation="sigmoid", name="score")(x)
    return keras.Model(inputs, outputs, name="cnn")


def with_mirror_image(cnn: keras.Model) -> keras.Model:
    """``cnn``, but its features before the last layer are the mean over a picture and its mirror image."""
    features = keras.Model(cnn.input, cnn.layers[-1].input, name="features")
    pictures = keras.Input(cnn.input_shape[1:], name="pictures")
    mean = layers.average([features(pictures), features(keras.ops.flip(pictures, axis=2))])
    return keras.Model(pictures, cnn.get_layer("score")(mean), name="happysad")


def predict(model: keras.Model, pictures: np.ndarray) -> np.ndarray:
    """Scores float (n,) of uint8 pictures (n, image_size, image_size, 3)."""
    return model.predict(pictures, batch_size=256, verbose=0)[:, 0].astype(float)


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


def start_from(cnn: keras.Model, path: Path) -> None:
    """Assign the weights of the model saved at ``path`` to the layers of ``cnn`` with the same name and shapes.

    The other layers stay random. Raises UserError if there is no such model, or no such layer.
    """
    model = load(path)
    saved = {layer.name: layer for layer in (*model.get_layer("features").layers, model.layers[-1])}
    taken, random = [], []
    for layer in [layer for layer in cnn.layers if layer.weights]:
        try:
            layer.set_weights(saved[layer.name].get_weights())
            taken.append(layer.name)
        except (KeyError, ValueError):  # no layer of this name, or of another shape
            random.append(layer.name)
    if not taken:
        raise UserError(
            "params.yaml: no layer of the model fits train.start: use the settings under model in experiments/faces"
        )
    print(
        f"weights of {len(taken)} layers from train.start; random weights for: {', '.join(random) or 'none'}"
    )
