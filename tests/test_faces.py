"""Faces are found where they were drawn, nowhere else, and cut out as the model sees them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from conftest import draw
from PIL import Image

from happysad.data import faces
from happysad.data.faces import Face
from happysad.drawing.render import render
from happysad.drawing.sampling import sample_face


def drawn(seed: int, size: int = 128) -> tuple[Image.Image, np.ndarray, float]:
    """A drawn face, the middle between brows and chin (x, y), and half the height of its head, in pixels."""
    rng = np.random.default_rng(seed)
    label = ("sad", "happy")[seed % 2]
    face = sample_face(label, rng, pose=0.4)
    face = replace(face, expression=replace(face.expression, nod=0.0))
    unit = face.scene.scale * size
    return render(face, size), np.array(face.scene.centre) * size + [0, 0.27 * unit], unit


def middle(face: Face) -> np.ndarray:
    return np.array([face.left + face.right, face.top + face.bottom]) / 2


@pytest.mark.parametrize("size", [48, 128, 300])
def test_drawn_faces_are_found_where_they_are(size):
    for seed in range(12):
        picture, centre, unit = drawn(seed, size)
        [face] = faces.find(picture)
        assert np.abs(middle(face) - centre).max() < 0.25 * unit
        assert 1.1 * unit < face.side < 2 * unit
        assert faces.MIN_SCORE <= face.score <= 1


@pytest.mark.parametrize(
    ("size", "corners"),
    [
        ((900, 128), {128: (772, 0)}),
        ((128, 700), {128: (0, 572)}),
        ((420, 300), {200: (10, 20), 120: (290, 10), 90: (300, 180)}),
    ],
)
def test_faces_anywhere_the_largest_first(size, corners):
    canvas = Image.new("RGB", size, "gray")
    centres = []
    for seed, (side, corner) in enumerate(corners.items()):
        picture, centre, _ = drawn(seed, side)
        canvas.paste(picture, corner)
        centres.append(centre + corner)
    found = faces.find(canvas)
    assert [face.side for face in found] == sorted((face.side for face in found), reverse=True)
    for face, centre in zip(found, centres, strict=True):
        assert np.abs(middle(face) - centre).max() < 0.2 * face.side


def test_a_turned_face_is_found_where_it_is_and_cut_out_upright():
    found = {90: [], 180: [], 270: []}
    for seed in range(12):
        upright = drawn(seed)[0]
        [face] = faces.find(upright)
        for angle, right in found.items():
            picture = upright.rotate(-angle, expand=True)
            again = faces.find(picture)
            if again and again[0].turned == angle:
                right.append(seed)
                small = [
                    np.asarray(faces.square(p, f, 1.1).resize((8, 8)), int)
                    for p, f in ((upright, face), (picture, *again))
                ]
                assert np.abs(np.subtract(*small)).mean() < 12
    assert min(map(len, found.values())) >= 4, found  # of 12: drawn faces are hard for the detector


def test_no_face_where_none_is():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8))
    slope = Image.linear_gradient("L").convert("RGB")
    for picture in (noise, slope, Image.new("RGB", (100, 40), "navy"), Image.new("RGB", (1, 5000), "white")):
        assert faces.find(picture) == []
    assert sum(bool(faces.find(draw(seed))) for seed in range(15)) <= 1


def test_the_same_answer_from_every_thread():
    pictures = [drawn(seed)[0] for seed in range(6)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(faces.find, pictures * 3)) == [faces.find(picture) for picture in pictures] * 3


def test_boxes_of_one_face_are_averaged_by_score():
    boxes = np.array([[100, 0, 110, 10], [0, 0, 10, 10], [0, 0, 10, 14], [8, 0, 18, 10]])
    [near, edge, far] = faces.weighted_nms(boxes, np.array([0.7, 0.9, 0.6, 0.8]))
    assert near[0].tolist() == pytest.approx([0, 0, 10, (0.9 * 10 + 0.6 * 14) / 1.5])
    assert near[1] == 0.9
    assert (edge[0].tolist(), edge[1]) == ([8, 0, 18, 10], 0.8)  # overlaps by 1/9: another face
    assert (far[0].tolist(), far[1]) == ([100, 0, 110, 10], 0.7)


@pytest.mark.parametrize(
    ("box", "margin", "square"),
    [
        ((40, 30, 60, 50), 1, (40, 30, 60, 50)),
        ((40, 30, 60, 50), 1.5, (35, 25, 65, 55)),
        ((40, 30, 60, 42), 1, (40, 26, 60, 46)),  # a flat box: its longer side
        ((-6, 10, 14, 30), 1, (0, 10, 20, 30)),  # moved into the picture
        ((85, 65, 105, 85), 1, (80, 60, 100, 80)),
        ((10, -20, 110, 90), 1, (20, 0, 100, 80)),  # made as small as the picture's shorter side
        ((5, 5, 5, 5), 1, (4, 4, 5, 5)),
    ],
)
def test_the_crop_is_a_square_about_the_face_within_the_picture(box, margin, square):
    picture = draw(1, 100, 80)
    cut = faces.square(picture, Face(*box, score=0.9), margin)
    left, top, right, bottom = square
    assert cut.size == (right - left, bottom - top)
    if box != (5, 5, 5, 5):
        assert cut.tobytes() == picture.crop(square).tobytes()


@pytest.mark.parametrize("content", [None, b"", faces.DETECTOR.read_bytes()[:200_000]])
def test_a_missing_or_broken_detector_is_one_line(tmp_path, monkeypatch, content):
    broken = tmp_path / "face_detector.onnx"
    if content is not None:
        broken.write_bytes(content)
    monkeypatch.setattr(faces, "DETECTOR", broken)
    faces._detector.cache_clear()
    with pytest.raises(OSError, match=r"face_detector\.onnx is missing or broken: .*git checkout") as raised:
        faces.find(draw(1))
    assert "\n" not in str(raised.value)
