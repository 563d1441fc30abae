"""Fitting: on a handful of pictures, twice to the same bits, and once more after a kill."""

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import PROJECT, SMALL, draw, make_project
from PIL import Image

from happysad.common.errors import UserError
from happysad.common.params import Augment, load
from happysad.data.prepared import Split
from happysad.training import augmentation, cnn, fit

PARAMS = load(PROJECT)
PARAMS = replace(
    PARAMS,
    model=replace(PARAMS.model, grey=False, convolutions=1, padding="valid", mirror=False),
    train=replace(PARAMS.train, weight_decay=0.0, focal_gamma=2.0, label_smoothing=0.0),
)
fit.make_deterministic(PARAMS.train)  # before TensorFlow starts; later it may not change threads
AUGMENT = replace(
    PARAMS.augment, mirror=True, rotation=15.0, shift=0.1, zoom=0.1, brightness=0.1, contrast=0.2
)
STILL = Augment(False, *[0.0] * 6)
PICTURES = np.stack([np.asarray(draw(seed, 32, 32)) for seed in range(12)])
SPLIT = Split(PICTURES, np.arange(12) % 2, [])


def small_cnn(batch_norm: bool = True, dropout: float = 0.3) -> keras.Model:
    keras.backend.clear_session()
    keras.utils.set_random_seed(5)
    params = replace(PARAMS.model, filters=(4, 4), batch_norm=batch_norm, dropout=dropout, dense_units=8)
    return cnn.build(32, params)


def fit_small(model: keras.Model, folder: Path, epochs: int = 1, validation=SPLIT, **changes) -> list[dict]:
    settings = {"schedule": "cosine", "warmup_epochs": 1.0, "weight_decay": 0.01, "batch_size": 5}
    params = replace(PARAMS.train, **{**settings, **changes, "epochs": epochs})
    return fit.fit(model, SPLIT, validation, params, AUGMENT, folder / "checkpoint.npz")


def test_one_epoch_and_the_same_bytes_again(tmp_path):
    def bytes_of_a_run(name: str) -> bytes:
        model = small_cnn()
        before = model.get_weights()[-1]
        assert len(fit_small(model, tmp_path / name)) == 1
        assert not np.array_equal(before, model.get_weights()[-1])
        cnn.save(model, tmp_path / f"{name}.keras")
        x = tf.zeros((1, 32, 32, 3), tf.uint8)
        assert np.array_equal(model(x), cnn.load(tmp_path / f"{name}.keras")(x))
        return (tmp_path / f"{name}.keras").read_bytes()

    assert bytes_of_a_run("a") == bytes_of_a_run("b")


def test_steps_are_those_of_keras(tmp_path):
    ours, theirs = small_cnn(dropout=0.0), small_cnn(dropout=0.0)
    params = replace(PARAMS.train, epochs=1, batch_size=4, schedule="constant", learning_rate=0.001)
    fit.fit(ours, SPLIT, SPLIT, params, STILL, tmp_path / "checkpoint.npz")
    theirs.compile("adam", keras.losses.BinaryFocalCrossentropy(gamma=params.focal_gamma))
    for batch in fit.shuffle(len(PICTURES), params, 1):
        theirs.train_on_batch(PICTURES[batch], SPLIT.labels[batch])
    for mine, its in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert np.allclose(mine, its, atol=1e-5)


def test_best_epoch_is_kept(tmp_path):
    model = small_cnn(batch_norm=False, dropout=0.0)
    contrary = SPLIT._replace(labels=1 - SPLIT.labels)  # the better on train, the worse on this
    history = fit_small(
        model, tmp_path, epochs=10, validation=contrary, schedule="constant", learning_rate=0.01
    )
    loss = keras.losses.BinaryFocalCrossentropy(gamma=PARAMS.train.focal_gamma)
    kept = loss(contrary.labels[:, None], cnn.predict(model, PICTURES)[:, None])
    losses = [row["validation_loss"] for row in history]
    assert float(kept) == pytest.approx(min(losses), rel=1e-4)
    assert losses[-1] != min(losses)  # or the test would say nothing


def test_learning_rate_rises_and_falls(tmp_path):
    rates = [row["learning_rate"] for row in fit_small(small_cnn(), tmp_path, epochs=5, learning_rate=0.01)]
    assert rates[0] == pytest.approx(0.01)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-6)


