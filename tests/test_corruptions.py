"""Corruptions: the same size, worse with each severity, and counted right."""

import numpy as np
import pytest
from conftest import draw

from happysad.evaluation import corruptions
from happysad.evaluation.corruptions import corrupted

PICTURES = np.stack([np.asarray(draw(seed, 48, 48)) for seed in range(3)])


def test_each_severity_changes_more_than_the_one_before():
    distance, copies = {}, {}
    for description, changed in corrupted(PICTURES):
        name, severity = description["corruption"], description["severity"]
        assert (changed.shape, changed.dtype) == (PICTURES.shape, np.uint8)
        distance.setdefault(name, []).append(np.abs(changed.astype(int) - PICTURES).mean())
        copies[name, severity] = changed
    assert distance.pop("none") == [0]
    assert len(distance) == 9
    for changes in distance.values():
        assert changes[0] > 0
        assert changes == sorted(changes)
    assert copies["darker", 3].mean() < PICTURES.mean() < copies["lighter", 3].mean()
    assert np.array_equal(copies["mirror", 1], PICTURES[:, :, ::-1])


def brightness(pictures: np.ndarray) -> np.ndarray:
    return pictures.mean(axis=(1, 2, 3)) / 255


def test_accuracy_and_label_changes():
    """A model that looks at nothing but brightness, on a black picture and three light ones."""
    pictures = np.full((4, 16, 16, 3), 200, np.uint8)
    pictures[0] = 0
    table = corruptions.table(brightness, pictures, np.array([0, 1, 1, 0]))
    assert len(table) == 1 + 8 * 3 + 1
    found = table.set_index(["corruption", "severity"])[["accuracy", "label_changes"]]
    assert tuple(found.loc["none", 0]) == tuple(found.loc["mirror", 1]) == (0.75, 0)
    assert tuple(found.loc["darker", 2]) == (0.5, 0.75)  # 120 of 255: all look dark


def test_of_many_pictures_an_even_choice():
    light = np.arange(3 * corruptions.MOST) >= 2 * corruptions.MOST
    pictures = np.where(light, 200, 0).astype(np.uint8)[:, None, None, None].repeat(16, 1).repeat(16, 2)
    table = corruptions.table(brightness, pictures.repeat(3, 3), np.zeros(len(light), int))
    assert set(table["n"]) == {corruptions.MOST}
    assert table["accuracy"][0] == pytest.approx(2 / 3, abs=0.01)
