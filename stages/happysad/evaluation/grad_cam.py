"""Grad-CAM: where in the picture the model finds its evidence."""

import keras
import numpy as np
import tensorflow as tf
from PIL import Image


def grad_cam(model: keras.Model, pictures: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Heat maps in [0, 1], (n, side, side), of the evidence for the predicted classes.

    ``pictures`` are (n, side, side, 3) uint8, ``predicted`` (n,) is 1 for happy and 0 for sad. The gradient of
    the logit, its sign reversed for sad, times the features of the last convolution (Selvaraju et al. 2017),
    in the element-wise form of Draelos and Carin (2020): the Dense layer has its own weights for each
    position, so averaging the gradient over positions, as in the original, would highlight the wrong ones.
    """
    pooling = [layer for layer in model.layers if isinstance(layer, keras.layers.MaxPooling2D)][-1]
    score = model.get_layer("score")
    parts = keras.Model(
        model.input, [pooling.input, score.input]
    )  # before pooling: finer, and after the ReLU
    with tf.GradientTape() as tape:
        # Of the logit, since the gradient of the score itself vanishes near 0 and 1.
        features, last = parts(pictures, training=False)
        logit = tf.matmul(last, score.kernel) + score.bias
        evidence = logit[:, 0] * np.where(predicted == 1, 1.0, -1.0)
    gradient = tape.gradient(evidence, features)
    heat = tf.nn.relu(tf.reduce_sum(gradient * features, axis=-1)).numpy()
    if len(heat) > len(pictures):  # with model.mirror, those of the mirror images follow
        heat = (heat[: len(pictures)] + heat[len(pictures) :, :, ::-1]) / 2
    heat /= np.maximum(heat.max(axis=(1, 2), keepdims=True), 1e-12)
    size = pictures.shape[2], pictures.shape[1]
    return np.stack([np.asarray(Image.fromarray(h).resize(size, Image.Resampling.BILINEAR)) for h in heat])


def overlay(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The picture in grey, (side, side, 3) uint8, under ``heat`` (side, side) in red to yellow."""
    grey = np.asarray(Image.fromarray(picture).convert("L"), float)[..., None].repeat(3, axis=2) * 0.8
    colour = np.stack([np.full_like(heat, 255), 255 * heat, np.zeros_like(heat)], axis=2)
    strength = 0.75 * heat[..., None]
    return (grey * (1 - strength) + colour * strength).round().astype(np.uint8)
