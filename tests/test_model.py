"""The CNN: its layers, its input, and what becomes of it after training."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from conftest import PROJECT, draw, make_project, recipe
from scipy.special import logit

from happysad.common.errors import UserError
from happysad.common.params import load
from happysad.training import cnn

DEFAULT = load(PROJECT).model
SMALL = replace(DEFAULT, filters=(4, 6), dense_units=8)
PICTURES = np.stack([np.asarray(draw(seed, 32, 32)) for seed in range(6)])


def kinds(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers[1:]]


def test_the_default_is_three_conv_relu_pooling_then_dense_256_and_a_sigmoid():
    model = cnn.build(48, DEFAULT)
    blocks = ["Conv2D", "ReLU", "MaxPooling2D"] * 3
    assert kinds(model) == ["Rescaling", *blocks, "Flatten", "Dense", "Dropout", "Dense"]
    dense, score = model.layers[-3], model.layers[-1]
    assert (dense.units, dense.activation) == (256, keras.activations.relu)
    assert (score.units, score.activation) == (1, keras.activations.sigmoid)
    conv = (9 * 1 + 1) * 32 + (9 * 32 + 1) * 64 + (9 * 64 + 1) * 128
    assert model.count_params() == conv + (6 * 6 * 128 + 1) * 256 + 257
    assert np.allclose(model.layers[1](np.array([0, 255])), [-1, 1])


def test_the_recipe_for_real_faces(tmp_path):
    model = cnn.build(48, load(make_project(tmp_path, **recipe("faces"))).model)
    block = [*["Conv2D", "BatchNormalization", "ReLU"] * 2, "MaxPooling2D"]
    assert kinds(model) == ["Rescaling", *block * 4, "GlobalAveragePooling2D", "Dropout", "Dense"]


def test_it_sees_grey_pictures_of_0_to_255():
    grey = np.stack([np.asarray(draw(seed, 32, 32).convert("L").convert("RGB")) for seed in range(6)])
    model = cnn.build(32, SMALL)
    scores = cnn.predict(model, PICTURES)
    assert np.ptp(scores) > 1e-4
    assert np.allclose(scores, cnn.predict(model, grey), atol=2e-3)  # "L" rounds
    as_keras_reads_folders = PICTURES.astype(np.float32)
    assert np.allclose(scores, cnn.predict(model, as_keras_reads_folders))


def test_a_picture_and_its_mirror_image_get_the_same_score_from_the_mean_of_the_logits():
    plain = cnn.build(32, SMALL)
    mirrored = np.ascontiguousarray(PICTURES[:, :, ::-1])
    sides = [cnn.predict(plain, pictures) for pictures in (PICTURES, mirrored)]
    assert np.ptp(sides, axis=0).max() > 1e-4
    model = cnn.with_mirror_image(plain)
    scores = cnn.predict(model, PICTURES)
    assert np.allclose(scores, cnn.predict(model, mirrored), atol=1e-6)
    assert np.allclose(logit(scores), logit(sides).mean(axis=0), atol=1e-5)


def test_too_many_blocks_for_the_pictures():
    with pytest.raises(UserError, match=r"model\.filters has too many entries for pictures of 24 pixels"):
        cnn.build(24, replace(SMALL, filters=(4,) * 5))
    cnn.build(24, replace(SMALL, filters=(4,) * 4))


def test_missing_model_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="dvc repro"):
        cnn.load(tmp_path / "model.keras")


def test_start_takes_the_weights_of_layers_of_the_same_shape(tmp_path, capsys):
    def build(**changes) -> keras.Model:
        keras.backend.clear_session()  # as fit does: names of layers are counted from there
        return cnn.build(32, replace(SMALL, **changes))

    saved, path = build(), tmp_path / "model.keras"
    cnn.save(cnn.with_mirror_image(saved), path)
    same = build()
    assert not all(map(np.array_equal, saved.get_weights(), same.get_weights()))
    cnn.start_from(same, path)
    assert all(map(np.array_equal, saved.get_weights(), same.get_weights()))

    wider = build(filters=(4, 7))
    before = wider.get_weights()
    cnn.start_from(wider, path)
    kept = [np.array_equal(a, b) for a, b in zip(before, wider.get_weights(), strict=True)]
    assert np.array_equal(wider.get_weights()[0], saved.get_weights()[0])
    assert kept[2:6] == [True] * 4  # the second convolution and the dense layer, which fit no longer
    assert (
        "weights of 2 layers from train.start; random weights for: conv2d_1, dense\n"
        in capsys.readouterr().out
    )

    with pytest.raises(UserError, match="no layer of the model fits"):
        cnn.start_from(build(filters=(5,), dense_units=9), path)
