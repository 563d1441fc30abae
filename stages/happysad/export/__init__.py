"""The export stage: file formats, their comparison with the Keras model, and the model card."""

import happysad.training  # noqa: F401 - before TensorFlow, whose notes it hides
