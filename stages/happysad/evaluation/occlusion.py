"""Which parts of a picture its score rests on: an occlusion map, which needs no gradients."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy.special import logit

GRID = 8  # positions of the patch along each side
PATCH = 0.4  # of the side: more than augment.erasing hides in training, which the model learns to do without
MATTERS = math.log(2)  # of the logit: less than twice or half the odds is nothing to show
FULL = 3.0  # of the logit, 20 times the odds: what the strongest colour stands for
HAPPY, SAD = (255, 140, 0), (0, 110, 255)  # orange and blue, which colour-blind people can tell apart


def occlusion_maps(scores: Callable[[np.ndarray], np.ndarray], pictures: np.ndarray) -> np.ndarray:
    """How far the logit of happy falls when a patch covers each position: float (n, GRID, GRID).

    Positive where a picture shows evidence for happy, negative for sad. ``scores`` takes pictures, uint8
    (any number, size, size, 3), and returns theirs; ``pictures`` are n of these. After Zeiler and Fergus (2014),
    with a patch of the picture's mean colour, and of the logit, since scores near 0 and 1 hardly change.
    """
    size = pictures.shape[1]
    centres = (np.arange(GRID) + 0.5) * size / GRID
    starts = np.maximum(np.round(centres - size * PATCH / 2), 0).astype(int)
    ends = np.round(centres + size * PATCH / 2).astype(int)
    means = pictures.mean(axis=(1, 2), keepdims=True).round()
    copies = np.repeat(pictures[None], 1 + GRID**2, axis=0)  # the last as they are
    for covered, (i, j) in zip(copies, np.ndindex(GRID, GRID), strict=False):
        covered[:, starts[i] : ends[i], starts[j] : ends[j]] = means
    logits = logit(np.clip(scores(np.concatenate(copies)), 1e-4, 1 - 1e-4)).reshape(len(copies), -1)
    return (logits[-1] - logits[:-1]).T.reshape(-1, GRID, GRID)


def overlay(picture: Image.Image, heat: np.ndarray) -> np.ndarray:
    """The ``picture`` in grey under ``heat``, a map as above, in colour: uint8 (height, width, 3)."""
    scaled = Image.fromarray((heat / FULL).astype(np.float32)).resize(picture.size, Image.Resampling.BICUBIC)
    signed = np.asarray(scaled)[..., None].clip(-1, 1)
    grey = np.asarray(picture.convert("L"), float)[..., None] * 0.8
    colour = np.where(signed > 0, HAPPY, SAD)
    return (grey + (colour - grey) * 0.75 * np.abs(signed)).round().astype(np.uint8)
