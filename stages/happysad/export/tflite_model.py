"""The Keras model as LiteRT (TFLite) flatbuffers: float32, and quantised to int8."""

import zipfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from happysad.export.serving import inference


def write(model: keras.Model, representative: np.ndarray, attached: dict[str, str], out: Path) -> None:
    """Write ``out``/model.tflite and ``out``/model_int8.tflite.

    Each is a flatbuffer followed by a zip archive of ``attached``, text files by name, which ``unzip`` reads.
    """
    for name, flatbuffer in (("model", float32(model)), ("model_int8", int8(model, representative))):
        path = out / f"{name}.tflite"
        path.write_bytes(flatbuffer)
        with zipfile.ZipFile(path, "a") as archive:
            for file, text in attached.items():
                archive.writestr(zipfile.ZipInfo(file), text)  # dated 1980


def float32(model: keras.Model) -> bytes:
    """uint8 ``pictures`` (1, size, size, 3) -> float32 ``scores`` (1, 2)."""
    return converter(model, tf.uint8).convert()


def int8(model: keras.Model, representative: np.ndarray) -> bytes:
    """The same with integer arithmetic throughout, except for ``scores``: float32, in steps of 1/256.

    ``representative``, uint8 (n, size, size, 3), are training pictures, which show the range of activations.
    """
    quantised = converter(model, tf.float32)  # quantisation starts from floats
    quantised.optimizations = [tf.lite.Optimize.DEFAULT]
    quantised.representative_dataset = lambda: (
        [picture[None].astype(np.float32)] for picture in representative
    )
    quantised.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    quantised.inference_input_type = tf.uint8
    return quantised.convert()


def converter(model: keras.Model, dtype: tf.DType) -> tf.lite.TFLiteConverter:
    # One picture per call: with a variable batch size, Flatten becomes shape arithmetic that some accelerators
    # cannot run.
    function = inference(model, 1, dtype).get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
