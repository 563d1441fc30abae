"""Draw a face of ``happysad.drawing.sampling`` as a photograph.

Each function paints one thing over ``image``, an array (3, height, width) of linear light. The coordinates
and the three curves that all shapes are made of, ``ramp``, ``bell`` and ``bump``, are defined in
``happysad.drawing.shape``.
"""

import math

import numpy as np
from PIL import Image

from happysad.drawing.photo import (
    background,
    camera,
    lighting,
    linear,
    neck_and_shoulders,
    over,
    round_light,
    shaded,
)
from happysad.drawing.sampling import Face
from happysad.drawing.shape import (
    Canvas,
    Head,
    Mouth,
    bell,
    bump,
    canvas,
    cheek_height,
    head_shape,
    height_field,
    mouth_shape,
    ramp,
)


def render(face: Face, size: int) -> Image.Image:
    """The picture of ``face``, RGB, ``size`` x ``size`` pixels. The same face gives the same picture."""
    c = canvas(face.scene, size)
    head = head_shape(face, c)
    mouth = mouth_shape(face, c, head)
    diffuse, gloss = lighting(face.scene, head, height_field(face, c, head, mouth), c.px)
    style = face.identity.hair_style

    image = background(face.scene, c)
    if style == "long":
        hair_behind(image, face, c)
    neck_and_shoulders(image, face, c)
    if style != "long":
        ears(image, face, c)
    over(image, skin(face, c, head, mouth) * diffuse + gloss, head.mask)
    eyes(image, face, c, head, diffuse)
    if mouth.inside is not None:
        mouth_inside(image, face, c, head, mouth, diffuse)
    if face.identity.glasses:
        glasses(image, face, c, head)
    if style == "hat":
        hat(image, face, c, head)
    elif style != "bald":
        hair(image, face, c, head)
    return camera(image, face.scene, c)


def hair_behind(image: np.ndarray, face: Face, c: Canvas) -> None:
    """Long hair, down to the shoulders."""
    i = face.identity
    crown = np.sqrt(np.clip(1 - np.square(np.minimum(c.y + 0.1, 0) / (i.length + 0.1)), 0, 1))
    outside = np.abs(c.x) - (i.width + 0.12 + 0.05 * i.parting) * crown - 0.12 * np.clip(c.y, 0, 1.2)
    mask = ramp(0.02 * c.soft - outside, 4 * c.px) * ramp(1.5 + 0.6 * i.parting - c.y + 0.03 * c.soft, 0.15)
    strands = 0.55 + 0.3 * face.scene.light[0] * c.x + 0.08 * np.sin(34 * c.x + 4 * c.soft) + 0.03 * c.fine
    over(image, shaded(linear(i.hair), strands), mask)


def ears(image: np.ndarray, face: Face, c: Canvas) -> None:
    i, s = face.identity, face.scene
    y = i.eye_y + 0.16 + 0.3 * math.sin(face.pitch)
    for side in (-1, 1):
        x = side * i.width * 0.97 * math.cos(s.yaw)
        ear = ramp(1 - np.hypot((c.x - x) / 0.09, (c.y - y) / 0.20), 10 * c.px)
        tone = 0.5 + 0.3 * s.light[0] * c.x - 0.2 * bump(c.x, c.y, x + 0.03 * side, y, 0.04, 0.10)
        over(image, shaded(linear(i.skin), tone), ear)


