"""The geometry of a drawn face: an ellipsoid head hit by rays, the curves of its mouth, a height field.

Arrays hold one value per pixel, in float64: NumPy's exp, sin and power differ from processor to processor in
the last bit of a result, and in float32 that is enough to change some of the finished pixels.

There are two coordinate systems, in face units: (x, y) in the picture plane, upright with the head; (u, v) on
the head, turning with it. Both have their origin between the eyes, x and u pointing right, y and v down;
``across`` is |u|, since most of a face is symmetrical.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from happysad.drawing.sampling import Face, Scene


@dataclass(frozen=True)
class Canvas:
    """The picture plane, and the two kinds of noise that all textures are made of."""

    size: int  # pixels
    px: float  # one pixel, in face units
    x: np.ndarray
    y: np.ndarray
    fine: np.ndarray
    soft: np.ndarray
    rng: np.random.Generator


@dataclass(frozen=True)
class Head:
    mask: np.ndarray  # 1 where the ray hits the head
    radius: np.ndarray  # distance of the ray from the centre of the head, 1 at the outline
    u: np.ndarray
    v: np.ndarray
    across: np.ndarray  # |u|
    chin_y: np.ndarray  # y before the jaw dropped
    normal: list[np.ndarray]  # x, y, z of the surface normal, towards the camera
    nose: np.ndarray  # height of the nose


@dataclass(frozen=True)
class Mouth:
    y: float
    width: float  # half of it
    gape: float  # how far it is open
    corner_v: float
    along: np.ndarray  # u, -1 and 1 at the corners
    middle: np.ndarray  # v of the line where the lips meet
    top: np.ndarray  # v of the upper lip's lower edge
    bottom: np.ndarray  # v of the lower lip's upper edge
    upper: np.ndarray  # thickness of the upper lip
    lower: np.ndarray
    between: np.ndarray  # 1 between the corners
    lips: np.ndarray  # 1 on the lips
    inside: np.ndarray | None  # 1 where the mouth is open; None if it is shut


def bell(x: np.ndarray, centre: float, width: float) -> np.ndarray:
    return np.exp(-np.square((x - centre) / width))


def bump(x: np.ndarray, y: np.ndarray, centre_x: float, centre_y: float, width: float, height: float):
    return np.exp(-np.square((x - centre_x) / width) - np.square((y - centre_y) / height))


def ramp(x: np.ndarray, width: float) -> np.ndarray:
    """An anti-aliased step: 0 below zero, 1 above, smooth over ``width`` (smoothstep)."""
    t = np.clip(x * (0.5 / width) + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


@cache
def clouds(power: float) -> np.ndarray:
    """1/f**power noise with zero mean and unit standard deviation, 1024 x 1024."""
    noise = np.random.default_rng(7).normal(size=(1024, 1024))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(1024), np.fft.fftfreq(1024)))
    noise = np.fft.ifft2(np.fft.fft2(noise) / np.maximum(frequency, 1 / 200) ** power).real
    return (noise - noise.mean()) / noise.std()


def cloud(rng: np.random.Generator, size: int, power: float) -> np.ndarray:
    """A random crop of ``clouds``, mirrored at random."""
    top, left = rng.integers(0, max(1, 1024 - size), 2)
    crop = clouds(power)[top : top + size, left : left + size]
    return crop[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]


def canvas(scene: Scene, size: int) -> Canvas:
    rng = np.random.default_rng(scene.seed)
    unit = scene.scale * size
    row, column = np.mgrid[0:size, 0:size]
    x = (column + 0.5 - scene.centre[0] * size) / unit
    y = (row + 0.5 - scene.centre[1] * size) / unit
    cos, sin = math.cos(scene.roll), math.sin(scene.roll)
    return Canvas(
        size=size,
        px=1 / unit,
        x=cos * x + sin * y,
        y=cos * y - sin * x,
        fine=cloud(rng, size, 0.6),
        soft=cloud(rng, size, 2.0),
        rng=rng,
    )


def head_shape(face: Face, c: Canvas) -> Head:
    """Where each pixel's ray hits the head. The head is an ellipsoid that tapers towards the chin."""
    i, s = face.identity, face.scene
    chin_y = c.y - face.expression.jaw_drop * ramp(c.y - 0.55, 0.5)
    taper = (
        1
        + 0.10 * bell(chin_y, 0.72, 0.38)
        + 0.14 * bell(chin_y, -0.7, 0.4)
        - i.jaw * np.clip(chin_y - 0.1, 0, 1.2) ** 1.6
    )

    # turn[j][k]: what the head's axis k contributes to the camera's axis j.
    cos_yaw, sin_yaw = math.cos(s.yaw), math.sin(s.yaw)
    cos_pitch, sin_pitch = math.cos(face.pitch), math.sin(face.pitch)
    turn = (
        (cos_yaw, 0.0, sin_yaw),
        (sin_yaw * sin_pitch, cos_pitch, -cos_yaw * sin_pitch),
        (-sin_yaw * cos_pitch, sin_pitch, cos_yaw * cos_pitch),
    )

    # In units of its half axes the head is the unit sphere, and a pixel's ray is origin + z * direction.
    half_axes = (i.width, i.length, 0.86)
    axes = range(3)
    origin = [(turn[0][k] * c.x / taper + turn[1][k] * chin_y) / half_axes[k] for k in axes]
    direction = [turn[2][k] / half_axes[k] for k in axes]
    dd = sum(d * d for d in direction)
    od = sum(o * d for o, d in zip(origin, direction, strict=True))
    miss = np.maximum(sum(o * o for o in origin) - od * od / dd, 0)  # squared distance from the centre
    z = (np.sqrt(np.maximum(1 - miss, 0) * dd) - od) / dd
    hit = [o + z * d for o, d in zip(origin, direction, strict=True)]
    normal = [sum(turn[j][k] / half_axes[k] * hit[k] for k in axes) for j in axes]
    u, v = hit[0] * half_axes[0], hit[1] * half_axes[1]

    # One step of parallax, so that the nose stands out when the head turns.
    along = np.clip((v - (i.eye_y - 0.1)) / (i.nose_length + 0.1), 0, 1)  # 0 at its root, 1 at its tip
    ridge = 0.8 * i.nose_height * along**1.4 * ramp(i.nose_tip + 0.03 - v, 0.08)
    nose = ridge * bell(u, 0, 0.035 + 0.55 * i.nose_width * along)
    u, v = u + nose * turn[2][0], v + nose * turn[2][1]

    radius = np.sqrt(miss)
    mask = ramp(0.9 * (1 - radius), c.px)
    return Head(mask, radius, u, v, np.abs(u), chin_y, normal, nose)


