"""Finds faces in a picture and crops them: BlazeFace (Bazarevsky et al. 2019), run by onnxruntime.

The weights are MediaPipe's, of the model for a phone's rear camera: see face_detector.md.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

DETECTOR = Path(__file__).with_name("face_detector.onnx")
SIDE = 256  # pixels, of the detector's square input
INNER = 170  # of them, the picture's longer side: with a border, faces that fill a picture are found too
MIN_SCORE = 0.6  # what scores lower is more often a fist, a letter or a silhouette
NMS_IOU = 0.3  # boxes that overlap by more are one face
DOUBTFUL = 0.75  # a face that scores less may be upside down: upright ones in photographs seldom do
SURE = 0.8  # what the score of a turned face must reach
GAIN = 0.15  # by which it must exceed that of the same picture as it is


class Face(NamedTuple):
    """A box in whole pixels, which may reach beyond the picture, and the detector's score, MIN_SCORE to 1."""

    left: int
    top: int
    right: int
    bottom: int
    score: float
    turned: int = 0  # degrees clockwise that the face is turned by: 0, 90, 180 or 270

    @property
    def side(self) -> int:
        """The longer side, in pixels. The boxes are nearly square, from the brows to the chin."""
        return max(self.right - self.left, self.bottom - self.top)


COLUMNS = tuple(f"face_{name}" for name in Face._fields)  # of a table with a face in each row


