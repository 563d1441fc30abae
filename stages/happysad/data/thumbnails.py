"""Candidates for copies by thumbnails: pictures that were changed as a whole.

A copy may be recompressed, resized, cropped by up to 8% on each side, brighter, darker, of another contrast, grey or
mirrored. Two tests on the low DCT coefficients of thumbnails find its original:

1. correlation, of all pairs, as blocks of a matrix product. Mirroring negates the odd columns of a
   DCT, so the even part plus or minus the odd part compares with a picture or with its mirror image;
2. tangent distance (Simard, LeCun and Denker, 1993): correlation with the best linear combination of a
   picture and its derivatives by shift and stretch, which tolerates a crop to first order.

The decision must not depend on the processor, whose BLAS and SIMD level change the last bits of a sum. So the
tests compare vectors of integers so small that any order of summation is exact.
"""

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

SIDE = 64  # pixels
UNIT = 4000  # the length of vectors: float32 holds every integer up to 2**24 > UNIT**2
LOW = 10  # DCT coefficients per axis
ALIKE, TANGENT = 0.74, 0.95  # minimum correlations in tests 1 and 2
NEIGHBOURS = 32  # candidates of a picture, at most: bounds the cost of many pictures from one camera
CELLS, BATCH = 2**22, 2**11  # pairs and pictures at a time: bound memory

CENTRES = (2 * np.arange(SIDE)[:, None] + 1) / SIDE - 1  # of pixels: a picture spans [-1, 1]
FREQUENCIES = np.pi / 2 * np.arange(LOW)
WAVE = np.cos((CENTRES + 1) * FREQUENCIES)  # (64, 10), the cosines of the DCT
WAVE[:, 0] = np.sqrt(0.5)
SLOPE = -np.sin((CENTRES + 1) * FREQUENCIES) * FREQUENCIES  # their derivatives


def thumbnail(picture: Image.Image) -> np.ndarray:
    """The (64, 64) uint8 thumbnail of a grey picture."""
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.HAMMING, reducing_gap=2))


def perceptual_hash(thumbnail: np.ndarray) -> str:
    """The signs of the 24 lowest DCT coefficients of a thumbnail, as hexadecimal digits.

    Recompressing or resizing a picture seldom changes it, its last bits hardly ever. Unrelated ones may share it.
    """
    return np.packbits(dct(thumbnail[None], 5).ravel()[1:] > 0).tobytes().hex()


@threadpool_limits.wrap(limits=1)  # for products this small, more threads only wait for one another
def candidates(thumbnails: list[np.ndarray]) -> list[tuple[int, int, bool]]:
    """Pairs that pass both tests, and whether one is mirrored."""
    batches = (_vectors(np.stack(thumbnails[i : i + BATCH])) for i in range(0, len(thumbnails), BATCH))
    even, odd, even_tangents, odd_tangents = map(np.concatenate, zip(*batches, strict=True))
    rows = max(1, CELLS // len(even))
    found = []
    for top in range(0, len(even), rows):
        even_product, odd_product = (x[top : top + rows] @ x.T for x in (even, odd))
        alike = even_product + np.abs(odd_product) >= ALIKE * UNIT**2
        for a, row, products in zip(range(top, top + rows), alike, odd_product, strict=False):
            row[a] = False
            b = np.flatnonzero(row)
            sign = np.sign(products[b])
            tangent = even[b] @ even_tangents[a] + sign[:, None] * (odd[b] @ odd_tangents[a])
            tangent = np.square(tangent, dtype=np.float64).sum(axis=1)
            nearest = np.argsort(-tangent, kind="stable")[:NEIGHBOURS]
            nearest = nearest[tangent[nearest] >= (TANGENT * UNIT**2) ** 2]
            found += zip([a] * len(nearest), b[nearest].tolist(), (sign[nearest] < 0).tolist(), strict=True)
    return found


def _vectors(thumbnails: np.ndarray) -> tuple[np.ndarray, ...]:
    """What the tests compare, as float32 integers: even and odd parts of pictures and of their tangents.

    A picture is its DCT coefficients without their mean, of length UNIT; its tangents are an orthogonal
    basis, each of length UNIT, of the space that the picture and its derivatives by shift and stretch span.
    Shapes (n, 50), (n, 50), (n, 50, 5) and (n, 50, 5).
    """
    c = dct(thumbnails, LOW)
    c[:, 0, 0] = 0  # brightness
    c /= np.maximum(np.sqrt(np.square(c).sum((1, 2), keepdims=True)), 1e-6)
    shift, stretch = (2 / SIDE * WAVE.T @ d for d in (SLOPE, SLOPE * CENTRES))
    vectors = np.stack([c, shift @ c, c @ shift.T, stretch @ c, c @ stretch.T], axis=1)
    vectors[:, :, 0, 0] = 0
    vectors = vectors.reshape(-1, 5, LOW * LOW)
    # Gram-Schmidt as a Cholesky factorisation. The small diagonal keeps rounding noise out of the basis
    # where two derivatives are parallel.
    factor = np.linalg.cholesky(vectors @ vectors.swapaxes(1, 2) + 1e-6 * np.eye(5))
    basis = np.linalg.solve(factor, vectors).swapaxes(1, 2).reshape(-1, LOW, LOW, 5)
    return tuple(np.rint(UNIT * part).astype(np.float32) for x in (c, basis) for part in _parts(x))


def _parts(c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DCT coefficients (n, 10, 10, ...) as those of even and of odd columns, (n, 50, ...) each."""
    return tuple(c[:, :, k::2].reshape(len(c), -1, *c.shape[3:]) for k in (0, 1))


def dct(thumbnails: np.ndarray, count: int) -> np.ndarray:
    """(n, count, count) lowest DCT coefficients, tapered so that the picture they draw does not ring.

    They are exact: with cosines in multiples of 2**-12 all sums fit in a float64, and rounded to multiples
    of 2**-10 so do the sums of their squares.
    """
    wave = WAVE[:, :count]
    wave = np.rint(4096 * wave * np.exp(-2 * np.square(np.arange(count) / count))) / 4096 * (2 / SIDE)
    return np.rint(1024 * (wave.T @ thumbnails.astype(np.float64) @ wave)) / 1024
