"""The page of predict --explain: a picture with its faces, beside the map of what its score rests on."""

import os

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from happysad.common import images
from happysad.data import faces
from happysad.evaluation.occlusion import MATTERS, occlusion_maps, overlay
from happysad.plotting.contact_sheet import sheet
from happysad.prediction.classifier import Classifier
from happysad.prediction.results import percent

HEIGHT = 320  # pixels, of the picture on the page
YELLOW = (255, 255, 0)


def explain(classifier: Classifier, picture: Image.Image, result: dict) -> Image.Image:
    """An RGB page: the RGB ``picture``, of which ``results.classify`` gave ``result``, with its faces' boxes, beside the
    occlusion map of what the model sees of it.
    """
    view, found = faces.view(picture, classifier.crop, classifier.crop_margin)
    pixels = images.squash(view, classifier.image_size)
    [heat] = occlusion_maps(
        lambda copies: np.array([classifier.score(copy) for copy in copies]), pixels[None]
    )
    scaled = scale(picture)
    draw, ratio = ImageDraw.Draw(scaled), scaled.width / picture.width
    for i, face in enumerate(found):
        draw.rectangle([ratio * side for side in face[:4]], outline=YELLOW, width=1 if i else 4)

    unsure = "unsure: " if result["answer"] == "unsure" else ""
    title = f"{unsure}{result['label']} {percent(result['probability'])}"
    left = os.path.basename(result["path"])
    if classifier.crop == "face":
        left += "\nthick box: the face that is judged" if found else "\nno face: whole picture judged"
    score, strongest = result["score"], heat.flat[np.abs(heat).argmax()]
    after = score / (score + (1 - score) * np.exp(strongest))
    effect = f"covering the strongest spot: happy {percent(score)} becomes {percent(after)}"
    if abs(strongest) < MATTERS:
        effect = "no single part mattered: covered, none halves or doubles the odds"
    right = f"orange: speaks for happy, blue: for sad\n{effect}"
    return sheet([np.asarray(scaled), overlay(scale(view), heat)], [left, right], 2, title, tile=HEIGHT)


def scale(picture: Image.Image) -> Image.Image:
    """A copy of the size that it has on the page."""
    copy = picture.copy()
    copy.thumbnail((3 * HEIGHT, HEIGHT))  # keeps a pixel of a very long picture's short side, unlike contain
    return ImageOps.contain(copy, (3 * HEIGHT, HEIGHT), Image.Resampling.BICUBIC)
