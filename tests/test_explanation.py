"""An occlusion map is positive where a picture raises the score, and negative where it lowers it."""

import numpy as np
import pytest
from conftest import draw, draw_faces
from PIL import Image

from happysad.common import faces, images
from happysad.prediction import occlusion
from happysad.prediction.classifier import Classifier

PICTURE = np.asarray(draw(1, 64, 64))


def test_the_map_shows_what_the_score_rests_on():
    def score(picture: np.ndarray) -> float:
        """Raised by the visible part of a column on the left, lowered by a pixel at the lower right."""
        visible = (picture == PICTURE).all(axis=2)
        return 0.5 + 0.3 * visible[:, 4].mean() - 0.2 * visible[48, 40]

    heat = occlusion.occlusion_map(score, PICTURE)
    expected = np.zeros((16, 16))
    expected[:, :3] = 0.3 / 4  # the patch covers a quarter of the column
    expected[10:14, 8:12] = -0.2
    np.testing.assert_allclose(heat[2:14], expected[2:14], atol=1e-6)
    assert (heat[:2, :3] > 0.04).all()  # where part of the patch lies outside the picture


def test_overlay_is_orange_for_happy_and_blue_for_sad():
    heat = np.zeros((16, 16))
    heat[:, :5], heat[:, 11:] = 0.1, -0.1
    pixels = occlusion.overlay(Image.new("RGB", (90, 30), "grey"), heat).astype(int)
    assert pixels.shape == (30, 90, 3)
    left, middle, right = pixels[15, 5], pixels[15, 45], pixels[15, 85]
    assert left[0] > left[2] + 50
    assert right[2] > right[0] + 50
    assert np.ptp(middle) == 0


@pytest.mark.parametrize("crop", ["face", "whole"])
def test_explain_draws_pictures_of_any_shape(crop):
    blind = classifier(crop)
    for size in ((1, 1), (900, 1), (5000, 1), (2, 700), (300, 200)):
        page = occlusion.explain(blind, Image.new("RGB", size, "red"), "happy", "a.jpg")
        assert page.width >= 2 and page.height > occlusion.HEIGHT


def test_explain_draws_the_boxes_and_maps_the_crop(monkeypatch):
    seen, mapped = [], []
    overlay = occlusion.overlay
    monkeypatch.setattr(occlusion, "overlay", lambda *args: mapped.append(args[0]) or overlay(*args))
    picture = draw_faces(240, 120, (120, 10, 100), (10, 40, 70))
    page = np.asarray(occlusion.explain(classifier("face", seen.append), picture, "happy", "a.png"))

    view, found = faces.view(picture, "face", 1.1)
    assert len(found) == 2
    np.testing.assert_array_equal(seen[0], images.squash(view, 32))
    assert mapped[0].size == (320, 320)

    left, top = 12, 40  # of the picture on the page, and 320 / 120 of its size
    for face, width in zip(found, (4, 1), strict=True):
        row = top + round((face.top + face.bottom) / 2 * 320 / 120)
        edge = left + round(face.left * 320 / 120)
        line = (page[row, edge - 8 : edge + 8] == occlusion.BOX).all(axis=1)
        assert line.sum() == width


def classifier(crop: str, see=lambda picture: None) -> Classifier:
    def score(picture: np.ndarray) -> float:
        see(picture)
        return 0.5

    return Classifier(
        score, image_size=32, max_megapixels=64, crop=crop, crop_margin=1.1, threshold=0.5, source=""
    )