def test_what_another_run_left_is_not_resumed(tmp_path, capsys):
    fit_small(small_cnn(), tmp_path, epochs=2)
    capsys.readouterr()
    fit_small(small_cnn(), tmp_path, epochs=2, learning_rate=0.003)
    assert "going on" not in capsys.readouterr().out
    fit_small(small_cnn(), tmp_path, epochs=2, learning_rate=0.003)
    assert "resuming after epoch 2" in capsys.readouterr().out


def test_shuffling_is_full_seeded_and_new_each_epoch():
    params = replace(PARAMS.train, batch_size=32)
    batches = fit.shuffle(70, params, 1)
    assert [len(batch) for batch in batches] == [24, 23, 23]
    order = np.concatenate(batches)
    assert sorted(order) == list(range(70))
    assert np.array_equal(order, np.concatenate(fit.shuffle(70, params, 1)))
    assert not np.array_equal(order, np.concatenate(fit.shuffle(70, params, 2)))


# Augmentation, each change by itself
def augmented(**changes) -> np.ndarray:
    values = augmentation.random_values(len(PICTURES), 1, 2)
    return np.asarray(augmentation.augment(PICTURES, values, replace(STILL, **changes)))


def test_no_change():
    assert np.array_equal(augmented(), PICTURES)


def test_mirror():
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(augmented(mirror=True), PICTURES, strict=True)]
    untouched = [np.array_equal(a, b) for a, b in zip(augmented(mirror=True), PICTURES, strict=True)]
    assert sum(mirrored) + sum(untouched) == len(PICTURES)
    assert any(mirrored)
    assert any(untouched)


@pytest.mark.parametrize("name", ["brightness", "contrast"])
def test_light(name):
    """Pixels keep their order, apart from what rounding and clipping make equal."""
    changed = augmented(**{name: 0.2})
    for before, after in zip(PICTURES, changed, strict=True):
        assert np.all(np.diff(after.ravel()[np.argsort(before, axis=None, kind="stable")].astype(int)) >= 0)
        assert not np.array_equal(before, after)
    means = changed.mean(axis=(1, 2, 3)) - PICTURES.mean(axis=(1, 2, 3))
    assert np.abs(means).max() < 1 if name == "contrast" else 10 < np.abs(means).max() <= 0.2 * 255