def mouth_shape(face: Face, c: Canvas, head: Head) -> Mouth:
    i, e = face.identity, face.expression
    up, down = e.au12, e.au15
    y = i.mouth_y + 0.25 * e.jaw_drop - 0.04 * up + 0.02 * down - 0.02 * e.au17
    wider = 0.42 * up - 0.10 * down + 0.15 * e.au20 - 0.12 * e.au26 - 0.06 * e.au17 * (1 - up)
    width = i.mouth_width * (1 + wider)
    along = head.u / width
    out = np.minimum(np.abs(along), 1.25)  # 0 in the middle, 1 at a corner
    arch = np.sqrt(np.maximum(1 - along * along, 0))

    # The line of the lips: what makes a smile or a frown.
    lift = -0.112 * up + 0.105 * down + i.mouth_bow + 0.05 * e.au20 * down
    middle = y + lift * (out * out - 0.35) * (1 + e.skew * along) - 0.03 * e.au17 * down * (1 - out * out)

    # The opening, between the upper lip's lower edge and the lower lip's upper edge.
    gape = (0.065 + 0.03 * up) * e.au25 + 0.30 * e.au26
    square = 1 - 0.6 * e.au20
    top = middle - gape * (0.45 - 0.15 * up) * arch ** (0.8 * square)
    bottom = middle + (gape * (0.55 + 0.35 * up) + 0.03 * e.au25 * up) * arch ** (0.8 * square)

    # The lips, thinner when stretched or pressed; the upper one has a cupid's bow.
    thin = 1 - 0.32 * up - 0.25 * e.au17 * (1 - e.au25)
    bow = 1 - 0.25 * bell(head.u, 0, 0.03) + 0.12 * bell(head.across, 0.06, 0.04)
    upper = 0.75 * i.lip_full * thin * arch * bow
    lower = 1.05 * i.lip_full * (thin + 0.25 * e.au17) * arch

    v, px = head.v, c.px
    between = ramp(1 - np.abs(along), 1.5 * px / width)
    lips = ramp(v - top + upper, 1.3 * px) * ramp(bottom + lower - v, 1.3 * px) * between
    inside = ramp(v - top, px) * ramp(bottom - v, px) * between if gape > 0.012 else None
    corner_v = y + 0.65 * lift
    return Mouth(y, width, gape, corner_v, along, middle, top, bottom, upper, lower, between, lips, inside)


