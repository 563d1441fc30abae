"""The Keras model as a LiteRT (TFLite) flatbuffer, its weights in 16 bits: half the size for a phone."""

import zipfile
from pathlib import Path

import keras
import tensorflow as tf

from happysad.export.inference import inference


def write(model: keras.Model, attached: dict[str, str], out: Path) -> None:
    """Write ``out``/model.tflite: uint8 ``pictures`` (1, size, size, 3) -> float32 ``scores`` (1, 2).

    It is a flatbuffer followed by a zip archive of ``attached``, text files by name, which ``unzip`` reads.
    """
    function = inference(model).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    path = out / "model.tflite"
    path.write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as archive:
        for file, text in attached.items():
            archive.writestr(zipfile.ZipInfo(file), text)  # dated 1980
