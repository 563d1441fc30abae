"""Everything in a drawn picture but the face: light, background, shoulders, hands, the camera.

Each function paints over ``image``, an array (3, height, width) of linear light; coordinates are those of
``happysad.drawing.shape``.
"""

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageFilter, ImageOps

from happysad.drawing.sampling import Face, Scene
from happysad.drawing.shape import Canvas, Head, ramp


@dataclass(frozen=True)
class Light:
    diffuse: np.ndarray  # light that takes on the skin's colour
    gloss: np.ndarray  # light reflected at the surface, in its own colour


def over(image: np.ndarray, colour: ArrayLike, mask: np.ndarray) -> None:
    """Blend ``colour``, (3,) or (3, height, width), into ``image``; ``mask`` is the opacity, 0 to 1."""
    colour = np.asarray(colour)
    image += ((colour[:, None, None] if colour.ndim == 1 else colour) - image) * mask


def linear(colour: np.ndarray) -> np.ndarray:
    """sRGB to linear light, approximately."""
    return colour**2.2


def shaded(colour: ArrayLike, tone: np.ndarray) -> np.ndarray:
    """``colour``, (3,), at the brightness ``tone``, (height, width)."""
    return np.asarray(colour)[:, None, None] * tone


def background(s: Scene, c: Canvas) -> np.ndarray:
    """A cloudy gradient, with soft coloured boxes as clutter."""
    top, bottom = (linear(colour) for colour in s.background)
    down = np.arange(c.size)[:, None] / c.size
    t = np.clip(down + 0.3 * c.soft, 0, 1)
    image = shaded(top, 1 - t) + shaded(bottom, t)
    if s.clutter:
        image *= np.exp(0.7 * s.clutter * c.soft)
        for _ in range(int(4 * s.clutter)):
            x, y = c.rng.uniform(-1.4, 1.4, 2).tolist()
            width, height = c.rng.uniform(0.1, 0.6, 2).tolist()
            box = ramp(width - np.abs(c.x - x), 0.1) * ramp(height - np.abs(c.y - y), 0.1)
            over(image, linear(c.rng.uniform(0, 1, 3)), 0.8 * box)
    return image


def neck_and_shoulders(image: np.ndarray, face: Face, c: Canvas) -> None:
    s = face.scene
    x = c.x + 0.35 * math.sin(s.yaw)  # a neck turns less than its head
    neck = ramp(0.42 - np.abs(x) + 0.1 * np.clip(c.y - 1, 0, 1), c.px) * ramp(c.y - 0.5, c.px)
    under_chin = 1 - 0.55 * ramp(1.35 - c.y, 0.25)
    tone = (s.ambient + 0.5 * np.clip(0.6 + 2 * s.light[0] * x, 0, 1)) * under_chin
    over(image, shaded(linear(face.identity.skin), tone), neck)

    collar = 0.06 * np.cos(7 * c.x) * (np.abs(c.x) < 0.45)
    below = c.y - 1.36 - 0.35 * np.square(c.x / 1.2) - collar
    tone = 0.75 + 0.12 * c.soft + 0.3 * s.light[0] * c.x
    over(image, shaded(linear(s.shirt), tone), ramp(below, 2 * c.px))


def lighting(s: Scene, c: Canvas, head: Head, h: np.ndarray) -> Light:
    """Two directional lights and ambient light, dimmed in hollows and by short cast shadows."""
    # Normals of the ellipsoid, tilted by the slope of the height field.
    slope_y, slope_x = np.gradient(h, c.px)
    x, y, z = head.normal
    normal = np.stack([x - 0.8 * slope_x * z, y - 0.8 * slope_y * z, z + 0.02])
    normal /= np.sqrt(np.square(normal).sum(0)) + 1e-6

    def facing(direction):
        return sum(part * n for part, n in zip(direction, normal, strict=True))

    # Hollows lie below the mean height around them; a shadow falls where something blocks the light.
    open_sky = np.clip(1 - 6 * np.maximum(soften(h, max(3, int(0.10 / c.px) | 1)) - h, 0), 0.35, 1)
    for step in (0.06, 0.13):
        shift = [-round(step / c.px * part) for part in (s.light[1], s.light[0])]
        blocked = np.roll(h, shift, (0, 1)) - h - 0.9 * step * max(s.light[2], 0.2)
        open_sky *= 1 - 0.35 * ramp(blocked, 0.03)

    ambient = s.ambient * (0.75 - 0.25 * normal[1]) + s.fill_power * np.clip(facing(s.fill), 0, 1)
    main = (1 - 0.55 * s.ambient) * np.clip(0.82 * facing(s.light) + 0.18, 0, 1)
    # Blinn-Phong: gloss where the normal lies halfway between light and camera (Blinn 1977).
    half = (s.light[0], s.light[1], s.light[2] + 1)
    mirrored = np.clip(facing([part / math.hypot(*half) for part in half]), 0, 1) ** 18
    diffuse = ambient * open_sky + main * (0.4 + 0.6 * open_sky)
    return Light(diffuse, gloss=s.gloss * mirrored * open_sky)


