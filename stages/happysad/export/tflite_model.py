"""The Keras model as LiteRT (TFLite) flatbuffers: float32, and quantised to int8."""

import zipfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from happysad.export.serving import inference


def float32(classifier: keras.Model) -> bytes:
    """uint8 ``pictures`` (1, size, size, 3) -> float32 ``scores`` (1, 2)."""
    return converter(classifier, tf.uint8).convert()


def int8(classifier: keras.Model, representative: np.ndarray) -> bytes:
    """The same in integers throughout, but for ``scores``, which are float32 in steps of 1/256.

    ``representative``, uint8 (n, size, size, 3), are training pictures: they show how large activations become.
    """
    quantised = converter(classifier, tf.float32)  # what is quantised must start from floats
    quantised.optimizations = [tf.lite.Optimize.DEFAULT]
    quantised.representative_dataset = lambda: (
        [picture[None].astype(np.float32)] for picture in representative
    )
    quantised.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    quantised.inference_input_type = tf.uint8
    return quantised.convert()


def converter(classifier: keras.Model, dtype: tf.DType) -> tf.lite.TFLiteConverter:
    # One picture a call: with a batch of any size, Flatten becomes shape arithmetic that not every
    # accelerator runs.
    function = inference(classifier, 1, dtype).get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())


def write(flatbuffer: bytes, attached: dict[str, str], path: Path) -> None:
    """The flatbuffer and, as a zip behind it, the text files ``attached``, by name: ``unzip`` shows them."""
    path.write_bytes(flatbuffer)
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in attached.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # dated 1980