def cheek_height(face: Face) -> float:
    """v of the middle of the cheeks, which rise with a smile."""
    return face.identity.nose_tip - 0.10 - 0.085 * face.expression.au6 - 0.03 * face.expression.au12


def height_field(face: Face, c: Canvas, head: Head, mouth: Mouth) -> np.ndarray:
    """How far the skin rises above the ellipsoid."""
    i, e = face.identity, face.expression
    u, v, across, tip = head.u, head.v, head.across, i.nose_tip
    up, down, corner = e.au12, e.au15, mouth.corner_v

    # Nose, cheeks, brow ridge, eyes in their sockets, bags under them.
    h = head.nose + 0.045 * bump(u, v, 0, tip - 0.03, 0.09, 0.08)
    h += 0.04 * bump(across, v, i.nose_width, tip, 0.05, 0.05)
    cheek = i.cheek + 0.06 * e.au6 + 0.05 * up
    h += cheek * bump(across, v, 0.40, cheek_height(face), 0.20, 0.16 - 0.03 * e.au6)
    h += 0.03 * bump(across, v, 0.22, i.eye_y - 0.19 + 0.05 * e.au4, 0.28, 0.08)
    h -= 0.065 * bump(across, v, i.eye_gap - 0.03, i.eye_y, 0.18, 0.11)
    h += 0.05 * bump(across, v, i.eye_gap, i.eye_y, 0.13, 0.085)
    h -= (0.010 * e.au6 + 0.006 * i.age) * bump(across, v, i.eye_gap, i.eye_y + 0.11, 0.15, 0.02)

    # The furrow between lowered brows.
    h += 0.02 * e.au4 * bump(across, v, 0.10, i.eye_y - 0.17, 0.06, 0.07)
    h -= 0.02 * e.au4 * bump(across, v, 0.05, i.eye_y - 0.16, 0.02, 0.07)

    # Chin, the hollow above it, the muzzle, the two lips, the groove under the nose.
    h += (0.03 + 0.03 * e.au17) * bump(u, v, 0, 0.90 + 0.8 * e.jaw_drop - 0.03 * e.au17, 0.18, 0.12)
    h -= 0.03 * bump(u, v, 0, mouth.y + 0.17 + 0.55 * e.jaw_drop, 0.20, 0.05)
    h += 0.045 * bump(u, v, 0, mouth.y, mouth.width * 1.15, 0.17)
    upper = (v - mouth.top + 0.4 * mouth.upper) / (mouth.upper + 0.03)
    lower = (v - mouth.bottom - 0.5 * mouth.lower) / (0.7 * mouth.lower + 0.02)
    h += 0.022 * bump(mouth.along, upper, 0, 0, 1, 1) * mouth.between
    h += 0.030 * bump(mouth.along, lower, 0, 0, 1, 1) * mouth.between
    h -= 0.010 * bump(u, v, 0, tip + 0.12, 0.03, 0.06)

    # Where the corners of the mouth are pulled: dimples, marionette lines.
    h -= (0.015 + 0.045 * up + 0.025 * down) * bump(across, v, mouth.width * 1.08, corner, 0.055, 0.07)
    h -= (0.025 * down + 0.01 * i.age) * bump(across, v, mouth.width * 1.08, corner + 0.09, 0.04, 0.08)

    # Nasolabial folds, a step in height from the nose to the corners of the mouth.
    along = np.clip((v - (tip - 0.06)) / (corner - tip + 0.11), 0, 1.15)
    reach = mouth.width * 1.10 + 0.05 * up - i.nose_width
    off = across - (i.nose_width + 0.04 + reach * along**0.9)
    depth = 0.006 + 0.016 * i.age + 0.06 * up * (0.5 + 0.5 * e.au6) + 0.008 * down
    ends = np.clip(4 * along, 0, 1) * np.clip(4 * (1.15 - along), 0, 1)
    h += depth * (ramp(off, 0.05) - 0.5) * ends * bell(off, 0, 0.18)

    return h + 0.003 * i.age * c.soft
