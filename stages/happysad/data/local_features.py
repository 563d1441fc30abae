"""Candidates for copies by local features: pictures that show the same thing in part, turned, or with something laid over it.

ORB (Rublee et al., 2011) describes the surroundings of up to 200 corners of a picture by 256 bits each.

1. Candidates share descriptors. Of the descriptors' eight 32-bit words one must be equal, so that sorting
   finds them (locality-sensitive hashing), and most of the other bits.
2. RANSAC finds the affine map that most of the matching corners agree on.

Corners are found and described in integers, so that no decision depends on the processor.
"""

import cv2
import numpy as np
from PIL import Image

from happysad.data.thumbnails import SIDE as THUMBNAIL

SIDE = 256  # pixels of the longer side in which corners are sought
ENLARGED = 3  # times, at most, where a picture is smaller
CORNERS = 200  # at most, the strongest
NEIGHBOURS = 8  # how many descriptors with the same word one is compared with: bounds the cost of common ones
NEAR, SHARED = 32, 4  # bits in which shared descriptors may differ, and how many of them make a candidate
MATCH, TURN = 64, 18  # how much matching corners of a candidate may differ: bits, and 256ths of a turn
TOLERANCE, INLIERS = 5, 8  # of the affine map: 256ths of a picture's sides; corners that must agree on it
SQUEEZE = 2.5  # times that the map may shrink one direction more than the other

cv2.setNumThreads(1)  # pictures are described side by side already


def describe(picture: Image.Image) -> np.ndarray:
    """The corners of a grey picture: (k, 35) uint8, of each its descriptor in 32 bytes, x, y (256ths of the sides) and angle (of a turn)."""
    scale = min(SIDE / max(picture.size), ENLARGED)
    size = [max(2, round(scale * length)) for length in picture.size]  # at the last level, still a pixel
    grey = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2)
    orb = cv2.ORB_create(CORNERS, nlevels=5, edgeThreshold=16, fastThreshold=5)
    corners, descriptors = orb.detectAndCompute(np.asarray(grey), None)
    if not corners:
        return np.zeros((0, 35), np.uint8)
    places = np.array([(*corner.pt, corner.angle) for corner in corners[:CORNERS]]) * 256 / (*size, 360)
    return np.hstack([descriptors[:CORNERS], places.astype(np.uint8)])


def candidates(pictures: list[np.ndarray]) -> list[list[int]]:
    """Pairs of indices of pictures, first < second, that share SHARED descriptors; ``pictures`` as from ``describe``."""
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
    return np.stack(np.divmod(pairs[counts >= SHARED], len(pictures)), axis=1).tolist()


def align(a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """The affine map (2, 3) from a to b, in pixels of thumbnails, or None if too few corners agree on a plausible one."""
    if min(len(a), len(b)) < INLIERS:
        return None
    distance, nearest = cv2.batchDistance(
        a[:, :32], b[:, :32], cv2.CV_32S, normType=cv2.NORM_HAMMING, K=1, crosscheck=True
    )
    matched = np.flatnonzero((nearest[:, 0] >= 0) & (distance[:, 0] <= MATCH))
    a, b = a[matched], b[nearest[matched, 0]]
    upright = _turn(a[:, 34], b[:, 34]) <= TURN
    a, b = (x[upright, 32:34].astype(np.float32) for x in (a, b))
    if len(a) < INLIERS:
        return None
    warp, agree = cv2.estimateAffine2D(a, b, ransacReprojThreshold=TOLERANCE)
    if agree.sum() < INLIERS or np.linalg.det(warp[:, :2]) <= 0:
        return None
    long, short = np.linalg.svd(warp[:, :2], compute_uv=False)
    return warp * [1, 1, THUMBNAIL / 256] if short >= long / SQUEEZE else None


def _turn(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The difference (n,) of two angles in 256ths of a turn, 0 to 128."""
    return np.abs((a - b).view(np.int8).astype(int))
