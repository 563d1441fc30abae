"""Near-duplicates: which pictures are copies of one another, as pairs and as groups.

Two methods complement each other. Thumbnails find what was changed as a whole: recompressed, resized, cropped a little,
mirrored, of other colours, however few details it has. Local features find what is left of a picture that was cropped
to a half or a third of its area, turned by up to 20 degrees, framed, or overlaid by a caption or a logo.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from happysad.data import local_features, thumbnails

RESEMBLES = 0.7  # minimum similarity of the thumbnails of a member of a group and its representative
WHOLE = 2 / 3  # a picture of which each of its copies shows at least so much is no collage


class Signature(NamedTuple):
    """What pictures are compared by."""

    thumbnails: np.ndarray  # (views, 32, 32) uint8
    features: np.ndarray  # (k, 35) uint8, of the first view


class Pair(NamedTuple):
    first: int
    second: int
    similarity: float  # correlation of Laplacians, 0.9 to 1, rounded to 6 decimals
    shown: tuple[float, float] = (1, 1)  # the share of the first picture that the second shows, and the reverse


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

    The representative of a group is a member that the others show as a whole, and of these the one of most
    pairs. A pair joins two groups only where every member resembles the representative of both. So neither a chain of
    small changes nor a collage can tie strangers together: the collage joins one of its parts. A pair with its
    pictures in two groups is one that this bound cut.
    """
    n = len(signatures)
    degree = np.bincount([i for pair in pairs for i in pair[:2]], minlength=n)
    whole = np.ones(n, bool)
    for pair in pairs:
        whole[list(pair[:2])] &= np.array(pair.shown) >= WHOLE
    for pair in pairs:
        if pair.similarity == 1:  # the first stands for the second
            whole[pair.second] &= whole[pair.first]
    linked = {ends for i, j, *_ in pairs for ends in ((i, j), (j, i))}
    groups = {i: [i] for i in range(n)}  # representative: members
    head = np.arange(n)

    def rank(k: int) -> tuple:
        return whole[k], degree[k], signatures[k].thumbnails.tobytes()

    for i, j, *_ in sorted(pairs, key=lambda pair: -pair.similarity):
        if head[i] == head[j]:
            continue
        leaves, stays = sorted((head[i], head[j]), key=rank)
        if all((k, stays) in linked or _resembles(signatures[k], signatures[stays]) for k in groups[leaves]):
            groups[stays] += groups[leaves]
            head[groups.pop(leaves)] = stays
    return np.unique(head, return_inverse=True)[1]


def _compare(a: Signature, b: Signature) -> local_features.Match | None:
    return local_features.compare(a.features, b.features, a.thumbnails[0], b.thumbnails[0])


def _resembles(a: Signature, b: Signature) -> bool:
    """Whether a picture is like another, or its mirror image, in one of the views, or shows a part of it."""
    both = np.concatenate([a.thumbnails, a.thumbnails[:, :, ::-1]]), np.tile(b.thumbnails, (2, 1, 1))
    return thumbnails.similarity(*both).max() >= RESEMBLES or _compare(a, b) is not None
