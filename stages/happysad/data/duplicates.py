"""Near-duplicates: which pictures are copies of one another, as pairs and as groups.

A copy may be recompressed, resized, cropped by up to 8% on each side, brighter, darker, of another
contrast, grey or mirrored. All is done on the low DCT coefficients of grey 32 × 32 thumbnails, in
three tests of rising cost, each on the pairs that the one before let through:

1. correlation, of all pairs, as blocks of a matrix product. Mirroring negates the odd columns of a
   DCT, so the even part plus or minus the odd part compares with a picture or with its mirror image;
2. tangent distance (Simard, LeCun and Denker, 1993): correlation with the best mixture of a picture
   and its derivatives by shift and stretch, which forgives a crop to first order;
3. registration by Gauss-Newton steps on the mean of both pictures' slopes (Benhimane and Malis, 2004),
   coarse and then fine, and correlation of the Laplacians where both overlap. The Laplacian leaves out
   what strangers share, such as a white background or the layout of a face, and keeps the detail that
   tells them apart.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

SIDE = 32  # pixels
LOW, COARSE, FINE = 10, 12, 24  # DCT coefficients per axis in tests 1 and 2, and in 3
ALIKE, AHEAD, TANGENT, ALIGNED, CONFIRMED = 0.74, 0.89, 0.95, 0.8, 0.92  # the least correlations, in order
RESEMBLES = 0.7  # the least similarity of a member of a group to its representative
CELLS, BATCH = 2**22, 2**11  # pairs at a time in test 1, and in the later ones: bound memory


class Pair(NamedTuple):
    first: int
    second: int
    similarity: float  # correlation of Laplacians, CONFIRMED to 1


def thumbnail(picture: Image.Image) -> np.ndarray:
    """The (32, 32) uint8 grey thumbnail of an RGB picture."""
    return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.HAMMING, reducing_gap=2))


@threadpool_limits.wrap(limits=1)  # for products this small, more threads only wait for one another
def find(thumbnails: np.ndarray) -> list[Pair]:
    """Near-duplicate pairs among (n, 32, 32) uint8 thumbnails, sorted, first < second.

    Of identical thumbnails, the first is paired with each of the others and stands for them in all other
    pairs. Apart from that the pairs do not depend on the order of the pictures.
    """
    flat = thumbnails.reshape(len(thumbnails), -1)
    distinct, first, which = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    distinct = distinct.reshape(-1, SIDE, SIDE)
    pairs = [Pair(int(first[d]), i, 1.0) for i, d in enumerate(which) if first[d] != i]
    for a, b, mirrored in _candidates(distinct):
        other = np.where(mirrored[:, None, None], distinct[b, :, ::-1], distinct[b])
        for i, j, s in zip(first[a], first[b], similarity(distinct[a], other), strict=True):
            if s >= CONFIRMED:
                pairs.append(Pair(int(min(i, j)), int(max(i, j)), float(s)))
    return sorted(pairs)


def group(thumbnails: np.ndarray, pairs: list[Pair]) -> np.ndarray:
    """Group number (n,) of each picture: pairs are followed transitively, within a bound.

    The representative of a group is its member of most pairs. A pair joins two groups only where every
    member resembles the representative of the whole, so that a chain of small changes cannot tie
    strangers together. A pair with its pictures in two groups is one that this bound cut.
    """
    degree = np.bincount([i for pair in pairs for i in pair[:2]], minlength=len(thumbnails))
    linked = {ends for i, j, _ in pairs for ends in ((i, j), (j, i))}
    groups = {i: [i] for i in range(len(thumbnails))}  # representative: members
    head = np.arange(len(thumbnails))
    for i, j, _ in sorted(pairs, key=lambda pair: -pair.similarity):
        if head[i] == head[j]:
            continue
        leaves, stays = sorted((head[i], head[j]), key=lambda k: (degree[k], thumbnails[k].tobytes()))
        if all((k, stays) in linked or _resembles(thumbnails[k], thumbnails[stays]) for k in groups[leaves]):
            groups[stays] += groups[leaves]
            head[groups.pop(leaves)] = stays
    return np.unique(head, return_inverse=True)[1]


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation (p,) of the Laplacians of (p, 32, 32) thumbnails a and b, after registration."""
    still = np.tile(np.float32([0, 1]), (len(a), 2, 1))
    result, warp = _register(a, b, still, COARSE, 12, 2)
    near = result > ALIGNED
    result[near], _ = _register(a[near], b[near], warp[near], FINE, SIDE, 2)
    return result


def _resembles(a: np.ndarray, b: np.ndarray) -> bool:
    return similarity(np.stack([a, a[:, ::-1]]), np.stack([b, b])).max() >= RESEMBLES


