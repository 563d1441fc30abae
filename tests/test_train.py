"""Fitting: on a handful of pictures, twice to the same bits, on one device or two."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import PROJECT, draw
from PIL import Image
from scipy.special import expit, logit

from happysad import CLASSES
from happysad.common import faces, images
from happysad.common.errors import UserError
from happysad.common.params import Augment, Params, load
from happysad.data.prepared import Split
from happysad.drawing.render import render
from happysad.drawing.sampling import sample_face
from happysad.training import augmentation, calibration, cnn, fit

PARAMS = load(PROJECT)
PARAMS = replace(
    PARAMS,
    model=replace(PARAMS.model, filters=(4, 4), dense_units=8),
    train=replace(PARAMS.train, epochs=2, batch_size=5),
)
fit.make_deterministic(PARAMS.train)  # before TensorFlow starts; later it may not change threads
STILL = Augment(*[0.0] * 6)
PICTURES = np.stack([np.asarray(draw(seed, 32, 32)) for seed in range(12)])
SPLIT = Split(PICTURES, np.arange(12) % 2, [])


def with_train(**changes) -> Params:
    return replace(PARAMS, train=replace(PARAMS.train, **changes))


def test_the_same_bytes_again(tmp_path):
    def run(name: str, **changes) -> bytes:
        model, history, _ = fit.fit(SPLIT, SPLIT, with_train(**changes), PROJECT)
        assert list(history["epoch"]) == [1, 2]
        cnn.save(model, tmp_path / name)
        loaded = cnn.load(tmp_path / name)
        assert np.array_equal(cnn.predict(loaded, PICTURES), cnn.predict(model, PICTURES))
        figures = loaded.evaluate(PICTURES, SPLIT.labels, verbose=0, return_dict=True)  # it is compiled
        assert figures["accuracy"] == ((cnn.predict(model, PICTURES) >= 0.5) == SPLIT.labels).mean()
        return (tmp_path / name).read_bytes()

    assert run("a.keras") == run("b.keras")
    assert run("a.keras") != run("c.keras", seed=2)


def test_the_best_epoch_is_kept_and_calibrated():
    contrary = SPLIT._replace(labels=1 - SPLIT.labels)  # the better on train, the worse on this
    model, history, line = fit.fit(SPLIT, contrary, with_train(epochs=6, learning_rate=0.01), PROJECT)
    losses = list(history["validation_loss"])
    best = np.argmin(losses)
    assert best < 5  # or the test would say nothing
    before = expit((logit(cnn.predict(model, PICTURES)) - line["intercept"]) / line["slope"])
    loss = model.loss(contrary.labels[:, None].astype(np.float32), before[:, None].astype(np.float32))
    mirrored = cnn.predict(model, PICTURES[:, :, ::-1])
    assert np.allclose(mirrored, cnn.predict(model, PICTURES), atol=1e-6)
    # The history is of the CNN without the mirror image: near, and nearer than the other epochs.
    assert np.argmin(np.abs(np.array(losses) - float(loss))) == best


def test_a_hundred_pictures_a_class_are_enough_to_learn_from():
    def draw_split(seed: int, n: int) -> Split:
        rng, labels = np.random.default_rng(seed), np.arange(n) % 2
        drawn = [render(sample_face(CLASSES[y], rng, pose=0.6), 96) for y in labels]  # the default
        return Split(np.stack([images.squash(faces.view(d, "face", 1.1)[0], 32) for d in drawn]), labels, [])

    params = load(PROJECT)
    train, validation, test = draw_split(1, 200), draw_split(2, 60), draw_split(3, 300)
    model, *_ = fit.fit(train, validation, params, PROJECT)
    right = (cnn.predict(model, test.pictures) >= 0.5) == test.labels
    assert right.mean() > 0.75


def test_divergence_is_one_line():
    with pytest.raises(UserError, match=r"diverged in epoch 1: lower train\.learning_rate"):
        fit.fit(SPLIT, SPLIT, with_train(learning_rate=1e38), PROJECT)


def test_both_classes_weigh_the_same():
    model = cnn.build(32, PARAMS.model)
    fit.compile_(model, "sgd", PARAMS.train, happy=0.25)
    happy, sad = (float(model.loss(np.float32([[y]]), np.float32([[abs(y - 0.3)]]))) for y in (1, 0))
    assert happy == pytest.approx(3 * sad)  # of which there are three times as many


def test_shuffling_is_seeded_new_each_epoch_and_repeats_a_small_data_set():
    params = replace(PARAMS.train, batch_size=32)
    for n, passes in ((3000, 1), (70, 23)):
        batches = fit.shuffle(n, params, 1)
        order = np.concatenate(batches)
        assert np.bincount(order).tolist() == [passes] * n
        assert len(batches) >= fit.MIN_STEPS
        sizes = [len(batch) for batch in batches]
        assert max(sizes) <= 32
        assert max(sizes) - min(sizes) <= 1
        assert np.array_equal(order, np.concatenate(fit.shuffle(n, params, 1)))
        assert not np.array_equal(order, np.concatenate(fit.shuffle(n, params, 2)))
        assert not np.array_equal(order[:n], np.sort(order[:n]))


def test_batches_are_augmented_anew():
    params = replace(PARAMS, augment=replace(STILL, brightness=0.2))
    [(first, labels), *rest] = (
        fit.batches(SPLIT, params).take(1 + 2 * len(fit.shuffle(12, PARAMS.train, 1))).as_numpy_iterator()
    )
    batch = fit.shuffle(12, PARAMS.train, 1)[0]
    assert np.array_equal(labels, SPLIT.labels[batch])
    assert np.array_equal(
        first,
        augmentation.augment(
            PICTURES[batch], augmentation.random_values(len(batch), 1, 1, 0), params.augment
        ),
    )
    assert len({pictures.tobytes() for pictures, _ in [(first, labels), *rest]}) == 1 + len(rest)


def test_two_devices_fit_what_one_fits(tmp_path):
    """Two parts of the CPU, as if they were GPUs."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "stages")}
    for devices in ("1", "2"):
        command = [sys.executable, PROJECT / "tests/replica.py", tmp_path / f"{devices}.npy", devices]
        subprocess.run(command, env=environment, check=True, capture_output=True)
    one, two = (np.load(tmp_path / f"{devices}.npy") for devices in "12")
    assert np.allclose(one, two, atol=1e-4)


