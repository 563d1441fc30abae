"""What every exported file computes: pictures in, two scores out."""

from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2


def inference(
    classifier: keras.Model, batch: int | None, dtype: tf.DType = tf.uint8
) -> tf.types.experimental.PolymorphicFunction:
    """``pictures`` (batch, size, size, 3), levels 0 to 255 -> {"scores": float32 (batch, 2)}.

    The columns are those of CLASSES and add up to 1. The weights are constants: a saved file then holds
    nothing that differs between processes.
    """
    signature = [tf.TensorSpec((batch, *classifier.input_shape[1:]), dtype, name="pictures")]

    def scores(pictures: tf.Tensor) -> tf.Tensor:
        for layer in classifier.layers[1:]:  # one after the other: the model itself would cast to uint8
            pictures = layer(pictures, training=False)
        return tf.concat([1 - pictures, pictures], axis=1)

    frozen = convert_variables_to_constants_v2(tf.function(scores, signature).get_concrete_function())
    return tf.function(lambda pictures: {"scores": frozen(pictures)[0]}, signature)


def write_saved_model(classifier: keras.Model, path: Path) -> None:
    """Signature ``serving_default``: uint8 ``pictures`` (batch, size, size, 3) -> ``scores`` (batch, 2)."""
    module = tf.Module()
    module.serve = inference(classifier, None)
    tf.saved_model.save(module, path, signatures=module.serve)
    (path / "fingerprint.pb").unlink()  # a random number; nothing needs it to load the model
