"""The page of predict --explain: a picture with its faces, beside the map of what its score rests on."""

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from happysad.common import images
from happysad.data import faces
from happysad.data.faces import Face
from happysad.evaluation.occlusion import MATTERS, occlusion_maps, overlay
from happysad.plotting.contact_sheet import sheet
from happysad.prediction.classifier import Classifier
from happysad.prediction.results import percent

HEIGHT = 320  # pixels, of the picture on the page
BOX = (255, 255, 0)


def explain(classifier: Classifier, picture: Image.Image, title: str, name: str) -> Image.Image:
    """An RGB page headed ``title``: the RGB ``picture`` with its faces' boxes, captioned ``name``, beside the
    occlusion map of what the model is shown of it.
    """
    view, found = faces.view(picture, classifier.crop, classifier.crop_margin)
    shown = images.squash(view, classifier.image_size)
    [heat] = occlusion_maps(lambda copies: np.array([classifier.score(copy) for copy in copies]), shown[None])
    if classifier.crop == "face":
        name += "\nno face: whole picture judged" if not found else "\nthick box: the face that is judged"
    score, strongest = classifier.score(shown), heat.flat[np.abs(heat).argmax()]
    after = score / (score + (1 - score) * np.exp(strongest))
    effect = f"covering the strongest spot: happy {percent(score)} becomes {percent(after)}"
    if abs(strongest) < MATTERS:
        effect = "no single part mattered: covered, none halves or doubles the odds"
    caption = f"orange: speaks for happy, blue: for sad\n{effect}"
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
