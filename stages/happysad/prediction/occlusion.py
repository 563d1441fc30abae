"""Which parts of a picture its score rests on: an occlusion map, which needs no gradients."""

import numpy as np
from PIL import Image

from happysad.common import images
from happysad.common.contact_sheet import sheet
from happysad.prediction.classifier import Classifier, Score

GRID = 16  # positions of the patch along each side
PATCH = 0.25  # of the side: about an eye with its brow, or a mouth
HEIGHT = 320  # pixels, of the picture on the page
HAPPY, SAD = (255, 140, 0), (0, 110, 255)  # orange and blue, which colour-blind people can tell apart


def explain(classifier: Classifier, picture: Image.Image, title: str, name: str) -> Image.Image:
    """An RGB page headed ``title``: the RGB ``picture``, captioned ``name``, beside its occlusion map."""
    heat = occlusion_map(classifier.score, images.squash(picture, classifier.image_size))
    shown = picture.copy()
    shown.thumbnail((3 * HEIGHT, HEIGHT))
    caption = (
        f"orange: evidence for happy, blue: for sad;\n"
        f"covering the strongest spot changes the score by {np.abs(heat).max():.2f}"
    )
    return sheet([np.asarray(shown), overlay(shown, heat)], [name, caption], 2, title, tile=HEIGHT)


def occlusion_map(score: Score, picture: np.ndarray) -> np.ndarray:
    """How far the score falls when a patch covers each position: float (GRID, GRID).

    Positive where the picture shows evidence for happy, negative for sad. ``picture`` is uint8 (size, size, 3).
    After Zeiler and Fergus (2014), with a patch of the picture's mean colour instead of grey.
    """
    size = len(picture)
    centres = (np.arange(GRID) + 0.5) * size / GRID
    starts = np.maximum(np.round(centres - size * PATCH / 2), 0).astype(int)
    ends = np.round(centres + size * PATCH / 2).astype(int)
    whole, colour = score(picture), picture.mean(axis=(0, 1)).round()
    heat = np.empty((GRID, GRID))
    for i, j in np.ndindex(heat.shape):
        covered = picture.copy()
        covered[starts[i] : ends[i], starts[j] : ends[j]] = colour
        heat[i, j] = whole - score(covered)
    return heat


def overlay(picture: Image.Image, heat: np.ndarray) -> np.ndarray:
    """The ``picture`` in grey under ``heat`` in colour, more opaque farther from 0: uint8 (height, width, 3)."""
    relative = Image.fromarray((heat / max(np.abs(heat).max(), 1e-12)).astype(np.float32))
    signed = np.asarray(relative.resize(picture.size, Image.Resampling.BICUBIC))[..., None].clip(-1, 1)
    grey = np.asarray(picture.convert("L"), float)[..., None] * 0.8
    colour = np.where(signed > 0, HAPPY, SAD)
    return (grey + (colour - grey) * 0.75 * np.abs(signed)).round().astype(np.uint8)
