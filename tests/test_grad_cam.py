"""Grad-CAM on a model whose score depends on two corners only."""

import keras
import numpy as np
import pytest
from conftest import draw

from happysad.evaluation.grad_cam import grad_cam, overlay


@pytest.fixture(scope="module")
def corners():
    """Light in the top left corner raises the score, light in the bottom right corner lowers it."""
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(2, 3, padding="same", activation="relu")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", name="score")(x))
    convolution = np.zeros((3, 3, 3, 2), np.float32)
    convolution[1, 1] = 1
    dense = np.zeros((16, 16, 2), np.float32)
    dense[:4, :4], dense[-4:, -4:] = 5, -5  # saturates: the gradient of the score itself is 0
    model.set_weights([convolution, np.zeros(2), dense.reshape(-1, 1), np.full(1, 50)])
    return model


def test_the_heat_lies_on_the_corner_that_decides(corners):
    pictures = np.stack([np.asarray(draw(seed, 32, 32)) | 64 for seed in range(4)])
    heat = grad_cam(corners, pictures, np.array([1, 1, 0, 0]))
    assert heat.shape == (4, 32, 32)
    assert heat.max(axis=(1, 2)) == pytest.approx(1, abs=0.01)
    assert (heat[:2, :8, :8].sum(axis=(1, 2)) > 0.95 * heat[:2].sum(axis=(1, 2))).all()
    assert (heat[2:, -8:, -8:].sum(axis=(1, 2)) > 0.95 * heat[2:].sum(axis=(1, 2))).all()


def test_overlay_is_red_where_it_is_hot():
    picture = np.full((8, 8, 3), 100, np.uint8)
    heat = np.zeros((8, 8))
    heat[:4] = 0.5
    shown = overlay(picture, heat)
    assert (shown[4:] == shown[4, 0, 0]).all()
    assert (shown[:4, :, 0] > shown[:4, :, 2].astype(int) + 50).all()
