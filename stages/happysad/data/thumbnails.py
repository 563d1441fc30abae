"""Copies by thumbnails: pictures that were changed as a whole.

A copy may be recompressed, resized, cropped by up to 8% on each side, brighter, darker, of another
contrast, grey or mirrored. Pictures may be compared in several views, such as the whole picture and its largest
face: copies cropped by far more than 8% still show the same face. Everything works on the low DCT coefficients of
grey 32 × 32 thumbnails, in three tests of rising cost, each applied to the pairs that passed the one before:

1. correlation, of all pairs, as blocks of a matrix product. Mirroring negates the odd columns of a
   DCT, so the even part plus or minus the odd part compares with a picture or with its mirror image;
2. tangent distance (Simard, LeCun and Denker, 1993): correlation with the best linear combination of a
   picture and its derivatives by shift and stretch, which tolerates a crop to first order;
3. registration by Gauss-Newton steps on the mean of both pictures' gradients (Benhimane and Malis, 2004),
   coarse and then fine, and correlation of the Laplacians where both overlap. The Laplacian leaves out
   what unrelated pictures share, such as a white background or the layout of a face, and keeps the detail
   that distinguishes them.

The decision must not depend on the processor, whose BLAS and SIMD level change the last bits of a sum.
Tests 1 and 2 therefore compare vectors of integers so small that any order of summation is exact. Test 3
computes in float64 and rounds the similarity to 6 decimals.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

SIDE = 32  # pixels
UNIT = 4000  # the length of vectors in tests 1 and 2: float32 holds every integer up to 2**24 > UNIT**2
LOW, COARSE, FINE = 10, 12, 24  # DCT coefficients per axis in tests 1 and 2, and in 3
ALIKE, AHEAD, TANGENT, ALIGNED, CONFIRMED = 0.74, 0.89, 0.95, 0.8, 0.92  # minimum correlations, in order
CELLS, BATCH = 2**22, 2**11  # pairs at a time in test 1, and in the later ones: bound memory


def thumbnail(picture: Image.Image) -> np.ndarray:
    """The (32, 32) uint8 thumbnail of a grey picture."""
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.HAMMING, reducing_gap=2))


def perceptual_hash(thumbnail: np.ndarray) -> str:
    """The signs of the 24 lowest DCT coefficients of a (32, 32) uint8 thumbnail, as hexadecimal digits.

    Recompressing or resizing a picture seldom changes it, its last bits hardly ever. Unrelated pictures may
    share it.
    """
    return np.packbits(dct(thumbnail[None], 5).ravel()[1:] > 0).tobytes().hex()


@threadpool_limits.wrap(limits=1)  # for products this small, more threads only wait for one another
def find(*views: np.ndarray) -> list[tuple[int, int, float]]:
    """Near-duplicates among n pictures, first < second, and their similarity; sorted.

    Each of ``views``, (n, 32, 32) uint8, holds a thumbnail of every picture. The pictures of a pair are alike in at
    least one view, and their similarity, CONFIRMED to 1, is that of the view in which they are most alike. Of thumbnails identical
    in a view, the first is paired with each of the others and stands for them in all other pairs. Apart from
    that the pairs do not depend on the order of the pictures.
    """
    pairs = sorted(pair for thumbnails in views for pair in _find(thumbnails))
    return list({pair[:2]: pair for pair in pairs}.values())  # of equal ends, the last is the most similar


def _find(thumbnails: np.ndarray) -> list[tuple[int, int, float]]:
    flat = thumbnails.reshape(len(thumbnails), -1)
    distinct, first, which = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    distinct = distinct.reshape(-1, SIDE, SIDE)
    pairs = [(int(first[d]), i, 1.0) for i, d in enumerate(which) if first[d] != i]
    for a, b, mirrored in _candidates(distinct):
        other = np.where(mirrored[:, None, None], distinct[b, :, ::-1], distinct[b])
        for i, j, s in zip(first[a], first[b], similarity(distinct[a], other), strict=True):
            if s >= CONFIRMED:
                pairs.append((int(min(i, j)), int(max(i, j)), float(s)))
    return pairs


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation (p,) of the Laplacians of (p, 32, 32) thumbnails a and b, after registration."""
    identity = np.tile([0.0, 1.0], (len(a), 2, 1))
    result, warp = _register(a, b, identity, COARSE, 12, 2)
    near = result > ALIGNED
    result[near], _ = _register(a[near], b[near], warp[near], FINE, SIDE, 2)
    return result.round(6)


