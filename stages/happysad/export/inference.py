"""What every exported file computes: from pictures to two scores."""

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2


def inference(model: keras.Model) -> tf.types.experimental.PolymorphicFunction:
    """uint8 ``pictures`` (1, size, size, 3) -> {"scores": float32 (1, 2)}, in the order of CLASSES; they add up to 1.

    One picture, since with a variable batch size Flatten becomes shape arithmetic that some accelerators cannot run.
    Weights become constants, so that a saved file holds nothing that differs between processes.
    """
    signature = [tf.TensorSpec((1, *model.input_shape[1:]), tf.uint8, name="pictures")]

    def scores(pictures: tf.Tensor) -> tf.Tensor:
        happy = model(tf.cast(pictures, tf.float32), training=False)
        return tf.concat([1 - happy, happy], axis=1)

    frozen = convert_variables_to_constants_v2(tf.function(scores, signature).get_concrete_function())
    return tf.function(lambda pictures: {"scores": frozen(pictures)[0]}, signature)
