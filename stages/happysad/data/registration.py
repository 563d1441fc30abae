"""How two pictures overlap, and by how much they differ there.

A warp takes places in the first picture to places in the second: an affine map (2, 3), in pixels of 64 × 64 thumbnails.
ECC (Evangelidis and Psarakis, 2008) refines it, which neither brightness nor contrast misleads.

Nothing here may depend on the processor: what is computed on whole grey levels is exact, the rest is rounded.
"""

from typing import NamedTuple

import cv2
import numpy as np

OVERLAP = 1  # minimum sum of the shares of both pictures that the other shows
HOPEFUL = 0.4  # similarity from which on refining is worth its time; what it made alike had 0.7 before
TRIM = 0.8  # the share of the overlap that must correlate
MARGIN = 0.16  # what is cut off on each side for the middle
WINDOW = 7  # pixels
NOISE = 3  # grey levels that are no difference
DETAIL = 1  # grey levels per pixel that are a detail
WIDE, STILL = 15, 5  # pixels; the slope in grey levels per pixel from which on motion is taken for real
STEPS = (cv2.TERM_CRITERIA_MAX_ITER | cv2.TERM_CRITERIA_EPS, 20, 1e-4)  # of ECC

cv2.setNumThreads(1)  # pictures are described side by side already


class Overlap(NamedTuple):
    """Where two pictures overlap: how alike they are there, and the second moved onto the first."""

    similarity: float  # correlation of the details, but for the worst fifth: -1 to 1, rounded to 3 decimals
    middle: float  # the same of all details in the middle
    moved: np.ndarray  # (64, 64) uint8
    inside: np.ndarray  # (64, 64) bool
    warp: np.ndarray


def register(first: np.ndarray, second: np.ndarray, warps: list[np.ndarray]) -> Overlap | None:
    """The best overlap of two (64, 64) uint8 thumbnails, None if there is hardly any. ``warps`` are where to begin."""
    details = _details(first)
    found = [overlap for warp in warps if (overlap := _overlap(details, second, warp))]
    if not found:
        return None
    best = max(found, key=lambda overlap: overlap[:2])
    if best.similarity < HOPEFUL:
        return best
    refined = _overlap(details, second, _refined(first, second, best.warp))
    return refined if refined and refined[:2] >= best[:2] else best


def _overlap(details: np.ndarray, second: np.ndarray, warp: np.ndarray) -> Overlap | None:
    how = {"dsize": second.shape, "flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP}
    moved = cv2.warpAffine(second, warp, **how)
    inside = cv2.warpAffine(np.full_like(second, 255), warp, **how) == 255
    core = _eroded(inside, 2)
    middle = _eroded(core, round(MARGIN * np.sqrt(core.sum())))
    if inside.mean() * (1 + abs(np.linalg.det(warp[:, :2]))) < OVERLAP or middle.sum() < 100:
        return None
    x, y = details, _details(moved)
    trimmed, whole = _trimmed_correlation(x[core], y[core]), _correlation(x[middle], y[middle])
    return Overlap(round(trimmed, 3), round(whole, 3), moved, inside, warp)


def _details(picture: np.ndarray) -> np.ndarray:
    return cv2.Laplacian(cv2.GaussianBlur(picture.astype(np.float64), None, 1.2), -1)


def _refined(first: np.ndarray, second: np.ndarray, warp: np.ndarray) -> np.ndarray:
    for scale in (2, 1):  # coarse, then fine
        small = (first, second) if scale == 1 else (cv2.pyrDown(first), cv2.pyrDown(second))
        start = (warp / [1, 1, scale]).astype(np.float32)
        try:
            warp = cv2.findTransformECC(*small, start, cv2.MOTION_AFFINE, STEPS, None, 3)[1] * [1, 1, scale]
        except cv2.error:  # it does not converge: strangers
            break
    return warp


def difference(first: np.ndarray, overlap: Overlap) -> tuple[float, float, float]:
    """How much windows of both differ: the largest change, the largest motion, the share of windows with details.

    Change is the shift of all edges, in pixels, that would explain the difference; motion the one shift that explains it
    best (Lucas and Kanade, 1981). Noise is change without motion; a head that turns is motion without much change.
    """
    moved, inside = overlap.moved, _eroded(overlap.inside, 1)

    def box(x: np.ndarray, side: int) -> np.ndarray:
        sums = cv2.boxFilter(x * inside, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
        return sums[inside]

    found = []
    for pair in ((first, _toned(moved, first, inside)), (moved, _toned(first, moved, inside))):
        a, b = (picture.astype(np.float64) for picture in pair)  # whole numbers, so that all sums are exact
        *slopes, (x, y) = [(cv2.Sobel(z, -1, 1, 0), cv2.Sobel(z, -1, 0, 1)) for z in (a, b, a + b)]
        steepest = np.maximum(*(np.abs(x) + np.abs(y) for x, y in slopes)) / 8  # Sobel's are times 8
        slope = box(steepest, WINDOW)
        change = box(np.abs(a - b), WINDOW) / (slope + NOISE * box(np.ones_like(a), WINDOW))
        xx, yy = (box(z * z, WIDE) + (16 * STILL * WIDE) ** 2 for z in (x, y))
        xy, xr, yr = (box(z, WIDE) for z in (x * y, x * (a - b), y * (a - b)))
        motion = 16 * np.hypot(yy * xr - xy * yr, xx * yr - xy * xr) / (xx * yy - xy * xy)
        detail = (slope > DETAIL * WINDOW**2).mean()
        found.append(tuple(round(float(value), 3) for value in (change.max(), motion.max(), detail)))
    return min(found)


def _toned(picture: np.ndarray, like: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """``picture`` with its grey levels made as common as those of ``like`` (histogram matching)."""
    counts = [np.bincount(x[inside], minlength=256) for x in (picture, like)]
    ranks = [2 * c.cumsum() - c for c in counts]
    return np.interp(*ranks, np.arange(256)).round().astype(np.uint8)[picture]


def _eroded(mask: np.ndarray, steps: int) -> np.ndarray:
    edge = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 0}
    return cv2.erode(mask.astype(np.uint8), None, iterations=steps, **edge) > 0


def _trimmed_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """The correlation of those places that fit a line best: least trimmed squares (Rousseeuw and Van Driessen, 1999)."""
    kept = np.ones(len(x), bool)
    for _ in range(4):
        u, v = x - x[kept].mean(), y - y[kept].mean()
        residual = np.abs(u - u[kept] @ v[kept] / (v[kept] @ v[kept] + 1e-6) * v)
        last = int(TRIM * len(residual)) - 1
        kept = residual <= np.partition(residual, last)[last]
    return _correlation(x[kept], y[kept])


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / np.sqrt((x @ x) * (y @ y) + 1e-6))
