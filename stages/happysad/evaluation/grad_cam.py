"""Where the model looks: Grad-CAM."""

import keras
import numpy as np
import tensorflow as tf
from PIL import Image


def grad_cam(model: keras.Model, pictures: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Heat in [0, 1] where a place speaks for the answer: (n, side, side) for pictures (n, side, side, 3) uint8.

    ``answers`` (n,) is 1 where the answer to explain is happy and 0 where it is sad. Gradient of the logit,
    for sad with its sign turned, times the features of the last convolution (Selvaraju et al. 2017), in the
    element-wise form of Draelos and Carin (2020): a Dense layer over all places weighs each place by
    itself, so that a mean over the places, as in the original, would point at the wrong ones.
    """
    pooling = [layer for layer in model.layers if isinstance(layer, keras.layers.MaxPooling2D)][-1]
    score = model.get_layer("score")
    parts = keras.Model(
        model.input, [pooling.input, score.input]
    )  # what comes before is finer, and rectified
    with tf.GradientTape() as tape:
        # The logit, since the gradient of a score near 0 or 1 vanishes.
        features, last = parts(pictures, training=False)
        logit = tf.matmul(last, score.kernel) + score.bias
        spoken_for = logit[:, 0] * np.where(answers == 1, 1.0, -1.0)
    gradient = tape.gradient(spoken_for, features)
    heat = tf.nn.relu(tf.reduce_sum(gradient * features, axis=-1)).numpy()
    heat /= np.maximum(heat.max(axis=(1, 2), keepdims=True), 1e-12)
    size = pictures.shape[2], pictures.shape[1]
    return np.stack([np.asarray(Image.fromarray(h).resize(size, Image.Resampling.BILINEAR)) for h in heat])


def overlay(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The picture in grey, (side, side, 3) uint8, with ``heat`` (side, side) over it in red to yellow."""
    grey = np.asarray(Image.fromarray(picture).convert("L"), float)[..., None].repeat(3, axis=2) * 0.8
    colour = np.stack([np.full_like(heat, 255), 255 * heat, np.zeros_like(heat)], axis=2)
    strength = 0.75 * heat[..., None]
    return (grey * (1 - strength) + colour * strength).round().astype(np.uint8)
