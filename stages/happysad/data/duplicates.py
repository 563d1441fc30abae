"""Near-duplicates: which pictures are copies of one another, as pairs and as groups.

Two methods complement each other. Thumbnails find what was changed as a whole: recompressed, resized, cropped a little,
mirrored, of other colours, however few details it has. Local features find what is left of a picture that was cropped
to a half or a third of its area, turned by up to 20 degrees, framed, or overlaid by a caption or a logo.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from happysad.data import local_features, thumbnails
from happysad.data.local_features import Box

RESEMBLES = 0.7  # minimum similarity of the thumbnails of a member of a group and its representative
COMMON = 0.1  # the least part of a representative's area that all members show


class Signature(NamedTuple):
    """What pictures are compared by."""

    thumbnails: np.ndarray  # (views, 32, 32) uint8
    features: np.ndarray  # (k, 35) uint8, of the first view


class Pair(NamedTuple):
    first: int
    second: int
    similarity: float  # correlation of Laplacians, 0.9 to 1, rounded to 6 decimals
    shown: tuple[Box, Box] = ((0, 0, 1, 1),) * 2  # what the second shows of the first, and the reverse


def signature(picture: Image.Image, *views: Image.Image) -> Signature:
    """Of an RGB picture, and of other views of it such as its largest face: copies may be alike in any one of them."""
    grey, *others = (view.convert("L") for view in (picture, *views))
    images = [thumbnails.thumbnail(view) for view in (grey, *others)]
    return Signature(np.stack(images), local_features.describe(grey))


def find(signatures: list[Signature]) -> list[Pair]:
    """Near-duplicate pairs among n pictures, sorted, first < second.

    Of pictures with identical thumbnails, the first is paired with each of the others and stands for them in
    all other pairs. Apart from that the pairs do not depend on the order of the pictures.
    """
    views = np.stack([s.thumbnails for s in signatures], axis=1)
    pairs = {pair[:2]: Pair(*pair) for pair in thumbnails.find(*views)}
    _, distinct = np.unique(views[0].reshape(len(signatures), -1), axis=0, return_index=True)
    for a, b in distinct[local_features.candidates([signatures[k].features for k in distinct])].tolist():
        ends = (min(a, b), max(a, b))
        if ends not in pairs and (match := _compare(signatures[a], signatures[b])):
            pairs[ends] = Pair(*ends, match.similarity, match.shown if a < b else match.shown[::-1])
    return sorted(pairs.values())


def group(pairs: list[Pair], signatures: list[Signature]) -> np.ndarray:
    """Group number (n,) of each picture: pairs are followed transitively, within a bound.

    The representative of a group is its member of most pairs. A pair joins two groups only where every member
    resembles the representative of the whole, and all show one part of it in common. So neither a chain of small
    changes nor a collage can tie strangers together: the collage is put with one of its parts. A pair with its
    pictures in two groups is one that this bound cut.
    """
    degree = np.bincount([i for pair in pairs for i in pair[:2]], minlength=len(signatures))
    shown = {ends: box for i, j, _, boxes in pairs for ends, box in zip(((j, i), (i, j)), boxes, strict=True)}
    groups = {i: [i] for i in range(len(signatures))}  # representative: members
    common = dict.fromkeys(groups, (0, 0, 1, 1))  # representative: what all members show of it
    head = np.arange(len(signatures))

    def rank(k: int) -> tuple:
        return degree[k], signatures[k].thumbnails.tobytes()

    for i, j, *_ in sorted(pairs, key=lambda pair: -pair.similarity):
        if head[i] == head[j]:
            continue
        leaves, stays = sorted((head[i], head[j]), key=rank)
        box = common[stays]
        for k in groups[leaves]:
            box = _intersection(box, shown.get((k, stays)) or _shown(signatures[k], signatures[stays]))
        if (box[2] - box[0]) * (box[3] - box[1]) >= COMMON:
            common[stays] = box
            groups[stays] += groups[leaves]
            head[groups.pop(leaves)] = stays
    return np.unique(head, return_inverse=True)[1]


def _compare(a: Signature, b: Signature) -> local_features.Match | None:
    return local_features.compare(a.features, b.features, a.thumbnails[0], b.thumbnails[0])


def _shown(picture: Signature, representative: Signature) -> Box:
    """What a picture shows of a representative, in any view and perhaps mirrored: nothing if it does not resemble it."""
    views = np.concatenate([picture.thumbnails, picture.thumbnails[:, :, ::-1]])
    if thumbnails.similarity(views, np.tile(representative.thumbnails, (2, 1, 1))).max() >= RESEMBLES:
        return 0, 0, 1, 1
    match = _compare(picture, representative)
    return match.shown[1] if match else (0, 0, 0, 0)


def _intersection(a: Box, b: Box) -> Box:
    left, top = max(a[0], b[0]), max(a[1], b[1])
    return left, top, max(left, min(a[2], b[2])), max(top, min(a[3], b[3]))
