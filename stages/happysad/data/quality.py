"""How good a picture is, as scores from 0, bad, to 1, good. The names are those of cleanvision."""

import numpy as np
from PIL import Image

from happysad.common.params import Quality

SIDE = 256  # pixels; a larger picture is reduced first, so that scores depend little on the camera


def scores(picture: Image.Image, image_size: int) -> dict[str, float]:
    """The quality of an RGB picture.

    dark: the brightness that 1% of the pixels reach. light: the darkness that 5% reach. blurry: the
    strength of the Laplacian, 10 grey levels giving 0.63. low_information: the entropy of the grey
    levels, in bytes. odd_aspect_ratio: the short side over the long one. too_small: the short side over
    ``image_size``, at most 1.
    """
    grey = picture.copy()
    grey.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=1.5)
    levels = np.asarray(grey.convert("L"))
    x = levels.astype(np.float32)
    laplacian = 4 * x[1:-1, 1:-1] - x[:-2, 1:-1] - x[2:, 1:-1] - x[1:-1, :-2] - x[1:-1, 2:]
    shares = np.bincount(levels.ravel(), minlength=256) / levels.size
    shares = shares[shares > 0]
    found = {
        "dark": np.percentile(x, 99) / 255,
        "light": 1 - np.percentile(x, 5) / 255,
        "blurry": 1 - np.exp(-laplacian.std() / 10) if laplacian.size else 0.0,
        "low_information": -(shares * np.log2(shares)).sum() / 8,
        "odd_aspect_ratio": min(picture.size) / max(picture.size),
        "too_small": min(1, min(picture.size) / image_size),
    }
    return {name: round(float(score), 3) for name, score in found.items()}


def flags(scores: dict[str, float], params: Quality) -> list[str]:
    """The names of the scores below their threshold."""
    return [name for name, score in scores.items() if score < getattr(params, name)]
