"""Near-duplicates: which pictures are copies of one another, as pairs and as groups.

A copy may be recompressed, resized, cropped by up to 8% a side, brighter, darker, of another
contrast, grey or mirrored. Three tests of rising cost, each on what the one before let through:

1. the correlation of 8 × 8 low-frequency DCT coefficients, for all pairs, as blocks of one matrix
   product. Mirroring negates the odd columns, so even ± odd gives a picture and its mirror image;
2. tangent distance (Simard et al. 1993): the same coefficients may shift and stretch a little;
3. registration by Gauss-Newton (Lucas and Kanade 1981) on the 32 × 32 thumbnails, and the
   correlation of what then overlaps.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

SIDE = 32
LOW = 8  # DCT coefficients per axis
PROPOSE, TANGENT, CONFIRM = 0.70, 0.90, 0.97
BLOCK = 2048


class Pair(NamedTuple):
    first: int
    second: int
    similarity: float  # correlation after registration, at most 1


def thumbnail(picture: Image.Image) -> np.ndarray:
    """The (32, 32) uint8 grey means of an RGB picture."""
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX).convert("L"))


def find(thumbnails: np.ndarray) -> list[Pair]:
    """Near-duplicate pairs among (n, 32, 32) uint8 thumbnails, first < second, sorted.

    Identical thumbnails are each paired with the first of them only.
    """
    flat = np.ascontiguousarray(thumbnails).reshape(len(thumbnails), -1)
    unique, first, inverse = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    pairs = [Pair(int(first[u]), i, 1.0) for i, u in enumerate(inverse.ravel()) if first[u] != i]
    pictures = unique.reshape(-1, SIDE, SIDE).astype(np.float32)
    for a, b, similarity in zip(*_near(pictures), strict=True):
        i, j = sorted((int(first[a]), int(first[b])))
        pairs.append(Pair(i, j, float(similarity)))
    return sorted(pairs)


def group(n: int, pairs: list[Pair]) -> np.ndarray:
    """Group index (n,) of each picture: the connected components of pairs, numbered by first member."""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j, _ in pairs:
        i, j = sorted((root(i), root(j)))
        parent[j] = i
    return np.unique([root(i) for i in range(n)], return_inverse=True)[1]


def _near(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    spans = _spans(pictures)
    odd = np.tile(np.arange(LOW) % 2 == 1, LOW)
    base = spans[:, 0]
    even, odds = np.ascontiguousarray(base[:, ~odd]), np.ascontiguousarray(base[:, odd])
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for top in range(0, len(base), BLOCK):
        for left in range(top, len(base), BLOCK):
            e = even[top : top + BLOCK] @ even[left : left + BLOCK].T
            o = odds[top : top + BLOCK] @ odds[left : left + BLOCK].T
            a, b = np.nonzero(e + np.abs(o) > PROPOSE)
            mirror = o[a, b] < 0
            a, b = a + top, b + left
            keep = a < b
            a, b, mirror = a[keep], b[keep], mirror[keep]
            other = np.where(odd & mirror[:, None], -base[b], base[b])
            keep = np.square(np.einsum("pkc,pc->pk", spans[a], other)).sum(1) > TANGENT**2
            a, b, mirror = a[keep], b[keep], mirror[keep]
            for s in range(0, len(a), 512):
                aa, bb, mm = a[s : s + 512], b[s : s + 512], mirror[s : s + 512]
                B = pictures[bb]
                B[mm] = B[mm, :, ::-1]
                r = _register(pictures[aa], B)
                keep = r > CONFIRM
                found.append((aa[keep], bb[keep], r[keep]))
    if not found:
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    return tuple(np.concatenate(x) for x in zip(*found, strict=True))


def _spans(pictures: np.ndarray) -> np.ndarray:
    """(n, 5, 64) orthonormal bases: low DCT coefficients without the mean, then shifts and stretches."""
    i, k = np.arange(SIDE) + 0.5, np.arange(LOW)[:, None]
    wave = (np.cos(np.pi * i * k / SIDE)).astype(np.float32)
    wave[0] /= np.sqrt(2)
    slope = (-np.sin(np.pi * i * k / SIDE) * k).astype(np.float32)
    shift, stretch = slope @ wave.T, (slope * (i - SIDE / 2)) @ wave.T
    shift, stretch = shift.astype(np.float32), stretch.astype(np.float32)
    c = wave @ pictures @ wave.T
    vectors = np.stack([c, shift.T @ c, c @ shift, stretch.T @ c, c @ stretch], axis=-1)
    vectors[:, 0, 0] = 0  # brightness
    q, r = np.linalg.qr(vectors.reshape(len(c), LOW * LOW, 5))
    q *= np.sign(r[:, None, range(5), range(5)])
    return np.ascontiguousarray(q.transpose(0, 2, 1))


def _register(a: np.ndarray, b: np.ndarray, steps: int = 5) -> np.ndarray:
    """Correlation (p,) of each a with b shifted and stretched onto it, where they overlap."""
    x = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    warp = np.tile(np.float32([1, 0, 1, 0]), (len(a), 1))  # stretch and shift of rows, then of columns
    p = np.arange(len(a))[:, None, None]
    for step in range(steps + 1):
        rows = warp[:, :1] * x + warp[:, 1:2] + (SIDE - 1) / 2
        cols = warp[:, 2:3] * x + warp[:, 3:] + (SIDE - 1) / 2
        inside = ((rows >= -0.25) & (rows <= SIDE - 0.75))[:, :, None]
        inside = inside & ((cols >= -0.25) & (cols <= SIDE - 0.75))[:, None, :]
        r0 = np.clip(rows, 0, SIDE - 1.001).astype(int)
        c0 = np.clip(cols, 0, SIDE - 1.001).astype(int)
        fr, fc = (rows - r0)[:, :, None], (cols - c0)[:, None, :]
        r0, c0 = r0[:, :, None], c0[:, None, :]
        b00, b01 = b[p, r0, c0], b[p, r0, c0 + 1]
        b10, b11 = b[p, r0 + 1, c0], b[p, r0 + 1, c0 + 1]
        top, low = b00 + fc * (b01 - b00), b10 + fc * (b11 - b10)
        w = top + fr * (low - top)
        n = np.maximum(inside.sum((1, 2), keepdims=True), 1)
        am = (a - (a * inside).sum((1, 2), keepdims=True) / n) * inside
        wm = (w - (w * inside).sum((1, 2), keepdims=True) / n) * inside
        corr = (am * wm).sum((1, 2)) / np.sqrt((am**2).sum((1, 2)) * (wm**2).sum((1, 2)) + 1e-6)
        if step == steps:
            return np.where(n[:, 0, 0] > 0.6 * SIDE * SIDE, corr, -1)
        dr, dc = (low - top) * inside, ((b01 - b00) + fr * ((b11 - b10) - (b01 - b00))) * inside
        J = np.stack([wm, inside + 0 * wm, dr * x[:, None], dr, dc * x, dc], 1).reshape(len(a), 6, -1)
        A = J @ J.transpose(0, 2, 1)
        A += np.float32(1e-3) * np.einsum("pii->pi", A)[:, :, None] * np.eye(6, dtype=np.float32)
        A += 1e-3 * np.eye(6, dtype=np.float32)
        s = np.linalg.solve(A, J @ am.reshape(len(a), -1, 1))[:, :, 0]
        gain = np.where(np.abs(s[:, :1]) < 0.2, 0.2, s[:, :1])
        warp = warp + np.clip(s[:, 2:] / gain, -0.1 * 16, 0.1 * 16)
        warp[:, 0::2] = np.clip(warp[:, 0::2], 0.8, 1.25)
        warp[:, 1::2] = np.clip(warp[:, 1::2], -4, 4)
