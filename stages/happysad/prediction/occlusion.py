"""Which parts of a picture its score rests on: an occlusion map, which needs no gradients."""

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from happysad.common import faces, images
from happysad.common.contact_sheet import sheet
from happysad.common.faces import Face
from happysad.prediction.classifier import Classifier, Score

GRID = 16  # positions of the patch along each side
PATCH = 0.25  # of the side: about an eye with its brow, or a mouth
HEIGHT = 320  # pixels, of the picture on the page
HAPPY, SAD = (255, 140, 0), (0, 110, 255)  # orange and blue, which colour-blind people can tell apart
BOX = (255, 255, 0)


def explain(classifier: Classifier, picture: Image.Image, title: str, name: str) -> Image.Image:
    """An RGB page headed ``title``: the RGB ``picture`` with its faces' boxes, captioned ``name``, beside the
    occlusion map of what the model is shown of it.
    """
    view, found = faces.view(picture, classifier.crop, classifier.crop_margin)
    heat = occlusion_map(classifier.score, images.squash(view, classifier.image_size))
    if classifier.crop == "face":
        name += "\nno face: whole picture judged" if not found else "\nthick box: the face that is judged"
    caption = (
        f"orange: evidence for happy, blue: for sad;\n"
        f"covering the strongest spot changes the score by {np.abs(heat).max():.2f}"
    )
    return sheet(
        [with_boxes(picture, found), overlay(on_page(view), heat)], [name, caption], 2, title, tile=HEIGHT
    )


def on_page(picture: Image.Image) -> Image.Image:
    shown = picture.copy()
    shown.thumbnail((3 * HEIGHT, HEIGHT))  # keeps a pixel of a very long picture's short side, unlike contain
    return ImageOps.contain(shown, (3 * HEIGHT, HEIGHT), Image.Resampling.BICUBIC)


def with_boxes(picture: Image.Image, found: list[Face]) -> np.ndarray:
    """The picture as it is on the page, uint8 (height, width, 3), with a box about each face, the first one's thick."""
    shown = on_page(picture)
    draw, scale = ImageDraw.Draw(shown), shown.width / picture.width
    for i, face in enumerate(found):
        draw.rectangle([scale * side for side in face[:4]], outline=BOX, width=1 if i else 4)
    return np.asarray(shown)


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
