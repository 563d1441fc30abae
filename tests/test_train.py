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
from happysad.common import images
from happysad.common.errors import UserError
from happysad.common.params import Augment, Params, load
from happysad.data.prepared import Split
from happysad.drawing.render import render
from happysad.drawing.sampling import sample_face
from happysad.training import augmentation, calibration, cnn, fit

DEFAULT = load(PROJECT)
PARAMS = replace(
    DEFAULT,
    model=replace(DEFAULT.model, filters=(4, 4), dense_units=8),
    train=replace(DEFAULT.train, epochs=2, batch_size=5),
)
fit.make_deterministic(PARAMS.train)  # before TensorFlow starts; later it may not change threads
STILL = Augment(*[0.0] * 7)
PICTURES = np.stack([np.asarray(draw(seed, 32, 32)) for seed in range(12)])
SPLIT = Split(PICTURES, np.arange(12) % 3 // 2, [])


def with_train(**changes) -> Params:
    return replace(PARAMS, train=replace(PARAMS.train, **changes))


def test_the_same_bytes_again(tmp_path):
    def run(name: str) -> bytes:
        model, *_ = fit.fit(SPLIT, SPLIT, PARAMS, PROJECT)
        cnn.save(model, tmp_path / name)
        loaded = cnn.load(tmp_path / name)
        assert np.array_equal(cnn.predict(loaded, PICTURES), cnn.predict(model, PICTURES))
        figures = loaded.evaluate(PICTURES, SPLIT.labels, verbose=0, return_dict=True)  # it is compiled
        assert figures["accuracy"] == ((cnn.predict(model, PICTURES) >= 0.5) == SPLIT.labels).mean()
        # Both classes weigh the same: there are twice as many sad pictures.
        happy, sad = (float(loaded.loss(np.float32([[y]]), np.float32([[abs(y - 0.3)]]))) for y in (1, 0))
        assert happy == pytest.approx(2 * sad)
        return (tmp_path / name).read_bytes()

    assert run("a.keras") == run("b.keras")


def test_the_best_epoch_is_kept_and_calibrated():
    contrary = SPLIT._replace(labels=1 - SPLIT.labels)  # the better on train, the worse on this
    model, history, line = fit.fit(SPLIT, contrary, with_train(epochs=6, learning_rate=0.01), PROJECT)
    losses = history["validation_loss"].to_numpy()
    best = np.argmin(losses)
    assert best < 5  # or the test would say nothing
    before = expit((logit(cnn.predict(model, PICTURES)) - line["intercept"]) / line["slope"])
    loss = model.loss(contrary.labels[:, None].astype(np.float32), before[:, None].astype(np.float32))
    # The history is of the CNN without the mirror image: near, and nearer than the other epochs.
    assert np.argmin(np.abs(losses - float(loss))) == best


def test_it_learns_from_fifty_pictures_a_class():
    """The default, but for fewer and smaller steps, on plain faces: it must not end at chance."""

    def draw_split(seed: int) -> Split:
        rng, labels = np.random.default_rng(seed), np.arange(100) % 2
        drawn = [render(sample_face(CLASSES[label], rng, pose=0), 96) for label in labels]
        return Split(np.stack([images.squash(picture, 32) for picture in drawn]), labels, [])

    params = replace(DEFAULT, train=replace(DEFAULT.train, epochs=8, batch_size=16))
    validation = draw_split(12)
    model, *_ = fit.fit(draw_split(11), validation, params, PROJECT)
    assert ((cnn.predict(model, validation.pictures) >= 0.5) == validation.labels).mean() > 0.7


def test_divergence_is_one_line():
    with pytest.raises(UserError, match=r"diverged in epoch 1: lower train\.learning_rate"):
        fit.fit(SPLIT, SPLIT, with_train(learning_rate=1e38), PROJECT)


@pytest.mark.parametrize(("n", "passes"), [(3000, 1), (70, 23)])
def test_shuffling_is_seeded_new_each_epoch_and_repeats_a_small_data_set(n, passes):
    params = replace(PARAMS.train, batch_size=32)
    batches = fit.shuffle(n, params, 1)
    order = np.concatenate(batches)
    assert np.bincount(order).tolist() == [passes] * n
    assert len(batches) >= fit.MIN_STEPS
    sizes = {len(batch) for batch in batches}
    assert max(sizes) <= 32
    assert max(sizes) - min(sizes) <= 1
    assert np.array_equal(order, np.concatenate(fit.shuffle(n, params, 1)))
    assert not np.array_equal(order, np.concatenate(fit.shuffle(n, params, 2)))


def test_batches_are_augmented_anew():
    params = replace(PARAMS, augment=replace(STILL, brightness=0.2))
    first = fit.shuffle(12, PARAMS.train, 1)
    batches = fit.batches(SPLIT, params).take(2 * len(first)).as_numpy_iterator()
    pictures, labels = zip(*batches, strict=True)
    assert np.array_equal(np.concatenate(labels[: len(first)]), SPLIT.labels[np.concatenate(first)])
    assert len({batch.tobytes() for batch in pictures}) == len(pictures)


def test_two_devices_fit_what_one_fits(tmp_path):
    """Two parts of the CPU, as if they were GPUs."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "stages")}
    for devices in ("1", "2"):
        command = [sys.executable, PROJECT / "tests/replica.py", tmp_path / f"{devices}.npy", devices]
        subprocess.run(command, env=environment, check=True, capture_output=True)
    one, two = (np.load(tmp_path / f"{devices}.npy") for devices in "12")
    assert np.allclose(one, two, atol=1e-4)


def smoothed(labels: np.ndarray) -> np.ndarray:
    """The targets of Platt (1999)."""
    return np.where(labels, 1 - 1 / (labels.sum() + 2), 1 / ((1 - labels).sum() + 2))


def test_platt_of_a_small_split_that_made_newton_diverge():
    labels = np.array([1, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 1])
    scores = [0.0306, 0.8634, 0.5911, 0.133, 0.6178, 0.9165, 0.2688, 0.7442, 0.0262, 0.9803, 0.9296, 0.9454]
    expected = 0.2944, 0.5725 - logit(smoothed(labels).mean())
    assert calibration.platt(labels, np.array(scores)) == pytest.approx(expected, abs=1e-4)


def test_platt_is_never_worse_than_the_scores_as_they_were():
    for seed in range(100):
        rng = np.random.default_rng(seed)
        labels = np.append([0, 1], rng.integers(0, 2, rng.integers(2, 299)))
        noise = rng.normal(0, rng.choice([0.01, 1, 5, 20]), len(labels))
        scores = expit(noise + labels * rng.choice([-1, 0, 0.5, 3, 50]))
        slope, intercept = calibration.platt(labels, scores)
        x, targets = logit(np.clip(scores, 1e-7, 1 - 1e-7)), smoothed(labels)

        def loss(logits: np.ndarray, targets: np.ndarray = targets) -> float:
            return np.mean(np.logaddexp(0, logits) - targets * logits)

        assert loss(slope * x + intercept + logit(targets.mean())) <= loss(x) + 1e-6
        assert slope > 0
        calibrated = expit(slope * x + intercept).astype(np.float32)
        assert 0 < calibrated.min() <= calibrated.max() < 1


def test_without_skill_every_probability_is_near_one_half():
    labels = (np.arange(40) % 4 == 0).astype(int)
    slope, intercept = calibration.platt(labels, np.where(labels, 0.2, 0.8))
    assert np.abs(expit(slope * logit([0.2, 0.8]) + intercept) - 0.5).max() < 0.01


# Augmentation, each change by itself
VALUES = augmentation.random_values(len(PICTURES), 1, 2)
UNMIRRORED = np.abs(VALUES, out=VALUES.copy(), where=np.arange(augmentation.RANDOM_VALUES) == 0)


def augmented(**changes) -> np.ndarray:
    return np.asarray(augmentation.augment(PICTURES, UNMIRRORED, replace(STILL, **changes)))


def test_mirror():
    assert np.array_equal(augmented(), PICTURES)
    changed = np.asarray(augmentation.augment(PICTURES, VALUES, STILL))
    mirrored = VALUES[:, 0] < 0
    assert 0 < mirrored.sum() < len(PICTURES)
    expected = np.where(mirrored[:, None, None, None], PICTURES[:, :, ::-1], PICTURES)
    assert np.array_equal(changed, expected)


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
    changed = augmented(**{name: 20 if name == "rotation" else 0.2})
    for row, before, after in zip(VALUES, PICTURES, changed, strict=True):
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
        before, after, expected = (np.asarray(x, float)[inside, inside] for x in (before, after, expected))
        assert np.abs(after - expected).max() <= 2
        assert np.abs(after - before).max() > 2


def test_erasing_lays_a_grey_square_on_the_picture():
    changed = augmented(erasing=0.5)
    assert (changed != PICTURES).any(axis=(1, 2, 3)).sum() > len(PICTURES) / 2
    for before, after in zip(PICTURES, changed, strict=True):
        rows, columns = np.nonzero((before != after).any(axis=2))
        if len(rows):
            inside = after[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert max(inside.shape[:2]) <= 16
            assert np.ptp(inside) == 0
            assert inside[0, 0, 0] == pytest.approx(before.mean(), abs=1)


def test_noise_is_grey_and_as_strong_as_its_random_value():
    grey, params = np.full_like(PICTURES, 128), replace(STILL, noise=0.1)
    noise = np.asarray(augmentation.augment(grey, VALUES, params), float) - 128
    assert not np.ptp(noise, axis=3).any()
    expected = 0.1 * 255 * np.abs(VALUES[:, 0])
    assert noise.std(axis=(1, 2, 3)) == pytest.approx(expected, rel=0.1, abs=0.3)
    assert np.abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.2
