"""An occlusion map is positive where a picture speaks for happy, and negative where it speaks for sad."""

import numpy as np
import pytest
from conftest import draw, draw_faces
from PIL import Image

from happysad.common import images
from happysad.data import faces
from happysad.evaluation import occlusion
from happysad.prediction import explanation
from happysad.prediction.classifier import Classifier

PICTURE = np.asarray(draw(1, 64, 64))


def test_the_map_shows_what_the_score_rests_on():
    def scores(pictures: np.ndarray) -> np.ndarray:
        """Near 1: raised by the visible part of a column on the left, lowered by a pixel at the lower right."""
        visible = (pictures == PICTURE).all(axis=3)
        return 1 / (1 + np.exp(-(4 + 3 * visible[:, :, 4].mean(axis=1) - 2 * visible[:, 48, 40])))

    [heat] = occlusion.occlusion_maps(scores, PICTURE[None])
    expected = np.zeros((8, 8))
    expected[:, :2] = 3 * 26 / 64  # the rows of a patch
    expected[4:8, 3:7] = -2
    assert heat[2:6, 0] == pytest.approx(expected[2:6, 0], abs=0.05)
    np.testing.assert_allclose(heat[2:6, 3:], expected[2:6, 3:], atol=1e-6)
    assert (heat[:2, 0] > 0.5).all()  # where part of the patch lies outside the picture


def test_overlay_is_orange_for_happy_and_blue_for_sad():
    heat = np.zeros((8, 8))
    heat[:, :3], heat[:, 5:] = 3, -3
    pixels = occlusion.overlay(Image.new("RGB", (90, 30), "grey"), heat).astype(int)
    assert pixels.shape == (30, 90, 3)
    left, middle, right = pixels[15, 5], pixels[15, 45], pixels[15, 85]
    assert left[0] > left[2] + 50
    assert right[2] > right[0] + 50
    assert np.ptp(middle) < 5
    faint = occlusion.overlay(Image.new("RGB", (90, 30), "grey"), heat / 10).astype(int)
    assert np.ptp(faint[15, 5]) < np.ptp(left) / 5  # one scale for all pictures


RESULT = {"path": "a.jpg", "answer": "happy", "label": "happy", "probability": 0.97, "score": 0.97}


def classifier(crop: str, score) -> Classifier:
    answers = {"unsure_below": 0.67, "no_face": "answer", "better_than_chance": True, "source": ""}
    return Classifier(score, 32, 64, crop, 1.1, **answers)


@pytest.mark.parametrize("crop", ["face", "whole"])
def test_explain_draws_pictures_of_any_shape(crop):
    blind = classifier(crop, lambda pixels: 0.97)
    for size in ((1, 1), (900, 1), (5000, 1), (2, 700), (300, 200)):
        page = explanation.explain(blind, Image.new("RGB", size, "red"), RESULT)
        assert page.width >= 2 and page.height > explanation.HEIGHT


def test_explain_draws_the_boxes_and_maps_the_crop():
    seen = []
    picture = draw_faces(240, 120, (120, 10, 100), (10, 40, 70))
    model = classifier("face", lambda pixels: seen.append(pixels) or 0.97)
    page = np.asarray(explanation.explain(model, picture, RESULT))

    view, found = faces.view(picture, "face", 1.1)
    assert len(found) == 2
    np.testing.assert_array_equal(seen[-1], images.squash(view, 32))

    left, top = 12, 40  # of the picture on the page, and 320 / 120 of its size
    for face, width in zip(found, (4, 1), strict=True):
        row = top + round((face.top + face.bottom) / 2 * 320 / 120)
        edge = left + round(face.left * 320 / 120)
        line = (page[row, edge - 8 : edge + 8] == explanation.YELLOW).all(axis=1)
        assert line.sum() == width


@pytest.mark.parametrize(
    ("low", "caption"), [(0.9, "no single part mattered"), (0.2, "happy 97% becomes 20%")]
)
def test_the_caption_says_what_the_strongest_part_is_worth(monkeypatch, low, caption):
    captions = []
    monkeypatch.setattr(explanation, "sheet", lambda pictures, texts, *rest, **more: captions.extend(texts))
    monkeypatch.setattr(explanation, "MATTERS", 1.5)
    whole = images.squash(draw(1), 32)
    score = lambda pixels: 0.97 if (pixels == whole).all() else low
    explanation.explain(classifier("whole", score), draw(1), RESULT)
    assert caption in captions[1]
