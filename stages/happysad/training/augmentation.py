"""Data augmentation, in training only: the random values it uses, and what they do to pictures."""

import math

import numpy as np
import tensorflow as tf

from happysad.common.params import Augment

RANDOM_VALUES = 10  # per picture


def random_values(n: int, *seed: int) -> np.ndarray:
    """Float32 (n, RANDOM_VALUES) in [-1, 1): all the randomness in the augmentation of ``n`` pictures."""
    return np.random.default_rng(seed).uniform(-1, 1, (n, RANDOM_VALUES)).astype(np.float32)


def augment(pictures: tf.Tensor, random_values: tf.Tensor, params: Augment) -> tf.Tensor:
    """uint8 pictures (batch, side, side, 3) -> the same shape, each changed according to its row of ``random_values``.

    One affine map does what Keras' RandomFlip, RandomRotation, RandomZoom and RandomTranslation do: pictures
    are interpolated once instead of three times, at a third of the cost.
    """
    flip_and_noise, turn, scale, right, down, light, spread, *hole = tf.unstack(random_values, axis=1)
    side = pictures.shape[1]
    flip = tf.where(flip_and_noise < 0, -1.0, 1.0)
    angle = turn * params.rotation * math.pi / 180
    zoom = 1 + scale * params.zoom
    # For each pixel of the result, where in the picture it comes from, relative to the centre.
    xx, xy = flip * zoom * tf.cos(angle), -flip * zoom * tf.sin(angle)
    yx, yy = zoom * tf.sin(angle), zoom * tf.cos(angle)
    centre = (side - 1) / 2
    x = centre - centre * (xx + xy) + right * params.shift * side
    y = centre - centre * (yx + yy) + down * params.shift * side
    zero = tf.zeros_like(x)
    changed = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(pictures, tf.float32),
        transforms=tf.stack([xx, xy, x, yx, yy, y, zero, zero], axis=1),
        output_shape=[side, side],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    gain, offset = 1 + spread * params.contrast, light * params.brightness * 255
    mean = tf.reduce_mean(changed, axis=(1, 2, 3))
    shape = (-1, 1, 1, 1)
    changed = changed * tf.reshape(gain, shape) + tf.reshape(mean * (1 - gain) + offset, shape)
    if params.erasing:  # Zhong et al. 2020, but a square of the picture's mean
        x, y, width = (tf.reshape((value + 1) / 2, (-1, 1)) for value in hole)
        at = tf.range(side, dtype=tf.float32) / side
        column, row = (tf.abs(at - centre) < width * params.erasing / 2 for centre in (x, y))
        erased = row[:, :, None, None] & column[:, None, :, None]
        changed = tf.where(erased, tf.reshape(mean, shape), changed)
    if params.noise:
        seed = tf.cast(random_values[0, :2] * 2**31, tf.int32)
        noise = tf.random.stateless_normal([tf.shape(pictures)[0], side, side, 1], seed)
        changed += noise * tf.reshape(tf.abs(flip_and_noise) * params.noise * 255, shape)
    return tf.cast(tf.round(tf.clip_by_value(changed, 0, 255)), tf.uint8)
