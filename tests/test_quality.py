import statistics
import warnings

import numpy as np
import pytest
from PIL import Image

from happysad.data import quality


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (2, 2), (300, 2)])
def test_tiny_pictures_score_without_a_warning(size):
    with warnings.catch_warnings(action="error"):
        scores = quality.scores(Image.new("RGB", size, (255, 0, 0)), 64)
    assert str(scores["low_information"]) == "0.0"  # and not -0.0
    assert scores["blurry"] == 0
    assert scores["odd_aspect_ratio"] == round(min(size) / max(size), 3)


def test_scores_by_hand():
    levels = np.repeat(np.uint8([[51], [102]]), 10, axis=0).repeat(10, axis=1)
    levels[0, 0] = 204
    scores = quality.scores(Image.fromarray(levels).convert("RGB"), 40)
    assert scores["dark"] == 0.4  # one pixel of 200 is lighter, less than 1%
    assert scores["light"] == 0.8
    assert scores["low_information"] == round((99 * 1.0145 + 100 + 7.6439) / 200 / 8, 3)
    assert scores["too_small"] == 0.25


def test_standard_deviation():
    values = np.random.default_rng(1).integers(0, 256, (40, 50)).astype(np.uint8)
    assert quality.standard_deviation(values) == pytest.approx(statistics.pstdev(values.ravel().tolist()))
