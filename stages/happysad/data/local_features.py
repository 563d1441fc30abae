"""Copies by local features: pictures that show the same thing in part, turned, or with something laid over it.

ORB (Rublee et al., 2011) describes the surroundings of up to 200 corners of a picture by 256 bits each. Two pictures
are compared in three steps of rising cost:

1. Candidates share descriptors. Of the descriptors' eight 32-bit words one must be equal, so that sorting
   finds them (locality-sensitive hashing), and most of the other bits.
2. RANSAC finds the affine map that most of the matching corners agree on.
3. Where both pictures overlap under that map, their thumbnails must correlate. This tells copies from strangers with the
   same logo, caption or layout of a face. A fifth of the overlap may differ: a logo or a caption.

Corners are found and described in integers, and all else in float64 with its result rounded, so that no
decision depends on the processor.
"""

from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from happysad.data import thumbnails

SIDE = 256  # pixels of the longer side in which corners are sought
ENLARGED = 3  # times, at most, where a picture is smaller
CORNERS = 200  # at most, the strongest
NEIGHBOURS = 8  # how many descriptors with the same word one is compared with: bounds the cost of common ones
NEAR, SHARED = 32, 4  # bits in which shared descriptors may differ, and how many of them make a candidate
MATCH, TURN = 64, 18  # how much matching corners of a candidate may differ: bits, and 256ths of a turn
TOLERANCE, INLIERS = 5, 8  # of the affine map: 256ths of a picture's sides; corners that must agree on it
SQUEEZE = 2.5  # times that the map may shrink one direction more than the other
OVERLAP = 1  # minimum sum of the shares of both pictures that the other shows
KEPT, CONFIRMED = 0.8, 0.9  # the share of the overlap that must correlate, and how much
MARGIN, MIDDLE = 0.16, 0.6  # what is cut off the overlap on each side; minimum correlation of the rest

Box = tuple[float, float, float, float]  # left, top, right, bottom of a part of a picture with sides of 1

cv2.setNumThreads(1)  # pictures are described side by side already


class Match(NamedTuple):
    similarity: float  # correlation of Laplacians where both overlap, CONFIRMED to 1, rounded to 6 decimals
    shown: tuple[Box, Box]  # what the second shows of the first, and the reverse


def describe(picture: Image.Image) -> np.ndarray:
    """The corners of a grey picture: (k, 35) uint8, of each its descriptor in 32 bytes, x, y (256ths of the sides) and angle (of a turn)."""
    scale = min(SIDE / max(picture.size), ENLARGED)
    size = [max(1, round(scale * length)) for length in picture.size]
    grey = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2)
    orb = cv2.ORB_create(CORNERS, nlevels=5, edgeThreshold=16, fastThreshold=5)
    corners, descriptors = orb.detectAndCompute(np.asarray(grey), None)
    if not corners:
        return np.zeros((0, 35), np.uint8)
    places = np.array([(*corner.pt, corner.angle) for corner in corners[:CORNERS]]) * 256 / (*size, 360)
    return np.hstack([descriptors[:CORNERS], places.astype(np.uint8)])


def candidates(pictures: list[np.ndarray]) -> np.ndarray:
    """(p, 2) indices of pictures, first < second, that share SHARED descriptors; ``pictures`` as from ``describe``."""
    descriptors = np.concatenate([corners[:, :32] for corners in pictures])
    angle = np.concatenate([corners[:, 34] for corners in pictures])
    picture = np.repeat(np.arange(len(pictures)), [len(corners) for corners in pictures])
    words, halves = descriptors.view(np.uint32), descriptors.view(np.uint64)
    found = []
    for word in words.T:
        order = word.astype(np.uint64) << 32 | np.arange(len(words), dtype=np.uint64)
        order.sort()
        value, corner = (order >> 32).astype(np.uint32), order.astype(np.uint32)
        at = np.arange(len(order))
        for step in range(1, NEIGHBOURS + 1):
            at = at[: np.searchsorted(at, len(order) - step)]
            at = at[value[at] == value[at + step]]
            a, b = corner[at], corner[at + step]
            near = (_turn(angle[a], angle[b]) <= TURN) & (picture[a] != picture[b])
            a, b = a[near], b[near]
            near = np.bitwise_count(halves[a] ^ halves[b]).sum(axis=1) <= NEAR
            found.append(a[near].astype(np.uint64) << 32 | b[near])  # a < b: equal words are in index order
    found = np.unique(np.concatenate(found))
    pairs = picture[found >> 32] * len(pictures) + picture[found & 0xFFFFFFFF]
    pairs, counts = np.unique(pairs, return_counts=True)
    return np.stack(np.divmod(pairs[counts >= SHARED], len(pictures)), axis=1)