def skin(face: Face, c: Canvas, head: Head, mouth: Mouth) -> np.ndarray:
    """The colours of the head (3, height, width): flush, beard, lips, nostrils, brows."""
    i, e = face.identity, face.expression
    u, v, across = head.u, head.v, head.across

    # Blotches, shadows around the eyes and under a smile's cheeks.
    tone = 1 + 0.03 * c.soft + 0.025 * c.fine
    tone -= i.hollow * bump(across, v, i.eye_gap - 0.03, i.eye_y - 0.03, 0.21, 0.13)
    tone -= 0.6 * e.au12 * bump(across, v, mouth.width, mouth.corner_v - 0.03, 0.13, 0.12)
    paint = shaded(linear(i.skin), tone)

    # Redder cheeks and nose: less green and blue.
    flush = 0.25 * bump(across, v, 0.4, cheek_height(face), 0.2, 0.17)
    flush += 0.18 * bump(u, v, 0, i.nose_tip, 0.14, 0.1)
    paint *= 1 - shaded([0, 0.5, 0.45], flush)

    # Stubble on chin and upper lip, a beard on the chin, a moustache on the lip.
    cheek_line = 0.5 * np.clip(0.5 - across, -0.3, 0.5) ** 2 + 0.10 * ramp(0.5 - across, 0.3)
    chin = ramp(v - (mouth.y - 0.22) - cheek_line, 0.14)
    lip = ramp(v - (i.nose_tip + 0.07), 0.05) * ramp(mouth.middle - mouth.upper + 0.03 - v, 0.05)
    lip *= ramp(1.2 * mouth.width - across, 0.1)
    growth = 0.4 * i.stubble * np.maximum(chin, lip)
    growth += i.beard * chin * ramp(v - 0.42, 0.15) + i.moustache * lip
    over(paint, linear(i.hair) * 0.8, np.clip(growth * (0.8 + 0.1 * c.fine), 0, 0.9))

    # Lips, the dark line where they meet, nostrils.
    over(paint, linear(i.lip), 0.85 * mouth.lips)
    seam = bell(v, mouth.middle, 0.012 + 0.7 * c.px) * ramp(1.03 - np.abs(mouth.along), 0.08)
    dark = 1 - (0.55 if mouth.inside is None else 0.25) * seam
    dark *= 1 - 0.75 * bump(across, v, 0.5 * i.nose_width, i.nose_tip + 0.05, 0.04, 0.022)
    paint *= dark

    brows(paint, face, c, head)
    return paint


def brows(paint: np.ndarray, face: Face, c: Canvas, head: Head) -> None:
    i, e = face.identity, face.expression
    along = (head.across - (i.eye_gap + 0.005 - 0.03 * e.au4)) / (1.3 * i.eye_size)  # -1 inner, 1 outer end
    middle = i.eye_y - i.brow_height + 0.045 * e.au4 - 0.027 * e.au2
    middle = middle + i.brow_arch * (np.square(along - 0.25) - 0.3) + i.brow_slant * along
    inner = np.clip(0.45 - along, 0, 1.5)
    middle -= 0.09 * e.au1 * inner**1.3  # raised inner ends: the mark of sadness
    middle += 0.02 * e.au1 * ramp(along - 0.3, 0.5)
    middle += 0.03 * e.au4 * (1 - e.au1) * np.clip(0.2 - along, 0, 1.5)
    middle -= 0.04 * e.au2 * ramp(along - 0.1, 0.7)
    thickness = i.brow_thickness * (1 - 0.6 * np.clip(along, -0.2, 1))  # thinner at the outer end
    brow = ramp(thickness - np.abs(head.v - middle), 0.025) * ramp(1 - np.abs(along), 0.35)
    over(paint, linear(i.hair) * 0.7, i.brow_dark * brow * np.clip(0.85 + 0.1 * c.fine, 0, 1))


