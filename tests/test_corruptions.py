"""Worse photographs: the same size, worse with each severity, the same again."""

import numpy as np
from conftest import draw

from happysad.evaluation.corruptions import corrupted

PICTURES = np.stack([np.asarray(draw(seed, 48, 48)) for seed in range(3)])


def test_each_severity_is_worse_than_the_one_before():
    distance = {}
    for about, worse in corrupted(PICTURES):
        assert worse.shape == PICTURES.shape
        assert worse.dtype == np.uint8
        change = np.abs(worse.astype(int) - PICTURES).mean()
        distance.setdefault(about["corruption"], []).append(change)
    assert len(distance) == 9
    for changes in distance.values():
        assert changes[0] > 0
        assert changes == sorted(changes)


def test_brightness_goes_both_ways_and_mirror_is_a_mirror():
    worse = {(about["corruption"], about["severity"]): found for about, found in corrupted(PICTURES)}
    assert worse["darker", 3].mean() < PICTURES.mean() < worse["lighter", 3].mean()
    assert np.array_equal(worse["mirror", 1], PICTURES[:, :, ::-1])


def test_same_pictures_same_corruption():
    for (_, first), (_, second) in zip(corrupted(PICTURES), corrupted(PICTURES), strict=True):
        assert np.array_equal(first, second)