def soften(a: np.ndarray, width: int) -> np.ndarray:
    """Two box blurs of odd ``width`` along each axis, nearly a Gaussian; any width costs the same."""
    for _ in ("rows", "columns"):
        for _ in range(2):
            sums = np.cumsum(np.pad(a, ((width // 2 + 1, width // 2), (0, 0)), "edge"), 0)
            a = (sums[width:] - sums[:-width]) / width
        a = a.T
    return a


def side_light(s: Scene, c: Canvas) -> np.ndarray:
    """Light on hair and ears, which have no height field: brighter towards the main light."""
    return 0.55 + 0.3 * s.light[0] * c.x


def round_light(s: Scene, head: Head) -> np.ndarray:
    """The main light on a surface as round as the head."""
    x, y, z = head.normal
    facing = x * s.light[0] + y * s.light[1] + np.clip(z, 0, 2) * s.light[2]
    return np.clip(0.62 + 0.45 * facing, 0.12, 1.3)


def hands(image: np.ndarray, face: Face, c: Canvas) -> None:
    """One hand or two that reach over the face from the side or from below: palms, and four fingers each."""
    s, rng, width = face.scene, c.rng, c.rng.uniform(0.12, 0.17)
    sides = [rng.choice([-1, 1])] if rng.random() < 0.6 else [-1, 1]
    angle = rng.uniform(-0.3, 1.5)  # where it comes from: 0 is the side, pi / 2 below
    turned = rng.uniform(0, 1.2)  # of the fingers: 0 is level, pi / 2 upright
    cos, sin = math.cos(turned), math.sin(turned)
    for side in sides:
        out = side * c.x * math.cos(angle) + c.y * math.sin(angle) - (0.95 - 0.6 * face.expression.hand)
        along = cos * out + sin * (c.y - 0.3)  # from the finger tips to the wrist
        aside = cos * (c.y - 0.3) - sin * out
        finger = np.clip(1 - np.square((aside % width) / (width / 2) - 1), 0, 1)  # 0 between two
        tips = 0.12 * finger - 0.12 + 0.06 * np.cos(2 * np.floor(aside / width))
        mask = ramp(along + tips, 0.03) * ramp(2 * width + 0.04 * float(c.soft.mean()) - np.abs(aside), 0.05)
        shape = np.where(along > 0.45, 0.8, np.sqrt(finger))  # beyond the fingers, the palm
        tone = (0.35 + 0.65 * shape) * rng.uniform(0.5, 1.1) * (0.8 + 0.2 * s.light[0] * aside)
        over(image, shaded(linear(face.identity.skin), tone), mask)


def camera(image: np.ndarray, s: Scene, c: Canvas) -> Image.Image:
    """Exposure, a film-like tone curve, gamma, contrast, noise; then blur, resolution, grey levels, JPEG."""
    image = np.clip(image * np.array([1 + s.warmth, 1, 1 - s.warmth])[:, None, None] * s.exposure, 0, 4)
    image = np.clip(1.2 * image / (1 + 0.25 * image), 0, 1) ** (1 / 2.2)
    image = np.moveaxis((image - 0.45) * s.contrast + 0.45, 0, -1)
    image = image + s.noise * c.rng.normal(size=image.shape)
    photo = Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
    if s.blur > 0.2:
        photo = photo.filter(ImageFilter.GaussianBlur(s.blur * c.size / 128))
    if s.low_res < 0.95:
        side = max(24, int(c.size * s.low_res))
        photo = photo.resize((side, side), Image.Resampling.BILINEAR)
        photo = photo.resize((c.size, c.size), Image.Resampling.BICUBIC)
    if s.grey:
        photo = photo.convert("L").convert("RGB")
    if s.equalized:
        photo = ImageOps.equalize(photo.convert("L")).convert("RGB")
    if s.jpeg < 95:
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=s.jpeg)
        photo = Image.open(file).convert("RGB")
    return photo