# Calibration
def test_platt_of_a_small_split_that_made_newton_explode():
    labels = np.array([1, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 1])
    scores = np.array(
        [0.0306, 0.8634, 0.5911, 0.133, 0.6178, 0.9165, 0.2688, 0.7442, 0.0262, 0.9803, 0.9296, 0.9454]
    )
    slope, intercept = calibration.platt(labels, scores)
    targets = np.where(labels, 9 / 10, 1 / 6)
    assert (slope, intercept) == (
        pytest.approx(0.2944, abs=1e-4),
        pytest.approx(0.5725 - logit(targets.mean()), abs=1e-4),
    )


@pytest.mark.parametrize("seed", range(100))
def test_platt_is_never_worse_than_the_scores_as_they_were(seed):
    rng = np.random.default_rng(seed)
    labels = np.append([0, 1], rng.integers(0, 2, rng.integers(2, 299)))
    scores = expit(
        rng.normal(0, rng.choice([0.01, 1, 5, 20]), len(labels)) + labels * rng.choice([-1, 0, 0.5, 3, 50])
    )
    slope, intercept = calibration.platt(labels, scores)
    targets = np.where(labels, 1 - 1 / (labels.sum() + 2), 1 / ((1 - labels).sum() + 2))
    x = logit(np.clip(scores, 1e-7, 1 - 1e-7))

    def loss(logits: np.ndarray) -> float:
        return np.mean(np.logaddexp(0, logits) - targets * logits)

    assert loss(slope * x + intercept + logit(targets.mean())) <= loss(x) + 1e-6
    assert slope > 0
    calibrated = expit(slope * x + intercept).astype(np.float32)
    assert 0 < calibrated.min() <= calibrated.max() < 1


def test_without_skill_every_probability_is_near_one_half():
    labels = np.arange(40) % 4 == 0
    slope, intercept = calibration.platt(labels.astype(int), np.where(labels, 0.2, 0.8))
    assert np.abs(expit(slope * logit([0.2, 0.8]) + intercept) - 0.5).max() < 0.01


# Augmentation, each change by itself
VALUES = augmentation.random_values(len(PICTURES), 1, 2)


def augmented(**changes) -> np.ndarray:
    """Without mirroring, whose value comes first."""
    values = np.abs(VALUES, out=VALUES.copy(), where=np.arange(augmentation.RANDOM_VALUES) == 0)
    return np.asarray(augmentation.augment(PICTURES, values, replace(STILL, **changes)))


def test_mirror():
    assert np.array_equal(augmented(), PICTURES)
    changed = np.asarray(augmentation.augment(PICTURES, VALUES, STILL))
    mirrored = VALUES[:, 0] < 0
    assert 0 < mirrored.sum() < len(PICTURES)
    assert np.array_equal(changed[mirrored], PICTURES[mirrored, :, ::-1])
    assert np.array_equal(changed[~mirrored], PICTURES[~mirrored])


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
    for row, before, after in zip(
        VALUES, PICTURES, augmented(**{name: 0.2 * (100 if name == "rotation" else 1)}), strict=True
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
