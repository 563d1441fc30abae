"""Which parts of a picture its score rests on: an occlusion map, which needs no gradients."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

GRID = 8  # positions of the patch along each side
PATCH = 0.4  # of the side: more than augment.erasing hides in training, which the model learns to do without
MATTERS = math.log(2)  # of the logit: less than twice or half the odds is nothing to show
FULL = 3.0  # of the logit, 20 times the odds: what the strongest colour stands for
HAPPY, SAD = (255, 140, 0), (0, 110, 255)  # orange and blue, which colour-blind people can tell apart


def occlusion_map(scores: Callable[[np.ndarray], np.ndarray], picture: np.ndarray) -> np.ndarray:
    """How far the logit of happy falls when a patch covers each position: float (GRID, GRID).

    Positive where the picture shows evidence for happy, negative for sad. ``scores`` takes pictures, uint8
    (n, size, size, 3), and returns theirs (n,); ``picture`` is uint8 (size, size, 3). After Zeiler and Fergus (2014),
    with a patch of the picture's mean colour, and of the logit, since scores near 0 and 1 hardly change.
    """
    size = len(picture)
    centres = (np.arange(GRID) + 0.5) * size / GRID
    starts = np.maximum(np.round(centres - size * PATCH / 2), 0).astype(int)
    ends = np.round(centres + size * PATCH / 2).astype(int)
    pictures = np.repeat(picture[None], 1 + GRID**2, axis=0)  # the last as it is
    for covered, (i, j) in zip(pictures, np.ndindex(GRID, GRID), strict=False):
        covered[starts[i] : ends[i], starts[j] : ends[j]] = picture.mean(axis=(0, 1)).round()
    found = np.clip(scores(pictures), 1e-4, 1 - 1e-4)
    logits = np.log(found / (1 - found))
    return (logits[-1] - logits[:-1]).reshape(GRID, GRID)


def overlay(picture: Image.Image, heat: np.ndarray) -> np.ndarray:
    """The ``picture`` in grey under ``heat``, a map as above, in colour: uint8 (height, width, 3)."""
    scaled = Image.fromarray((heat / FULL).astype(np.float32)).resize(picture.size, Image.Resampling.BICUBIC)
    signed = np.asarray(scaled)[..., None].clip(-1, 1)
    grey = np.asarray(picture.convert("L"), float)[..., None] * 0.8
    colour = np.where(signed > 0, HAPPY, SAD)
    return (grey + (colour - grey) * 0.75 * np.abs(signed)).round().astype(np.uint8)