def _candidates(thumbnails: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs that pass tests 1 and 2, some rows at a time: indices a < b, and whether b is mirrored."""
    batches = (_vectors(thumbnails[i : i + BATCH]) for i in range(0, len(thumbnails), BATCH))
    even, odd, even_tangents, odd_tangents = map(np.concatenate, zip(*batches, strict=True))
    rows = max(1, CELLS // len(even))
    for top in range(0, len(even), rows):
        even_product, odd_product = (x[top : top + rows] @ x[top:].T for x in (even, odd))
        alike = np.flatnonzero(even_product + np.abs(odd_product) >= ALIKE * UNIT**2)
        a, b = np.divmod(alike, even_product.shape[1])
        alike, a, b = (x[a < b] for x in (alike, a, b))
        sign = np.sign(odd_product.ravel()[alike])[:, None]
        a, b = a + top, b + top
        ahead = np.empty((len(a), 5), np.float32)
        for row, part in _runs(a):
            ahead[part] = even[b[part]] @ even_tangents[row] + sign[part] * (odd[b[part]] @ odd_tangents[row])
        ahead = _norm(ahead)
        passed = np.flatnonzero(ahead >= AHEAD * UNIT**2)
        for k in range(0, len(passed), BATCH):
            p = passed[k : k + BATCH]
            back = np.einsum("pc,pck->pk", even[a[p]], even_tangents[b[p]])
            back += sign[p] * np.einsum("pc,pck->pk", odd[a[p]], odd_tangents[b[p]])
            p = p[np.maximum(ahead[p], _norm(back)) >= TANGENT * UNIT**2]
            yield a[p], b[p], sign[p, 0] < 0


def _runs(sorted_values: np.ndarray) -> Iterator[tuple[int, slice]]:
    """Each value with the slice that holds it."""
    values, starts = np.unique(sorted_values, return_index=True)
    return zip(values, map(slice, starts, [*starts[1:], len(sorted_values)]), strict=True)


def _vectors(thumbnails: np.ndarray) -> tuple[np.ndarray, ...]:
    """What tests 1 and 2 compare, as float32 integers: even and odd parts of the pictures and of their tangents.

    A picture is its DCT coefficients without their mean, of length UNIT; its tangents are an orthogonal
    basis, each of length UNIT, of the space that the picture and its derivatives by shift and stretch span.
    Shapes (n, 50), (n, 50), (n, 50, 5) and (n, 50, 5).
    """
    c = dct(thumbnails, LOW)
    c[:, 0, 0] = 0  # brightness
    c /= np.maximum(np.sqrt(np.square(c).sum((1, 2), keepdims=True)), 1e-6)
    wave, slope = _waves(_centres(SIDE), LOW)
    shift, stretch = (2 / SIDE * wave.T @ d for d in (slope, slope * _centres(SIDE)[:, None]))
    vectors = np.stack([c, shift @ c, c @ shift.T, stretch @ c, c @ stretch.T], axis=1)
    vectors[:, :, 0, 0] = 0
    vectors = vectors.reshape(-1, 5, LOW * LOW)
    # Gram-Schmidt as a Cholesky factorisation. The small diagonal keeps rounding noise out of the basis
    # where two derivatives are parallel.
    factor = np.linalg.cholesky(vectors @ vectors.swapaxes(1, 2) + 1e-6 * np.eye(5))
    basis = np.linalg.solve(factor, vectors).swapaxes(1, 2).reshape(-1, LOW, LOW, 5)
    return tuple(np.rint(UNIT * part).astype(np.float32) for x in (c, basis) for part in _parts(x))


def _norm(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(vectors, dtype=np.float64).sum(-1))


def _parts(c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DCT coefficients (n, 10, 10, ...) as those of even and of odd columns, (n, 50, ...) each."""
    return tuple(c[:, :, k::2].reshape(len(c), -1, *c.shape[3:]) for k in (0, 1))


def _register(
    a: np.ndarray, b: np.ndarray, warp: np.ndarray, count: int, size: int, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Shift and stretch b onto a: the similarity (p,) and the warp (p, 2 axes, shift and stretch).

    Compares ``count`` coefficients per axis on a grid of ``size`` points, where b has pixels.
    """
    grid = _centres(size)
    target, target_y, target_x = _render(dct(a, count), grid, grid)
    coefficients = dct(b, count)
    for step in range(steps + 1):
        at = warp[:, :, :1] + warp[:, :, 1:] * grid
        inside = np.abs(at) <= 1
        inside = inside[:, 0, :, None] & inside[:, 1, None, :]
        moved, moved_y, moved_x = _render(coefficients, at[:, 0], at[:, 1])
        if step == steps:
            return _correlation(_laplacian(target, inside), _laplacian(moved, inside)), warp
        by_y, by_x = (target_y + moved_y) / 2, (target_x + moved_x) / 2
        parts = [moved, np.ones_like(moved), by_y, by_y * grid[:, None], by_x, by_x * grid]
        parts = (np.stack(parts, axis=1) * inside[:, None]).reshape(-1, 6, size * size)
        normal = parts @ parts.swapaxes(1, 2)
        normal += np.eye(6) * (1e-3 * normal + 1e-2)
        solution = np.linalg.solve(normal, parts @ target.reshape(-1, size * size, 1))[:, :, 0]
        change = (solution[:, 2:] / np.maximum(solution[:, :1], 0.3)).reshape(-1, 2, 2)
        warp = np.clip(warp + np.clip(change, -0.12, 0.12), [-0.2, 0.8], [0.2, 1.25])


def _render(c: np.ndarray, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pictures of DCT coefficients c at positions y and x, and their slopes along y and along x."""
    (wave_y, slope_y), (wave_x, slope_x) = _waves(y, c.shape[-1]), _waves(x, c.shape[-1])
    along = c @ wave_x.swapaxes(-1, -2)
    return wave_y @ along, slope_y @ along, wave_y @ c @ slope_x.swapaxes(-1, -2)


def _laplacian(picture: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(p, size - 2, size - 2), zero where a neighbour is outside."""

    def around(x: np.ndarray) -> list[np.ndarray]:
        return [x[:, :-2, 1:-1], x[:, 2:, 1:-1], x[:, 1:-1, :-2], x[:, 1:-1, 2:]]

    return (4 * picture[:, 1:-1, 1:-1] - sum(around(picture))) * np.logical_and.reduce(around(inside))


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    dot = partial(np.einsum, "pyx,pyx->p")
    return dot(a, b) / np.sqrt(dot(a, a) * dot(b, b) + 1e-6)


def dct(thumbnails: np.ndarray, count: int) -> np.ndarray:
    """(n, count, count) lowest DCT coefficients, tapered so that the picture they draw does not ring.

    They are exact: with cosines in multiples of 2**-12 all sums fit in a float64, and rounded to multiples
    of 2**-10 so do the sums of their squares.
    """
    wave, _ = _waves(_centres(SIDE), count)
    wave = np.rint(4096 * wave * np.exp(-2 * np.square(np.arange(count) / count))) / 4096 * (2 / SIDE)
    return np.rint(1024 * (wave.T @ thumbnails.astype(np.float64) @ wave)) / 1024


def _waves(at: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The cosines of the DCT at positions in [-1, 1], and their derivatives: (..., count) each."""
    frequency = np.pi / 2 * np.arange(count)
    angle = (at + 1)[..., None] * frequency
    wave, slope = np.cos(angle), -np.sin(angle) * frequency
    wave[..., 0] = np.sqrt(0.5)
    return wave, slope


def _centres(size: int) -> np.ndarray:
    """Positions of pixels along one axis: a picture spans [-1, 1]."""
    return (2 * np.arange(size) + 1) / size - 1
