"""The export stage: file formats, their comparison with the Keras model, and the model card."""
