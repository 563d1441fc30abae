"""What every exported file computes, from pictures to two scores; and the SavedModel, which is just that."""

from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from happysad.prediction.classifier import Score


def inference(
    model: keras.Model, batch: int | None, dtype: tf.DType = tf.uint8
) -> tf.types.experimental.PolymorphicFunction:
    """``pictures`` (batch, size, size, 3), values 0 to 255 -> {"scores": float32 (batch, 2)}.

    The columns are those of CLASSES and add up to 1. Weights become constants, so that a saved file holds
    nothing that differs between processes.
    """
    signature = [tf.TensorSpec((batch, *model.input_shape[1:]), dtype, name="pictures")]

    def scores(pictures: tf.Tensor) -> tf.Tensor:
        happy = model(tf.cast(pictures, tf.float32), training=False)
        return tf.concat([1 - happy, happy], axis=1)

    frozen = convert_variables_to_constants_v2(tf.function(scores, signature).get_concrete_function())
    return tf.function(lambda pictures: {"scores": frozen(pictures)[0]}, signature)


def write_saved_model(model: keras.Model, path: Path) -> None:
    """Signature ``serving_default``: uint8 ``pictures`` (batch, size, size, 3) -> ``scores`` (batch, 2)."""
    module = tf.Module()
    module.serve = inference(model, None)
    tf.saved_model.save(module, path, signatures=module.serve)
    (path / "fingerprint.pb").unlink()  # a random number, not needed to load the model


def load_saved_model(path: Path) -> Score:
    serve = tf.saved_model.load(path).signatures["serving_default"]
    return lambda picture: float(serve(pictures=tf.constant(picture[None]))["scores"][0, 1])