@pytest.mark.parametrize("name", ["rotation", "shift", "zoom"])
def test_geometry_is_that_of_pillow(name):
    values = augmentation.random_values(len(PICTURES), 1, 2)
    for row, before, after in zip(
        values, PICTURES, augmented(**{name: 0.2 * (100 if name == "rotation" else 1)}), strict=True
    ):
        _, turn, scale, right, down, *_ = map(float, row)
        picture, zoom, centre = Image.fromarray(before), 1 + 0.2 * scale, 16
        if name == "rotation":
            expected = picture.rotate(20 * turn, Image.Resampling.BILINEAR)
        else:
            affine = {
                "shift": (1, 0, 0.2 * 32 * right, 0, 1, 0.2 * 32 * down),
                "zoom": (zoom, 0, centre - zoom * centre, 0, zoom, centre - zoom * centre),
            }[name]
            expected = picture.transform((32, 32), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
        inside = slice(8, -8)  # nothing from beyond the border
        difference = after[inside, inside].astype(float) - np.asarray(expected)[inside, inside]
        assert np.abs(difference).max() <= 2
        assert np.abs(after[inside, inside].astype(float) - before[inside, inside]).max() > 2


def test_erasing_lays_a_grey_square_on_the_picture():
    for before, after in zip(PICTURES, augmented(erasing=0.5), strict=True):
        rows, columns = np.nonzero((before != after).any(axis=2))
        if len(rows):
            assert np.ptp(rows) < 16
            assert np.ptp(columns) < 16
            inside = after[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert np.ptp(inside) == 0
            assert inside[0, 0, 0] == pytest.approx(before.mean(), abs=1)
    assert (augmented(erasing=0.5) != PICTURES).any(axis=(1, 2, 3)).sum() > len(PICTURES) / 2


def test_in_bfloat16_the_model_stays_float32(tmp_path, monkeypatch):
    wholly, partly = small_cnn(), small_cnn()
    fit_small(wholly, tmp_path / "wholly")
    monkeypatch.setattr(fit, "precision", lambda params: "mixed_bfloat16")
    fit_small(partly, tmp_path / "partly")
    difference = np.abs(wholly.get_weights()[0] - partly.get_weights()[0]).max()
    assert 0 < difference < 0.01  # rounded to 8 bits, but the same training
    assert {weights.dtype for weights in partly.get_weights()} == {np.dtype(np.float32)}
    cnn.save(partly, tmp_path / "model.keras")
    loaded = cnn.load(tmp_path / "model.keras")
    assert {layer.compute_dtype for layer in loaded.layers[1:]} == {"float32"}
    assert np.array_equal(cnn.predict(loaded, PICTURES), cnn.predict(partly, PICTURES))


# Training that starts from the weights of another model
def start_in(root: Path, start: str | None = "models/faces/model.keras") -> cnn.Weights:
    return cnn.read_start(root, replace(PARAMS.train, start=start))


def test_start_takes_the_weights_of_layers_of_the_same_shape(tmp_path, capsys):
    saved = small_cnn()
    (tmp_path / "models/faces").mkdir(parents=True)
    cnn.save(saved, tmp_path / "models/faces/model.keras")
    start = start_in(tmp_path)
    same, other = small_cnn(), small_cnn()
    other.layers[-1].set_weights([w + 1 for w in other.layers[-1].get_weights()])
    cnn.start_from(other, start)
    assert all(map(np.array_equal, saved.get_weights(), other.get_weights()))
    assert capsys.readouterr().out == "weights of 6 layers from train.start; random weights for: none\n"

    keras.backend.clear_session()
    wider = cnn.build(32, replace(PARAMS.model, filters=(4, 6), batch_norm=True, dense_units=8))
    before = wider.get_layer("conv2d_1").get_weights()
    cnn.start_from(wider, {"conv2d": start["conv2d"], "conv2d_1": start["conv2d_1"]})
    assert np.array_equal(wider.get_layer("conv2d").get_weights(), same.get_layer("conv2d").get_weights())
    assert np.array_equal(wider.get_layer("conv2d_1").get_weights(), before)
    assert "weights of 1 layers from train.start; random weights for: batch_normalization, conv2d_1, " in (
        capsys.readouterr().out
    )


def test_a_start_that_cannot_serve(tmp_path):
    assert start_in(tmp_path, start=None) == {}
    make_project(tmp_path, train={"start": "models/model.keras"})
    with pytest.raises(UserError, match=r"train\.start must be one of models/faces/model\.keras"):
        load(tmp_path)
    with pytest.raises(UserError, match="no layer of the model fits"):
        cnn.start_from(small_cnn(), {"conv2d": []})


def test_calibration_is_folded_into_the_last_layer():
    model = small_cnn()
    before = cnn.predict(model, PICTURES)
    slope, intercept = fit.calibrate(model, SPLIT.labels, before)
    logit = np.log(before / (1 - before))
    expected = 1 / (1 + np.exp(-(slope * logit + intercept)))
    assert np.allclose(cnn.predict(model, PICTURES), expected, atol=1e-5)


def test_interrupted_and_killed_it_ends_in_the_same_bytes(finished, tmp_path):
    """Ctrl-C after epoch 1, kill -9 after epoch 2, before the model is written. The fixture's run had neither."""
    root = make_project(tmp_path, **SMALL)
    for split in ("train", "validation"):
        shutil.copytree(finished / "data/prepared" / split, root / "data/prepared" / split)

    def train(epoch: int = 0, how: int = 0) -> subprocess.CompletedProcess:
        """Run the stage in a process that signals itself after ``epoch``: no race with a busy machine."""
        code = f"""if True:
            import builtins, os, runpy, sys
            show = print
            def print_and_signal(*values, **options):
                show(*values, **options)
                if values[0].startswith("epoch {epoch}/"):
                    os.kill(os.getpid(), {int(how)})
            builtins.print = print_and_signal
            sys.path.insert(0, {str(PROJECT / "stages")!r})
            sys.argv = ["train.py", "--root", {str(root)!r}]
            runpy.run_path({str(PROJECT / "stages/train.py")!r}, run_name="__main__")
        """
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    interrupted, killed = train(1, signal.SIGINT), train(2, signal.SIGKILL)
    assert (interrupted.returncode, killed.returncode) == (1, -signal.SIGKILL)
    assert "Traceback" not in interrupted.stderr
    assert interrupted.stderr.endswith("interrupted\n")
    assert killed.stdout.startswith("resuming after epoch 1\nepoch 2/2")
    assert not (root / "models/model.keras").exists()
    done = train()
    assert (done.returncode, done.stdout) == (0, "resuming after epoch 2\n")
    for name in ("models/model.keras", "models/model.json", "metrics/history.csv"):
        assert (root / name).read_bytes() == (finished / name).read_bytes()
    assert not (root / "models/checkpoint.npz").exists()
