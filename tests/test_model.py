"""The CNN: its size, its input, its bytes on disk, and one epoch on a handful of pictures."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import PROJECT, draw

import train
from happysad import model
from happysad.params import load


@pytest.fixture
def split(tmp_path):
    for label, seeds in {"happy": range(6), "sad": range(6, 12)}.items():
        (tmp_path / label).mkdir()
        for seed in seeds:
            draw(seed, 32, 32).save(tmp_path / label / f"{seed}.png")
    return tmp_path


def test_the_cnn_of_the_mission():
    cnn = model.build(96, load(PROJECT).model)
    conv = (3 * 3 * 3 + 1) * 16 + (3 * 3 * 16 + 1) * 32 + (3 * 3 * 32 + 1) * 16
    assert cnn.count_params() == conv + (10 * 10 * 16 + 1) * 256 + 256 + 1
    kinds = [type(layer).__name__ for layer in cnn.layers[1:]]
    assert kinds == ["Rescaling", *["Conv2D", "MaxPooling2D"] * 3, "Flatten", "Dense", "Dense"]
    assert [layer.filters for layer in cnn.layers if hasattr(layer, "filters")] == [16, 32, 16]
    assert cnn.layers[-1].activation is keras.activations.sigmoid


def test_input_is_the_files_pixels(split):
    data, files = model.open_split(split, batch_size=5)
    pictures = np.concatenate([x for x, _ in data])
    labels = np.concatenate([y for _, y in data])
    assert pictures.dtype == np.uint8
    assert [f.split("/")[-2] for f in files] == [("sad", "happy")[int(y)] for y in labels[:, 0]]
    for file, pixels in zip(files, pictures, strict=True):
        assert np.array_equal(pixels, draw(int(file.split("/")[-1][:-4]), 32, 32))


def test_shuffling_is_full_seeded_and_new_each_epoch(split):
    def passes():
        keras.utils.set_random_seed(7)
        data, _ = model.open_split(split, batch_size=12, seed=3)
        return [next(iter(data))[0].numpy() for _ in range(3)]

    first, second = passes(), passes()
    assert np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
    assert np.array_equal(np.sort(first[0].ravel()), np.sort(first[1].ravel()))


def test_one_epoch_and_the_same_bytes_again(split, tmp_path):
    params = load(PROJECT)

    def bytes_of_a_run(name: str) -> bytes:
        keras.backend.clear_session()
        keras.utils.set_random_seed(5)
        cnn = model.build(32, params.model)
        before = cnn.get_weights()[0]
        data, _ = model.open_split(split, batch_size=4, seed=1)
        settings = replace(params.train, epochs=1)
        history = train.fit(cnn, data, data, settings, tmp_path / "logs")
        assert len(history) == 1
        assert not np.array_equal(before, cnn.get_weights()[0])
        model.save(cnn, tmp_path / name)
        x = tf.zeros((1, 32, 32, 3), tf.uint8)
        assert np.array_equal(cnn(x), model.load(tmp_path / name)(x))
        return (tmp_path / name).read_bytes()

    assert bytes_of_a_run("a.keras") == bytes_of_a_run("b.keras")


def test_best_epoch_is_kept(split, tmp_path):
    params = load(PROJECT)
    keras.utils.set_random_seed(5)
    cnn = model.build(32, params.model)
    data, _ = model.open_split(split, batch_size=4, seed=1)
    settings = replace(params.train, epochs=8, learning_rate=0.02)
    history = train.fit(cnn, data, data, settings, tmp_path / "logs")
    data, _ = model.open_split(split, batch_size=12)
    x, y = next(iter(data))
    loss = keras.losses.BinaryFocalCrossentropy(gamma=params.train.focal_gamma)(y, cnn(x))
    assert float(loss) == pytest.approx(min(row["validation_loss"] for row in history), rel=1e-4)


def test_calibration_is_folded_into_the_last_layer(split):
    cnn = model.build(32, load(PROJECT).model)
    data, _ = model.open_split(split, batch_size=12)
    x, y = next(iter(data))
    labels, before = y.numpy()[:, 0], cnn(x).numpy()[:, 0]
    slope, intercept = train.calibrate(cnn, labels, before)
    logit = np.log(before / (1 - before))
    assert np.allclose(cnn(x).numpy()[:, 0], 1 / (1 + np.exp(-(slope * logit + intercept))), atol=1e-5)


def test_missing_model_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="dvc repro"):
        model.load(tmp_path / "model.keras")