def eyes(image: np.ndarray, face: Face, c: Canvas, head: Head, diffuse: np.ndarray) -> None:
    """Eyeballs between two lids, shaded by the upper one, and the lids' lashes and creases."""
    i, e, s = face.identity, face.expression, face.scene
    u, v, px = head.u, head.v, c.px
    skin = linear(i.skin)

    # The lids: two arcs from corner to corner.
    along = (head.across - i.eye_gap) / i.eye_size  # -1 inner, 1 outer corner
    arc = np.maximum(1 - along * along, 0)
    tilt = i.eye_y - i.eye_slant * along + 0.022 * e.au1 * np.clip(along + 0.2, -1, 1) - 0.004
    shut = min(e.lid + 0.22 * e.au6 * (0.4 + 0.6 * e.au12), 0.97)
    lower_lid = tilt + i.eye_open * (0.62 - 0.35 * e.au6) * arc
    opening = i.eye_open * (1.05 - 1.55 * shut) + 0.008 * e.au2
    upper_lid = np.minimum(tilt - opening * arc**0.75 * (1 - 0.12 * along), lower_lid - 0.002)
    eye = ramp(v - upper_lid, px) * ramp(lower_lid - v, px)
    eye *= ramp(1 - np.abs(along), px / i.eye_size) * head.mask

    # White, darker towards the corners and under the upper lid.
    lit = (0.8 * np.clip(diffuse, 0, 1.3) + 0.12) * (0.5 + 0.5 * ramp(v - upper_lid - 0.02, 0.04))
    over(image, shaded([0.5, 0.47, 0.46], i.white * (1 - 0.35 * along * along) * lit), eye)

    # Iris, pupil, and the reflection of the main light.
    x = u - np.sign(u) * i.eye_gap - (0.05 * e.gaze[0] + 0.04 * math.sin(s.yaw))
    y = v - (i.eye_y - 0.008 + 0.03 * e.gaze[1])
    radius = np.hypot(x, y)
    disc = ramp(i.eye_open + 0.01 - radius, px) * eye
    over(image, shaded(linear(i.iris), lit * (0.5 + 6 * radius)), disc)
    over(image, (0.006, 0.006, 0.006), ramp(0.034 - radius, px) * disc)
    off = np.hypot(x - math.copysign(0.02, s.light[0]), y + 0.02)
    over(image, (0.95, 0.95, 0.95), 0.7 * ramp(0.014 + 0.2 * px - off, px) * eye)

    # Upper lashes, the lower lid's edge, the crease above.
    near = ramp(1.08 - np.abs(along), 0.12) * head.mask
    crease = upper_lid - (0.04 - 0.012 * e.au4) * (1 - 0.3 * along * along)
    over(image, 0.08 * skin, 0.9 * bell(v, upper_lid, 0.016 + 0.4 * px) * near)
    over(image, 0.25 * skin, 0.4 * bell(v, lower_lid, 0.008 + 0.4 * px) * near)
    over(image, 0.25 * skin, 0.35 * bell(v, crease, 0.010 + 0.4 * px) * near)


def mouth_inside(
    image: np.ndarray, face: Face, c: Canvas, head: Head, mouth: Mouth, diffuse: np.ndarray
) -> None:
    """A dark hole, teeth at its top, and a tongue at its bottom."""
    i, e = face.identity, face.expression
    v, along, px = head.v, mouth.along, c.px
    hole = mouth.inside * head.mask
    lit = np.clip(diffuse + 0.15, 0.25, 1.1)
    over(image, shaded([0.06, 0.016, 0.014], lit), hole)

    tongue = ramp(v - mouth.bottom + 0.45 * mouth.gape, 0.04) * ramp(0.75 - np.abs(along), 0.2)
    over(image, shaded([0.36, 0.12, 0.11], lit), 0.8 * tongue * min(1, 9 * mouth.gape) * hole)

    shown = e.teeth * i.teeth
    length = min(1.3 * mouth.gape + 0.03, 0.1) * shown
    ends = mouth.top + length * (1 - 0.35 * along * along)
    teeth = ramp(v - mouth.top + 0.01, px) * ramp(ends - v, 1.5 * px) * hole
    tone = i.white * (0.75 - 0.5 * along * along) * lit
    tone *= 1 - 0.12 * np.abs(np.cos(36 * head.u)) ** 12  # the gaps between them
    tone *= 0.6 + 0.4 * ramp(v - mouth.top - 0.01, 0.03)  # the lip's shadow
    over(image, shaded([0.95, 0.91, 0.84], tone), min(1, 3 * shown) * teeth)


