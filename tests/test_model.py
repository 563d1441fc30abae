"""The CNN: its layers and its input."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import PROJECT, draw, make_project, recipe

from happysad.common.errors import UserError
from happysad.common.params import load
from happysad.data.prepared import read_split
from happysad.training import cnn, fit

fit.make_deterministic(load(PROJECT).train)  # before TensorFlow starts; later it may not change threads


@pytest.fixture
def split(tmp_path):
    for label, seeds in {"happy": range(6), "sad": range(6, 12)}.items():
        (tmp_path / "train" / label).mkdir(parents=True)
        for seed in seeds:
            draw(seed, 32, 32).save(tmp_path / "train" / label / f"{seed}.png")
    return tmp_path / "train"


def test_the_default_cnn():
    model = cnn.build(48, load(PROJECT).model)
    kinds = [type(layer).__name__ for layer in model.layers[1:]]
    conv = ["Conv2D", "BatchNormalization", "ReLU"] * 2
    assert kinds == [
        *("Rescaling", "Conv2D"),
        *[*conv, "MaxPooling2D"] * 4,
        *("Flatten", "Dense", "Dropout", "Dense"),
    ]
    [flat] = [layer for layer in model.layers if isinstance(layer, keras.layers.Flatten)]
    assert flat.output.shape[1:] == (3 * 3 * 64,)
    assert np.allclose(model.layers[1](np.array([0, 255])), [-1, 1])  # centred: trains in half the epochs
    assert model.layers[-1].activation is keras.activations.sigmoid


def test_the_plain_cnn(tmp_path):
    model = cnn.build(96, load(make_project(tmp_path, **recipe("plain"))).model)
    conv = (3 * 3 * 3 + 1) * 16 + (3 * 3 * 16 + 1) * 32 + (3 * 3 * 32 + 1) * 16
    assert model.count_params() == conv + (10 * 10 * 16 + 1) * 256 + 256 + 1
    kinds = [type(layer).__name__ for layer in model.layers[1:]]
    assert kinds == ["Rescaling", *["Conv2D", "MaxPooling2D"] * 3, "Flatten", "Dense", "Dense"]
    assert [layer.filters for layer in model.layers if hasattr(layer, "filters")] == [16, 32, 16]


def test_input_is_the_files_pixels(split):
    pictures, labels, files = read_split(split)
    assert pictures.dtype == np.uint8
    assert [file.split("/")[-2] for file in files] == [("sad", "happy")[y] for y in labels]
    for file, pixels in zip(files, pictures, strict=True):
        assert np.array_equal(pixels, draw(int(file.split("/")[-1][:-4]), 32, 32))
    assert {entry.name for entry in split.parent.iterdir()} == {split.name}  # the packed file has no name


def test_the_cnn_for_real_faces():
    params = replace(
        load(PROJECT).model,
        filters=(4, 8),
        spatial_dropout=0.1,
        pooling="average",
        dense_units=0,
        mirror=False,
    )
    model = cnn.build(48, params)
    kinds = [type(layer).__name__ for layer in model.layers[1:]]
    stage = [*["Conv2D", "BatchNormalization", "ReLU"] * 2, "MaxPooling2D", "SpatialDropout2D"]
    assert kinds == ["Rescaling", "Conv2D", *stage * 2, "GlobalAveragePooling2D", "Dropout", "Dense"]
    colours = np.stack([np.asarray(draw(seed, 48, 48)) for seed in range(3)])
    grey = np.stack([np.asarray(draw(seed, 48, 48).convert("L").convert("RGB")) for seed in range(3)])
    assert np.ptp(cnn.predict(model, grey)) > 1e-4
    assert np.allclose(cnn.predict(model, colours), cnn.predict(model, grey), atol=2e-3)  # "L" rounds


def test_with_mirror_a_picture_and_its_mirror_image_get_the_same_score(tmp_path):
    params = replace(load(PROJECT).model, batch_norm=False)  # which would change in training
    model = cnn.build(32, params)
    assert model.count_params() == cnn.build(32, replace(params, mirror=False)).count_params()
    pictures = np.stack([np.asarray(draw(seed, 32, 32)) for seed in range(3)])
    mirrored = np.ascontiguousarray(pictures[:, :, ::-1])
    scores = cnn.predict(model, pictures)
    assert np.allclose(scores, cnn.predict(model, mirrored), atol=1e-6)
    assert np.ptp(scores) > 1e-4
    sides = [cnn.train_scores(model, tf.constant(p)).numpy() for p in (pictures, mirrored)]
    assert not np.allclose(*sides, atol=1e-4)  # in training, one side of the face at a time
    cnn.save(model, tmp_path / "model.keras")
    assert np.array_equal(cnn.predict(cnn.load(tmp_path / "model.keras"), pictures), scores)


def test_too_many_stages_for_the_pictures():
    params = replace(load(PROJECT).model, padding="valid", convolutions=1)
    with pytest.raises(UserError, match=r"model\.filters has too many entries for pictures of 24 pixels"):
        cnn.build(24, replace(params, filters=(4,) * 5))
    cnn.build(24, replace(params, filters=(4,) * 4, padding="same"))
    with pytest.raises(UserError, match=r"model\.filters has too many entries"):
        cnn.build(24, replace(params, filters=(4,) * 3, convolutions=2))


def test_missing_model_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="dvc repro"):
        cnn.load(tmp_path / "model.keras")
