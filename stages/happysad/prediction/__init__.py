"""Behind predict: exported models, run without TensorFlow."""
