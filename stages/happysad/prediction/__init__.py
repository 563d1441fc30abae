"""Prediction with exported models, without TensorFlow."""
