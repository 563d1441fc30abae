"""Draw a face of ``happysad.drawing.sampling`` as a photograph.

Each function paints one thing over ``image``, an array (3, height, width) of linear light. The coordinates
and the three curves that all shapes are made of, ``ramp``, ``bell`` and ``bump``, are defined in
``happysad.drawing.shape``.
"""

import math

import numpy as np
from PIL import Image

from happysad.drawing.photo import (
    Light,
    background,
    camera,
    hands,
    lighting,
    linear,
    neck_and_shoulders,
    over,
    round_light,
    shaded,
    side_light,
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
    cloud,
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
    light = lighting(face.scene, c, head, height_field(face, c, head, mouth))

    image = background(face.scene, c)
    if face.identity.hair_style == "long":
        hair_behind(image, face, c)
    neck_and_shoulders(image, face, c)
    if face.identity.hair_style != "long":
        ears(image, face, c)
    skin(image, face, c, head, mouth, light)
    eyes(image, face, c, head, light)
    if mouth.inside is not None:
        mouth_inside(image, face, c, head, mouth, light)
    if face.identity.glasses != "none":
        glasses(image, face, c, head)
    if face.identity.hair_style == "hat":
        hat(image, face, c, head)
    elif face.identity.hair_style != "bald":
        hair(image, face, c, head)
    if face.expression.hand:
        hands(image, face, c)
    return camera(image, face.scene, c)


def hair_behind(image: np.ndarray, face: Face, c: Canvas) -> None:
    """Long hair, down to the shoulders."""
    i = face.identity
    crown = np.sqrt(np.clip(1 - np.square(np.minimum(c.y + 0.1, 0) / i.length), 0, 1))
    outside = np.abs(c.x) - (i.width + 0.10 + 0.05 * i.parting) * crown - 0.12 * np.clip(c.y, 0, 1.2)
    mask = ramp(0.02 * c.fine - outside, 3 * c.px) * ramp(1.45 + 0.4 * i.parting - c.y + 0.05 * c.fine, 0.1)
    strands = 1 + 0.25 * np.sin(30 * c.x + 4 * c.soft) + 0.06 * c.fine
    over(image, shaded(linear(i.hair), strands * (side_light(face.scene, c) + 0.1)), mask)


def ears(image: np.ndarray, face: Face, c: Canvas) -> None:
    i, s = face.identity, face.scene
    y = i.eye_y + 0.13 + 0.3 * math.sin(face.pitch)
    for side in (-1, 1):
        x = side * i.width * 0.985 * math.cos(s.yaw)
        ear = ramp(1 - np.hypot((c.x - x) / 0.10, (c.y - y) / 0.22), 8 * c.px)
        tone = side_light(s, c) * (0.9 - 0.45 * bump(c.x, c.y, x + 0.02 * side, y, 0.05, 0.12))
        over(image, shaded(linear(i.skin), tone), ear)


def skin(image: np.ndarray, face: Face, c: Canvas, head: Head, mouth: Mouth, light: Light) -> None:
    """The head and all that is painted on it: freckles, flush, beard, lips, nostrils, brows."""
    i, e = face.identity, face.expression
    u, v, across = head.u, head.v, head.across

    # Blotches, shadows around the eyes and under a smile's cheeks, freckles.
    tone = 1 + 0.05 * c.soft + 0.03 * c.fine
    tone -= i.hollow * bump(across, v, i.eye_gap - 0.02, i.eye_y - 0.01, 0.21, 0.12)
    tone -= 0.35 * e.au12 * bump(across, v, 1.12 * mouth.width, mouth.corner_v - 0.06, 0.08, 0.12)
    if i.freckles:
        spots = ramp(cloud(c.rng, c.size, 0.9) - 1.3, 0.5)
        tone -= 0.2 * i.freckles * spots * bump(across, v, 0.25, 0.18, 0.35, 0.25)
    paint = shaded(linear(i.skin), tone)

    # Redder cheeks and nose: less green and blue.
    flush = 0.22 * bump(across, v, 0.4, cheek_height(face), 0.2, 0.17)
    flush += 0.18 * bump(u, v, 0, i.nose_tip, 0.14, 0.1)
    paint *= 1 - shaded([0, 0.35, 0.3], flush)

    # Stubble on chin and upper lip, a beard on the chin, a moustache on the lip.
    cheek_line = 0.5 * np.clip(0.5 - across, -0.3, 0.5) ** 2 + 0.10 * ramp(0.5 - across, 0.3)
    chin = ramp(v - (mouth.y - 0.22) - cheek_line, 0.10)
    lip = ramp(v - (i.nose_tip + 0.07), 0.03) * ramp(mouth.middle - mouth.upper + 0.03 - v, 0.04)
    lip *= ramp(1.2 * mouth.width - across, 0.06)
    growth = 0.45 * i.stubble * np.maximum(chin, lip)
    growth += i.beard * chin * ramp(v - 0.42, 0.12) + i.moustache * lip
    over(paint, linear(i.hair) * 0.8, np.clip(np.clip(growth, 0, 0.95) * (0.8 + 0.25 * c.fine), 0, 1))

    # Lips, the dark line where they meet, nostrils.
    over(paint, linear(i.lip), 0.85 * mouth.lips)
    seam = bell(v, mouth.middle, 0.012 + 0.7 * c.px) * ramp(1.03 - np.abs(mouth.along), 0.08)
    dark = 1 - (0.55 if mouth.inside is None else 0.275) * seam
    dark *= 1 - 0.75 * bump(across, v, 0.55 * i.nose_width, i.nose_tip + 0.045, 0.035, 0.020)
    paint *= dark

    brows(paint, face, c, head)
    over(image, paint * light.diffuse + light.gloss, head.mask)


def brows(paint: np.ndarray, face: Face, c: Canvas, head: Head) -> None:
    i, e = face.identity, face.expression
    along = (head.across - (i.eye_gap - 0.005 - 0.03 * e.au4)) / (1.25 * i.eye_size)  # -1 inner, 1 outer end
    middle = i.eye_y - i.brow_height + 0.045 * e.au4 - 0.027 * e.au2
    middle = middle + i.brow_arch * np.square(along - 0.3) + i.brow_slant * along
    inner = np.clip(0.45 - along, 0, 1.5)
    middle -= 0.105 * e.au1 * inner**1.3  # raised inner ends: the mark of sadness
    middle += 0.02 * e.au1 * ramp(along - 0.3, 0.5)
    middle += 0.035 * e.au4 * (1 - e.au1) * np.clip(0.2 - along, 0, 1.5)
    middle -= 0.05 * e.au2 * ramp(along - 0.1, 0.7)
    thickness = i.brow_thickness * (1 - 0.45 * np.square(np.clip(along, 0, 1)))  # thinner at the outer end
    brow = ramp(thickness - np.abs(head.v - middle), 0.018) * ramp(1 - np.abs(along), 0.25)
    over(paint, linear(i.hair) * 0.7, i.brow_dark * brow * np.clip(0.85 + 0.2 * c.fine, 0, 1))


def eyes(image: np.ndarray, face: Face, c: Canvas, head: Head, light: Light) -> None:
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
    lit = (0.8 * np.clip(light.diffuse, 0, 1.3) + 0.08) * (0.45 + 0.55 * ramp(v - upper_lid - 0.025, 0.04))
    white = shaded([0.36, 0.34, 0.33], (1 - 0.45 * along * along) * lit)
    over(image, 0.35 * skin[:, None, None] + white, eye)

    # Iris, pupil, and the reflection of the main light.
    x = u - np.sign(u) * i.eye_gap - (0.05 * e.gaze[0] + 0.04 * math.sin(s.yaw))
    y = v - (i.eye_y - 0.008 + 0.03 * e.gaze[1])
    radius = np.hypot(x, y)
    disc = ramp(0.95 * i.eye_open + 0.012 - radius, px) * eye
    over(image, shaded(linear(i.iris), lit * (0.7 + 8 * radius)), disc)
    over(image, (0.006, 0.006, 0.006), ramp(0.034 - radius, px) * disc)
    off = np.hypot(x - math.copysign(0.018, s.light[0]), y + 0.018)
    over(image, (0.95, 0.95, 0.95), 0.9 * ramp(0.012 + 0.3 * px - off, px) * eye)

    # Upper lashes, the lower lid's edge, the crease above.
    near = ramp(1.08 - np.abs(along), 0.12) * head.mask
    crease = upper_lid - (0.035 - 0.012 * e.au4) * (1 - 0.3 * along * along)
    over(image, 0.08 * skin, 0.8 * bell(v, upper_lid, 0.014 + 0.5 * px) * near)
    over(image, 0.25 * skin, 0.35 * bell(v, lower_lid, 0.008 + 0.5 * px) * near)
    over(image, 0.20 * skin, 0.38 * bell(v, crease, 0.009 + 0.4 * px) * near)


def mouth_inside(image: np.ndarray, face: Face, c: Canvas, head: Head, mouth: Mouth, light: Light) -> None:
    """A dark hole, with teeth at its top and bottom, and a tongue between them."""
    e = face.expression
    v, along, px = head.v, mouth.along, c.px
    hole = mouth.inside * head.mask
    lit = np.clip(light.diffuse + 0.15, 0.25, 1.2)
    over(image, (0.035, 0.010, 0.010), hole)

    length = min(max(1.1 * mouth.gape + 0.02, 0.012), 0.085) * e.teeth
    ends = mouth.top + length * (1 - 0.35 * along * along) + 0.006 * np.abs(np.sin(38 * head.u))
    teeth = ramp(v - mouth.top + 0.01, px) * ramp(ends - v, 1.5 * px) * hole
    gaps = 1 - 0.22 * np.abs(np.cos(38 * head.u)) ** 12
    tone = (0.78 - 0.3 * along * along) * gaps * lit
    upper_tone = tone * ramp(v - mouth.top + 0.012, 0.02)
    over(image, shaded([0.95, 0.90, 0.80], upper_tone), min(1, 3 * e.teeth) * teeth)

    starts = mouth.bottom - min(0.6 * mouth.gape, 0.06) * e.lower_teeth * (1 - 0.35 * along * along)
    lower_teeth = ramp(v - starts, 1.5 * px) * ramp(mouth.bottom - v, px) * hole * (1 - teeth)
    over(image, shaded([0.72, 0.68, 0.60], tone), min(1, 3 * e.lower_teeth) * lower_teeth)

    tongue = ramp(v - mouth.bottom + 0.45 * mouth.gape, 0.03) * ramp(0.75 - np.abs(along), 0.2)
    tongue *= min(1, 9 * mouth.gape) * hole * (1 - teeth) * (1 - lower_teeth)
    over(image, shaded([0.36, 0.11, 0.10], lit), 0.8 * tongue)


def glasses(image: np.ndarray, face: Face, c: Canvas, head: Head) -> None:
    """Two lenses with a reflection on each, their rims, the bridge and the temples."""
    i, s = face.identity, face.scene
    u, v, across, px = head.u, head.v, head.across, c.px
    x, y = np.abs(across - i.eye_gap) / 0.215, np.abs(v - (i.eye_y + 0.03)) / 0.165
    radius = np.hypot(x**1.4, y**1.4)  # 1 at the rim; a power above 1 makes the ellipse squarer
    lens = ramp(1 - radius, 0.1) * head.mask
    rim = ramp(0.020 - 0.12 * np.abs(radius - 1), px)
    bridge = ramp(0.014 - np.abs(v - (i.eye_y - 0.02) + 0.3 * u * u), px) * ramp(0.12 - across, px)
    temples = ramp(0.016 - np.abs(v - (i.eye_y - 0.03)), px) * ramp(across - 0.5, px)
    if i.glasses == "dark":
        over(image, (0.01, 0.01, 0.012), 0.93 * lens)
    over(image, 0.12 * s.shirt, 0.9 * np.maximum(np.maximum(rim, bridge), temples) * head.mask)
    image += 0.10 * lens * ramp(np.sin(9 * u + 7 * v) - 0.6, 0.3)


def hat(image: np.ndarray, face: Face, c: Canvas, head: Head) -> None:
    """A knitted cap, in a different colour from the shirt."""
    i, s = face.identity, face.scene
    above = i.hairline + 0.10 + 0.12 * np.square(head.u) - on_head(c, head)
    cap = ramp(1.05 - head.radius, 4 * c.px)
    over(image, 0.15 * linear(i.skin), 0.5 * ramp(above + 0.06, 0.06) * cap * head.mask)  # its shadow
    tone = round_light(s, head) * (0.9 + 0.05 * c.fine)
    over(image, shaded(linear(s.shirt[::-1]), tone), cap * ramp(above, c.px))


def hair(image: np.ndarray, face: Face, c: Canvas, head: Head) -> None:
    """Hair above the hairline, with its shadow on the forehead."""
    i, s = face.identity, face.scene
    u, v = head.u, head.v
    # How far the hair stands out from the head, and how far down the sides it grows.
    puff, sides = {"short": (0.06, 0.95), "long": (0.10, 1.9), "curly": (0.20, 0.75)}[i.hair_style]
    curls = 1.0 if i.hair_style == "curly" else 0.0

    hairline = i.hairline - 0.06 * np.cos(5 * (u - i.parting))
    hairline += i.fringe * ramp(0.42 - np.abs(u - 0.3 * i.parting), 0.3)
    hairline += sides * np.clip((head.across - 0.38) / 0.4, 0, 1) ** 2.4
    hairline += 0.022 * np.sin(55 * u + 3 * c.soft) + 0.02 * c.soft
    above = hairline - on_head(c, head)
    outline = 1 + puff - head.radius + (0.012 + 0.035 * curls) * (c.fine + c.soft)

    strands = 1 + 0.22 * np.sin(30 * (u - 0.3 * i.parting) + 5 * v + 3 * c.soft)
    strands += (0.07 + 0.12 * curls) * c.fine
    shine = 0.10 * s.gloss * np.clip(strands - 0.9, 0, 1) * bell(v, -0.8, 0.12)
    over(image, 0.2 * linear(i.skin), 0.30 * ramp(above + 0.05, 0.07) * head.mask)
    tint = shaded(linear(i.hair), round_light(s, head) * strands) + shine
    over(image, tint, ramp(outline, 4 * c.px) * ramp(above, 0.05))


def on_head(c: Canvas, head: Head) -> np.ndarray:
    """v on the head, continued around it in the picture plane, where hair and hats stand out."""
    return np.where(head.radius < 1, head.v, head.chin_y - 0.10)
