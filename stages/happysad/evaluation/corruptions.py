"""Worse photographs: each test picture changed in ways that cameras, apps and people change pictures.

After Hendrycks and Dietterich (2019), with severities that leave the expression plain to a person.
"""

from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps


def brightness(picture: Image.Image, factor: float, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(factor)


def contrast(picture: Image.Image, factor: float, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Contrast(picture).enhance(factor)


def blur(picture: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(share * picture.width))


def noise(picture: Image.Image, levels: float, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(picture) + rng.normal(0, levels, (picture.height, picture.width, 3))
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def jpeg(picture: Image.Image, quality: int, rng: np.random.Generator) -> Image.Image:
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def resize(picture: Image.Image, factor: float, rng: np.random.Generator) -> Image.Image:
    small = (round(picture.width * factor), round(picture.height * factor))
    return picture.resize(small, Image.Resampling.BILINEAR).resize(picture.size, Image.Resampling.BILINEAR)


def rotation(picture: Image.Image, degrees: float, rng: np.random.Generator) -> Image.Image:
    mean = tuple(np.asarray(picture).mean(axis=(0, 1)).round().astype(int).tolist())
    return picture.rotate(rng.choice([-1, 1]) * degrees, Image.Resampling.BILINEAR, fillcolor=mean)


def mirror(picture: Image.Image, _: float, rng: np.random.Generator) -> Image.Image:
    return ImageOps.mirror(picture)


# Name, what does it, the setting of each severity, and what the setting is.
CORRUPTIONS: list[tuple[str, Callable, tuple[float, ...], str]] = [
    ("darker", brightness, (0.8, 0.6, 0.4), "times as bright"),
    ("lighter", brightness, (1.2, 1.5, 1.8), "times as bright"),
    ("contrast", contrast, (0.75, 0.5, 0.3), "times the contrast"),
    ("blur", blur, (0.01, 0.02, 0.03), "of the width, Gaussian radius"),
    ("noise", noise, (8, 16, 32), "grey levels, standard deviation"),
    ("jpeg", jpeg, (60, 30, 15), "JPEG quality"),
    ("resize", resize, (0.75, 0.5, 0.4), "times the size, and back"),
    ("rotation", rotation, (5, 10, 20), "degrees, to either side"),
    ("mirror", mirror, (1,), "left and right exchanged"),
]


def corrupted(pictures: np.ndarray, seed: int = 1) -> Iterator[tuple[dict, np.ndarray]]:
    """Yield corruption, severity 1 to 3 and setting with the changed pictures, (n, side, side, 3) uint8."""
    for name, change, settings, meaning in CORRUPTIONS:
        for severity, setting in enumerate(settings, start=1):
            rng = np.random.default_rng(seed)
            changed = [np.asarray(change(Image.fromarray(p), setting, rng)) for p in pictures]
            about = {"corruption": name, "severity": severity, "setting": f"{setting:g} {meaning}"}
            yield about, np.stack(changed)