def _candidates(thumbnails: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs that pass tests 1 and 2, some rows at a time: indices a < b, and whether b is mirrored."""
    coefficients = _dct(thumbnails, LOW)
    coefficients[:, 0, 0] = 0  # brightness
    even, odd = _parts(
        coefficients / np.maximum(np.linalg.norm(coefficients, axis=(1, 2), keepdims=True), 1e-6)
    )
    even_tangents, odd_tangents = _tangents(coefficients)
    rows = max(1, CELLS // len(even))
    for top in range(0, len(even), rows):
        even_product, odd_product = (x[top : top + rows] @ x[top:].T for x in (even, odd))
        alike = np.flatnonzero(even_product + np.abs(odd_product) >= ALIKE)
        a, b = np.divmod(alike, even_product.shape[1])
        alike, a, b = (x[a < b] for x in (alike, a, b))
        sign = np.sign(odd_product.ravel()[alike])[:, None]
        a, b = a + top, b + top
        ahead = np.empty((len(a), 5), np.float32)
        for row, part in _runs(a):
            ahead[part] = even[b[part]] @ even_tangents[row] + sign[part] * (odd[b[part]] @ odd_tangents[row])
        ahead = _norm(ahead)
        passed = np.flatnonzero(ahead >= AHEAD)
        for k in range(0, len(passed), BATCH):
            p = passed[k : k + BATCH]
            back = np.einsum("pc,pck->pk", even[a[p]], even_tangents[b[p]])
            back += sign[p] * np.einsum("pc,pck->pk", odd[a[p]], odd_tangents[b[p]])
            p = p[np.maximum(ahead[p], _norm(back)) >= TANGENT]
            yield a[p], b[p], sign[p, 0] < 0


def _runs(sorted_values: np.ndarray) -> Iterator[tuple[int, slice]]:
    """Each value with the slice that holds it."""
    values, starts = np.unique(sorted_values, return_index=True)
    return zip(values, map(slice, starts, [*starts[1:], len(sorted_values)]), strict=True)


def _tangents(c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal vectors that span a picture and its derivatives by shift and stretch: two of (n, 50, 5)."""
    wave, slope = _waves(_centres(SIDE), LOW)
    shift, stretch = (2 / SIDE * wave.T @ d for d in (slope, slope * _centres(SIDE)[:, None]))
    vectors = np.stack([c, shift @ c, c @ shift.T, stretch @ c, c @ stretch.T], axis=-1)
    vectors[:, 0, 0] = 0
    q = np.linalg.qr(vectors.reshape(-1, LOW * LOW, 5))[0]
    return _parts(q.reshape(-1, LOW, LOW, 5))


def _norm(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(vectors).sum(-1))


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
    target, target_y, target_x = _draw(_dct(a, count), grid, grid)
    coefficients = _dct(b, count)
    for step in range(steps + 1):
        at = warp[:, :, :1] + warp[:, :, 1:] * grid
        inside = np.abs(at) <= 1
        inside = inside[:, 0, :, None] & inside[:, 1, None, :]
        moved, moved_y, moved_x = _draw(coefficients, at[:, 0], at[:, 1])
        if step == steps:
            return _correlation(_laplacian(target, inside), _laplacian(moved, inside)), warp
        by_y, by_x = (target_y + moved_y) / 2, (target_x + moved_x) / 2
        parts = [moved, np.ones_like(moved), by_y, by_y * grid[:, None], by_x, by_x * grid]
        parts = (np.stack(parts, axis=1) * inside[:, None]).reshape(-1, 6, size * size)
        normal = parts @ parts.swapaxes(1, 2)
        normal += np.eye(6, dtype=np.float32) * (1e-3 * normal + 1e-2)
        solution = np.linalg.solve(normal, parts @ target.reshape(-1, size * size, 1))[:, :, 0]
        change = (solution[:, 2:] / np.maximum(solution[:, :1], 0.3)).reshape(-1, 2, 2)
        warp = np.clip(warp + np.clip(change, -0.12, 0.12), np.float32([-0.2, 0.8]), np.float32([0.2, 1.25]))


def _draw(c: np.ndarray, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def _dct(thumbnails: np.ndarray, count: int) -> np.ndarray:
    """(n, count, count) lowest DCT coefficients, tapered so that the picture they draw does not ring."""
    wave, _ = _waves(_centres(SIDE), count)
    wave = wave * (2 / SIDE * np.exp(-2 * np.square(np.arange(count) / count))).astype(np.float32)
    return wave.T @ thumbnails.astype(np.float32) @ wave


def _waves(at: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The cosines of the DCT at positions in [-1, 1], and their derivatives: (..., count) each."""
    frequency = (np.pi / 2 * np.arange(count)).astype(np.float32)
    angle = (at + 1)[..., None] * frequency
    wave, slope = np.cos(angle), -np.sin(angle) * frequency
    wave[..., 0] = np.sqrt(0.5)
    return wave, slope


def _centres(size: int) -> np.ndarray:
    """Positions of pixels along one axis: a picture spans [-1, 1]."""
    return ((2 * np.arange(size) + 1) / size - 1).astype(np.float32)