def find(picture: Image.Image) -> list[Face]:
    """The faces in an RGB picture, the largest first. Any thread may call it.

    Raises OSError where the detector's file is missing or broken.
    """
    scale = INNER / max(picture.size)
    size = [max(1, round(scale * length)) for length in picture.size]
    offset = [(SIDE - length) // 2 for length in size]
    letterbox = Image.new("RGB", (SIDE, SIDE))
    letterbox.paste(picture.resize(size, Image.Resampling.BILINEAR), tuple(offset))

    found, turned = look(np.asarray(letterbox))
    faces = []
    for (*box, _, _), score in found:
        for _ in range(turned // 90):  # back to where it was before a quarter turn
            box = [SIDE - box[3], box[0], SIDE - box[1], box[2]]
        corners = (np.reshape(box, (2, 2)) - offset) * picture.size / size
        # Whole pixels, since another processor may compute other last digits.
        faces.append(Face(*corners.round().astype(int).ravel().tolist(), score, turned))
    return sorted(faces, key=lambda face: (-face.side, face))


def look(letterbox: np.ndarray) -> tuple[list[tuple[np.ndarray, float]], int]:
    """The faces of ``weighted_nms``, and the degrees, clockwise, that the letterbox is turned by: mostly 0.

    Where nothing is found it is looked at again in the other three positions, where the likeliest face lies on its
    side in that one, and where it has a low score upside down: the detector sees such faces as upright ones.
    """
    found, turned = weighted_nms(*detect(letterbox)), 0
    lies, score = (lying(found[0][0]), found[0][1]) if found else (0, 0.0)
    if score < DOUBTFUL or lies:
        least = max(SURE, 0 if lies else score + GAIN)
        for degrees in (lies or 180,) if found else (90, 180, 270):
            again = weighted_nms(*detect(np.rot90(letterbox, degrees // 90)))
            if again and again[0][1] >= least and not lying(again[0][0]):
                found, turned, least = again, degrees, again[0][1]
    return found, turned


def lying(box: np.ndarray) -> int:
    """The degrees clockwise, 0, 90, 180 or 270, that a face's line from the eyes to the mouth is turned by."""
    return round(np.degrees(np.arctan2(-box[4], box[5])) / 90) % 4 * 90


def view(picture: Image.Image, crop: str, margin: float) -> tuple[Image.Image, list[Face]]:
    """The part of an RGB picture that the model is shown, and the faces in it, the largest first.

    With ``crop`` "face", the square about the largest face, or the whole picture if there is none; with "whole",
    the whole picture, in which no faces are looked for.
    """
    faces = find(picture) if crop == "face" else []
    return (square(picture, faces[0], margin) if faces else picture), faces


def square(picture: Image.Image, face: Face, margin: float) -> Image.Image:
    """The square about ``face``, its side ``margin`` times the box's, moved and shrunk to lie in the picture, upright."""
    return picture.crop(square_box(picture.size, face, margin)).rotate(face.turned)


def square_box(size: tuple[int, int], face: Face, margin: float) -> tuple[int, int, int, int]:
    """Where ``square`` cuts a picture of this width and height: left, top, right and bottom, in pixels."""
    width, height = size
    side = min(max(1, round(margin * face.side)), width, height)
    left = min(max((face.left + face.right - side) // 2, 0), width - side)
    top = min(max((face.top + face.bottom - side) // 2, 0), height - side)
    return left, top, left + side, top + side


def detect(letterbox: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The detector on uint8 (256, 256, 3), RGB, before suppression.

    Returns float32 boxes (n, 6), left, top, right, bottom and the way from the eyes to the mouth, right and down, in
    its pixels; and their scores (n,).
    """
    regressors, logits = _detector().run(None, {"input": letterbox[None] / np.float32(127.5) - 1})
    scores = (1 + np.tanh(logits[0, :, 0] / 2)) / 2  # the sigmoid, without its overflow
    likely = scores >= MIN_SCORE
    found = regressors[0, likely]  # columns 4 to 15 are eyes, nose, mouth and ears
    centres, half = ANCHORS[likely] + found[:, :2], found[:, 2:4] / 2
    mouth = found[:, 10:12] - (found[:, 4:6] + found[:, 6:8]) / 2
    return np.concatenate([centres - half, centres + half, mouth], axis=1), scores[likely]


def weighted_nms(boxes: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Non-maximum suppression that averages the boxes of a face, weighted by score, instead of keeping one.

    ``boxes`` (n, 4 or more) and ``scores`` (n,) -> a box and its highest score for each face, the highest
    first. It keeps boxes steadier from one frame to the next (Bazarevsky et al. 2019, "post-processing").
    """
    order = np.argsort(-scores, kind="stable")
    boxes, scores, faces = boxes[order], scores[order], []
    while len(boxes):
        same = iou(boxes[0], boxes) > NMS_IOU
        score = round(float(scores[0]), 2)
        faces.append((np.average(boxes[same], axis=0, weights=scores[same]), score))
        boxes, scores = boxes[~same], scores[~same]
    return faces


def iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union (n,) of ``box`` (4,) with each of ``boxes`` (n, 4), further columns ignored."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:4], boxes[:, 2:4])
    intersection = np.maximum(high - low, 0).prod(axis=1)
    area, areas = (box[2:4] - box[:2]).prod(), (boxes[:, 2:4] - boxes[:, :2]).prod(axis=1)
    return intersection / (area + areas - intersection)


def anchors(cells: int, boxes: int) -> np.ndarray:
    """The centres, x and y in pixels, of a grid of ``cells`` x ``cells``, each ``boxes`` times."""
    at = (np.arange(cells, dtype=np.float32) + 0.5) * (SIDE / cells)
    return np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2).repeat(boxes, axis=0)


ANCHORS = np.concatenate([anchors(16, 2), anchors(8, 6)])  # (896, 2)


def fingerprint() -> str:
    """Identifies the detector's file: "sha256:" and its hash. Raises OSError where it is missing."""
    try:
        return f"sha256:{hashlib.sha256(DETECTOR.read_bytes()).hexdigest()}"
    except OSError as error:
        raise _broken() from error


@cache
def _detector():
    import onnxruntime  # here, since whole pictures need none

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # pictures run side by side already
    try:
        return onnxruntime.InferenceSession(DETECTOR, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own exceptions have no other common base
        raise _broken() from error


def _broken() -> OSError:
    return OSError(f"{DETECTOR} is missing or broken: restore it by git checkout")