def compare(a: np.ndarray, b: np.ndarray, first: np.ndarray, second: np.ndarray) -> Match | None:
    """How alike two copies are, whose features are a and b and whose thumbnails are first and second; None for strangers."""
    warp = _align(a, b)
    scale = np.linalg.det(warp[:, :2])
    long, short = np.linalg.svd(warp[:, :2], compute_uv=False)
    if scale <= 0 or short < long / SQUEEZE:
        return None
    if swapped := scale > 1:  # compare at the scale of the picture that shows more
        warp, first, second = cv2.invertAffineTransform(warp), second, first
    back = cv2.invertAffineTransform(warp)
    inside, around = _inside(back), _inside(warp)
    if inside.mean() + around.mean() < OVERLAP:
        return None
    shown = _box(inside), _box(around)
    back[:, 2] *= thumbnails.SIDE / 256
    moved = Image.fromarray(second).transform(
        second.shape, Image.Transform.AFFINE, back.ravel().tolist(), Image.Resampling.BILINEAR
    )
    details = [cv2.Laplacian(t, cv2.CV_16S).astype(np.float64) for t in (first, np.asarray(moved))]
    inside = inside.astype(np.uint8)
    steps = round(MARGIN * np.sqrt(inside.sum()))
    middle = cv2.erode(inside, None, iterations=steps, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    if middle.sum() < 16 or _correlation(*(detail[middle] for detail in details)) < MIDDLE:
        return None
    inside = cv2.erode(inside, None) > 0  # where the Laplacian has all it needs
    similarity = round(_trimmed_correlation(*(detail[inside] for detail in details)), 6)
    return Match(similarity, shown[::-1] if swapped else shown) if similarity >= CONFIRMED else None


def _align(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The affine map (2, 3) of places in b to places in a, all zero if too few corners agree on one."""
    if min(len(a), len(b)) < INLIERS:
        return np.zeros((2, 3))
    distance, nearest = cv2.batchDistance(
        a[:, :32], b[:, :32], cv2.CV_32S, normType=cv2.NORM_HAMMING, K=1, crosscheck=True
    )
    matched = np.flatnonzero((nearest[:, 0] >= 0) & (distance[:, 0] <= MATCH))
    a, b = a[matched], b[nearest[matched, 0]]
    upright = _turn(a[:, 34], b[:, 34]) <= TURN
    a, b = (x[upright, 32:34].astype(np.float32) for x in (a, b))
    if len(a) >= INLIERS:
        warp, agree = cv2.estimateAffine2D(b, a, ransacReprojThreshold=TOLERANCE)
        if agree.sum() >= INLIERS:
            return warp
    return np.zeros((2, 3))


def _turn(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The difference (n,) of two angles in 256ths of a turn, 0 to 128."""
    return np.abs((a - b).view(np.int8).astype(int))


def _inside(warp: np.ndarray) -> np.ndarray:
    """Which cells (32, 32) of a picture the map takes into another."""
    centres = (np.arange(thumbnails.SIDE) + 0.5) * (256 / thumbnails.SIDE)
    places = warp[:, :2] @ np.stack(np.meshgrid(centres, centres)).reshape(2, -1) + warp[:, 2:]
    return ((places > 0) & (places < 256)).all(axis=0).reshape(thumbnails.SIDE, thumbnails.SIDE)


def _box(inside: np.ndarray) -> Box:
    y, x = np.nonzero(inside)
    return tuple((np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) / thumbnails.SIDE).tolist())


def _trimmed_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """The correlation of those cells that fit a line best: least trimmed squares (Rousseeuw and Van Driessen, 1999)."""
    kept = np.ones(len(x), bool)
    for _ in range(4):
        u, v = x - x[kept].mean(), y - y[kept].mean()
        residual = np.abs(u - u[kept] @ v[kept] / (v[kept] @ v[kept] + 1e-6) * v)
        kept = residual <= np.sort(residual)[int(KEPT * len(residual)) - 1]
    return _correlation(x[kept], y[kept])


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / np.sqrt((x @ x) * (y @ y) + 1e-6))
