"""How good a picture is, as scores from 0, bad, to 1, good. The names are those of cleanvision."""

import math

import numpy as np
from PIL import Image

from happysad.common.params import Quality

SIDE = 256  # pixels; a larger picture is reduced first, so that scores depend little on the camera


def scores(picture: Image.Image, image_size: int) -> dict[str, float]:
    """The quality of an RGB picture, rounded to 3 decimals.

    dark: the 99th percentile of brightness. light: 1 minus its 5th percentile. blurry: the strength of
    the Laplacian; a standard deviation of 10 grey levels scores 0.63. low_information: the entropy of the
    grey levels, in bytes. odd_aspect_ratio: the short side over the long one. too_small: the short side
    over ``image_size``, at most 1.
    """
    grey = picture.copy()
    grey.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=1.5)
    # Integers, whose sums are the same on every processor: the last bits of numpy's float sums are not.
    x = np.asarray(grey.convert("L"), np.int64)
    laplacian = 4 * x[1:-1, 1:-1] - x[:-2, 1:-1] - x[2:, 1:-1] - x[1:-1, :-2] - x[1:-1, 2:]
    counts = np.bincount(x.ravel())
    fractions = (counts[counts > 0] / x.size).tolist()
    low, high = np.percentile(x, [5, 99], method="inverted_cdf").tolist()
    found = {
        "dark": high / 255,
        "light": 1 - low / 255,
        "blurry": 1 - math.exp(-standard_deviation(laplacian) / 10),
        "low_information": math.fsum(f * math.log2(1 / f) for f in fractions) / 8,
        "odd_aspect_ratio": min(picture.size) / max(picture.size),
        "too_small": min(1.0, min(picture.size) / image_size),
    }
    return {name: round(score, 3) for name, score in found.items()}


def flags(scores: dict[str, float], params: Quality) -> list[str]:
    """The names of the scores that are below their threshold."""
    return [name for name, score in scores.items() if score < getattr(params, name)]


def standard_deviation(values: np.ndarray) -> float:
    """Of integers of any shape, from exact sums; 0 if there are none."""
    values = values.astype(np.int64)
    total, squares = int(values.sum()), int(np.square(values).sum())
    return math.sqrt(values.size * squares - total * total) / max(values.size, 1)
