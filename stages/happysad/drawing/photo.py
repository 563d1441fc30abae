"""Everything in a drawn picture but the face: light, background, shoulders, the camera.

Each function paints over ``image``, an array (3, height, width) of linear light; coordinates are those of
``happysad.drawing.shape``.
"""

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageFilter

from happysad.drawing.sampling import Face, Scene
from happysad.drawing.shape import Canvas, Head, ramp


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
    """A gradient with soft blotches, as if out of focus."""
    top, bottom = (linear(colour) for colour in s.background)
    t = np.clip(np.arange(c.size)[:, None] / c.size + 0.25 * c.soft, 0, 1)
    return shaded(top, 1 - t) + shaded(bottom, t)


def neck_and_shoulders(image: np.ndarray, face: Face, c: Canvas) -> None:
    i, s = face.identity, face.scene
    x = c.x + 0.35 * np.sin(s.yaw)  # a neck turns less than its head
    neck = ramp(0.58 * i.width - np.abs(x) + 0.3 * np.clip(c.y - 1.05, 0, 1) ** 2, 2 * c.px)
    under_chin = 1 - 0.5 * ramp(1.35 - c.y, 0.5)
    tone = (s.ambient + 0.5 * np.clip(0.7 + s.light[0] * x - 0.9 * x * x, 0, 1)) * under_chin
    over(image, shaded(linear(i.skin), tone), neck * ramp(c.y - 0.5, c.px))

    collar = 1.22 + 0.12 * np.cos(3.5 * np.clip(x, -0.9, 0.9)) + 0.3 * np.square(x)
    tone = 0.7 + 0.08 * c.soft + 0.3 * s.light[0] * c.x
    over(image, shaded(linear(s.shirt), tone), ramp(c.y - collar, 2 * c.px))


def lighting(s: Scene, head: Head, h: np.ndarray, px: float) -> tuple[np.ndarray, np.ndarray]:
    """Diffuse light, which takes on the skin's colour, and gloss, which does not.

    A soft main light and ambient light from above, dimmed in hollows of the height field ``h``.
    """
    # Normals of the ellipsoid, flattened since chins face the camera, and tilted by the slope of the height field.
    slope_y, slope_x = np.gradient(h, px)
    x, y, z = head.normal
    normal = np.stack([0.8 * x * np.abs(x) - 0.8 * slope_x * z, 0.5 * y - 0.8 * slope_y * z, z + 0.02])
    normal /= np.sqrt(np.square(normal).sum(0)) + 1e-6
    facing = sum(part * n for part, n in zip(s.light, normal, strict=True))

    # Hollows lie below the mean height around them.
    open_sky = np.clip(1 - 6 * np.maximum(soften(h, max(3, int(0.10 / px) | 1)) - h, 0), 0.3, 1)
    main = (1 - 0.5 * s.ambient) * np.square(np.clip(0.6 * facing + 0.4, 0, 1))
    diffuse = open_sky * (s.ambient * (0.8 - 0.2 * normal[1]) + main)
    # Blinn-Phong: gloss where the normal lies halfway between light and camera (Blinn 1977).
    half = np.add(s.light, (0, 0, 1))
    mirrored = sum(part * n for part, n in zip(half / np.sqrt(half @ half), normal, strict=True))
    return diffuse, s.gloss * np.clip(mirrored, 0, 1) ** 12 * open_sky


def soften(a: np.ndarray, width: int) -> np.ndarray:
    """Two box blurs of odd ``width`` along each axis, nearly a Gaussian; any width costs the same."""
    for _ in ("rows", "columns"):
        for _ in range(2):
            sums = np.cumsum(np.pad(a, ((width // 2 + 1, width // 2), (0, 0)), "edge"), 0)
            a = (sums[width:] - sums[:-width]) / width
        a = a.T
    return a


def round_light(s: Scene, head: Head) -> np.ndarray:
    """The main light on a surface as round as the head."""
    x, y, z = head.normal
    facing = x * s.light[0] + y * s.light[1] + np.clip(z, 0, 2) * s.light[2]
    return np.clip(0.62 + 0.4 * facing, 0.2, 1.2)


def camera(image: np.ndarray, s: Scene, c: Canvas) -> Image.Image:
    """Exposure, a film-like tone curve, gamma, contrast, noise, blur, and sharpening, as in every camera."""
    image = np.clip(image * np.array([1 + s.warmth, 1, 1 - s.warmth])[:, None, None] * s.exposure, 0, 4)
    image = (1 - np.exp(-1.5 * image)) ** (1 / 2.2)
    image = (np.moveaxis(image, 0, -1) - 0.5) * s.contrast + 0.5
    image = image + s.noise * c.rng.normal(size=image.shape)
    photo = Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
    photo = photo.filter(ImageFilter.GaussianBlur(s.blur * c.size / 96))
    photo = photo.filter(ImageFilter.UnsharpMask(c.size / 96, percent=s.sharpening, threshold=0))
    return photo.convert("L").convert("RGB") if s.grey else photo
