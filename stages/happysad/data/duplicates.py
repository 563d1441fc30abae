"""Pairs of pictures that are the same, or of one scene.

Thumbnails find what was changed as a whole, however few details it has; local features find what is left of a picture
that was cropped, turned by up to 20 degrees, framed, or overlaid by a caption or a logo. Registration then decides:

- One scene: details correlate, most of all in the middle. A fifth of the places may differ, such as a logo or a caption.
- Copies: besides, nowhere is the difference larger than if all edges were a pixel off, and nothing has moved by half a
  pixel. A mouth that opens is more, and so is a head that turns. In doubt, two pictures are only of one scene.

A picture with few details, such as a silhouette or a night shot, resembles many others by chance: the fewer details,
the less may differ.
"""

from collections import defaultdict
from typing import NamedTuple

import numpy as np
from PIL import Image

from happysad.data import local_features, thumbnails
from happysad.data.registration import difference, register

ALIKE = 0.95  # of one scene: the least correlation of details
MIDDLE = 0.12  # the same: how much that may lack of 1 in the middle
CHANGE, MOTION = 0.9, 0.5  # of copies: the largest difference, in pixels of thumbnails
SHOWN = 0.6  # of copies: the least share of each that the other shows
UNCHANGED, MIRRORED = np.eye(2, 3), np.array([[-1.0, 0, thumbnails.SIDE - 1], [0, 1, 0]])  # warps


class Signature(NamedTuple):
    """What pictures are compared by."""

    thumbnail: np.ndarray  # (64, 64) uint8
    features: np.ndarray  # (k, 35) uint8
    face: np.ndarray | None  # (64, 64) uint8
    box: np.ndarray | None  # (3, 3), from pixels of the face's thumbnail to those of the picture's


class Pair(NamedTuple):
    first: int
    second: int
    similarity: float
    copy: bool  # the same picture, not only the same scene


def signature(picture: Image.Image, face: tuple[int, int, int, int] | None = None) -> Signature:
    """Of an RGB picture and its largest face: left, top, right and bottom of a box in pixels."""
    grey = picture.convert("L")
    whole, features = thumbnails.thumbnail(grey), local_features.describe(grey)
    if face is None:
        return Signature(whole, features, None, None)
    box = np.eye(3)
    left_top, right_bottom = np.array(face).reshape(2, 2) / picture.size
    box[[0, 1], [0, 1]] = right_bottom - left_top
    box[:2, 2] = thumbnails.SIDE * left_top + (right_bottom - left_top - 1) / 2  # centres of pixels
    return Signature(whole, features, thumbnails.thumbnail(grey.crop(face)), box)


def find_pairs(signatures: list[Signature]) -> list[Pair]:
    """The pairs among n pictures, sorted, first < second.

    Of pictures with identical thumbnails, the first is paired with each of the others and stands for them in
    all other pairs. Apart from that the pairs do not depend on the order of the pictures.
    """
    if not signatures:
        return []
    first = {}
    heads = [first.setdefault(s.thumbnail.tobytes(), i) for i, s in enumerate(signatures)]
    pairs = [Pair(head, i, 1.0, True) for i, head in enumerate(heads) if head != i]
    order = [first[content] for content in sorted(first)]
    warps = _starts({i: signatures[i].thumbnail for i in order})
    features = [signatures[i].features for i in order]
    for a, b in local_features.candidates(features):
        if (warp := local_features.align(features[a], features[b])) is not None:
            warps.setdefault((order[a], order[b]), []).append(warp)
    found = {}
    for (i, j), starts in warps.items():
        a, b = signatures[i], signatures[j]
        if match := _compare(a.thumbnail, b.thumbnail, starts):
            found[i, j] = match[0], match[1] and _same_face(a, b, match[2])
    # The model may be shown the same face of pictures that are otherwise cropped too differently.
    faces = {i: signatures[i].face for i in order if signatures[i].face is not None}
    for (i, j), starts in _starts(faces).items() if faces else ():
        if (i, j) not in found and (match := _compare(faces[i], faces[j], starts)):
            found[i, j] = match[0], False
    return sorted(pairs + [Pair(*sorted(ends), *rest) for ends, rest in found.items()])


def _starts(pictures: dict[int, np.ndarray]) -> dict[tuple[int, int], list[np.ndarray]]:
    """The warps to begin with, by pair of candidates among thumbnails."""
    names = list(pictures)
    return {
        (names[min(a, b)], names[max(a, b)]): [MIRRORED if mirrored else UNCHANGED]
        for a, b, mirrored in thumbnails.candidates([*pictures.values()])
    }


def _compare(first: np.ndarray, second: np.ndarray, starts: list) -> tuple[float, bool, np.ndarray] | None:
    """Similarity, whether they are copies, and their warp, for thumbnails of one scene."""
    overlap = register(first, second, starts)
    if overlap is None or overlap.similarity < ALIKE:
        return None
    change, motion, detail = difference(first, overlap)
    if 1 - overlap.middle > MIDDLE * detail:
        return None
    shown = overlap.inside.mean() * min(1, abs(np.linalg.det(overlap.warp[:, :2])))
    copy = bool(change <= CHANGE * detail and motion <= MOTION and shown >= SHOWN)
    return overlap.similarity, copy, overlap.warp


def _same_face(a: Signature, b: Signature, warp: np.ndarray) -> bool:
    """False if both show one face and it has changed, as by an expression too small to be seen in the whole."""
    if a.face is None or b.face is None:
        return True
    warp = (np.linalg.inv(b.box) @ np.vstack([warp, [0, 0, 1]]) @ a.box)[:2]
    centre = warp @ [thumbnails.SIDE / 2, thumbnails.SIDE / 2, 1]
    if ((centre < 0) | (centre > thumbnails.SIDE)).any():  # the largest face of each is another person's
        return True
    if (overlap := register(a.face, b.face, [warp])) is None:
        return False
    change, _, detail = difference(a.face, overlap)
    return change <= CHANGE * detail


def copies(signatures: list[Signature], pairs: list[Pair]) -> list[list[int]]:
    """Of n pictures in order of preference, each that is no copy of one before it, with those that are copies of it."""
    identical = defaultdict(set)  # of these, find_pairs compares only the first with other pictures
    for i, s in enumerate(signatures):
        identical[s.thumbnail.tobytes()].add(i)
    alike = [{i} for i in range(len(signatures))]
    for pair in pairs:
        if pair.copy:
            alike[pair.first].add(pair.second)
    found, left = [], set(range(len(signatures)))
    for i, others in enumerate(alike):
        if i in left:
            same = left & set().union(*(identical[signatures[j].thumbnail.tobytes()] for j in others))
            found.append(sorted(same))
            left -= same
    return found


def scenes(n: int, pairs: list[Pair]) -> list[list[int]]:
    """The connected components of n pictures, each sorted, sorted."""
    scene = [[i] for i in range(n)]
    for pair in pairs:
        few, many = sorted((scene[pair.first], scene[pair.second]), key=len)
        if few is not many:
            many += few
            for i in few:
                scene[i] = many
    return sorted(sorted(members) for i, members in enumerate(scene) if members[0] == i)