def glasses(image: np.ndarray, face: Face, c: Canvas, head: Head) -> None:
    """Two rims, the bridge and the temples."""
    i = face.identity
    u, v, across, px = head.u, head.v, head.across, c.px
    x, y = np.abs(across - i.eye_gap) / 0.225, np.abs(v - (i.eye_y + 0.03)) / 0.175
    radius = np.hypot(x**1.3, y**1.3)  # 1 at the rim; a power above 1 makes the ellipse squarer
    rim = ramp(0.016 - 0.13 * np.abs(radius - 1), px)
    bridge = ramp(0.012 - np.abs(v - (i.eye_y - 0.02) + 0.3 * u * u), px) * ramp(0.12 - across, px)
    temples = ramp(0.014 - np.abs(v - (i.eye_y - 0.03)), px) * ramp(across - 0.5, px)
    over(image, 0.12 * face.scene.shirt, 0.9 * np.maximum(np.maximum(rim, bridge), temples) * head.mask)


def hat(image: np.ndarray, face: Face, c: Canvas, head: Head) -> None:
    """A knitted cap, in a different colour from the shirt."""
    i, s = face.identity, face.scene
    above = i.hairline + 0.14 + 0.12 * np.square(head.u) - on_head(c, head)
    cap = ramp(1.06 - head.radius, 4 * c.px)
    over(image, 0.15 * linear(i.skin), 0.4 * ramp(above + 0.06, 0.08) * cap * head.mask)  # its shadow
    over(image, shaded(linear(s.shirt[::-1]), round_light(s, head)), cap * ramp(above, c.px))


def hair(image: np.ndarray, face: Face, c: Canvas, head: Head) -> None:
    """Hair above the hairline, with its shadow on the forehead."""
    i, s = face.identity, face.scene
    u, v = head.u, head.v
    # How far the hair stands out from the head, and how far down the sides it grows.
    puff, sides = {"short": (0.12, 0.7), "long": (0.13, 1.9), "curly": (0.25, 0.5)}[i.hair_style]
    curls = 1.0 if i.hair_style == "curly" else 0.0

    # It falls to both sides of the parting, and to the brows if there is a fringe.
    apart = u - i.parting
    hairline = i.hairline - 0.05 + 0.35 * apart * apart
    hairline += i.fringe * ramp(0.5 - np.abs(u), 0.5)
    hairline += sides * np.clip((head.across - 0.40) / 0.4, 0, 1) ** 2.2
    hairline += 0.015 * np.sin(14 * apart + 2 * c.soft) + (0.005 + 0.015 * curls) * c.fine
    down = on_head(c, head)
    above = hairline - down
    if i.hair_style != "long":
        puff = puff * np.clip(0.3 - 1.5 * down, 0.1, 1)
    outline = 1 + puff - head.radius + (0.02 + 0.02 * curls) * c.soft + 0.012 * curls * c.fine

    strands = 1 + 0.15 * np.sin(45 * apart / (1.5 + v) + 3 * c.soft) + (0.04 + 0.08 * curls) * c.fine
    strands += (0.5 - 0.3 * curls) * bell(v + 0.2 * apart, -0.82, 0.13)  # shine
    over(image, 0.25 * linear(i.skin), 0.30 * ramp(above + 0.06, 0.10) * head.mask)
    tint = shaded(linear(i.hair), round_light(s, head) * strands)
    over(image, tint, ramp(outline, 4 * c.px) * ramp(above, 0.08))


def on_head(c: Canvas, head: Head) -> np.ndarray:
    """v on the head, continued around it in the picture plane, where hair and hats stand out."""
    return np.where(head.radius < 1, head.v, head.chin_y - 0.10)
