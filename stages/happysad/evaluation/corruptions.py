"""Robustness to corruptions: each test picture changed as cameras, apps and people change pictures.

After Hendrycks and Dietterich (2019), at severities that leave the expression plain to a person.
"""

from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from tqdm import tqdm

from happysad.evaluation.intervals import proportion

MOST = 100  # pictures, each predicted 26 times: enough to see which corruptions harm


def brightness(picture: Image.Image, factor: float, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(factor)


def contrast(picture: Image.Image, factor: float, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Contrast(picture).enhance(factor)


def blur(picture: Image.Image, fraction: float, rng: np.random.Generator) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(fraction * picture.width))


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


# Name, function, the parameter of each severity, and what it means.
CORRUPTIONS: list[tuple[str, Callable, tuple[float, ...], str]] = [
    ("darker", brightness, (0.8, 0.6, 0.4), "{:g} times as bright"),
    ("lighter", brightness, (1.2, 1.5, 1.8), "{:g} times as bright"),
    ("contrast", contrast, (0.75, 0.5, 0.3), "{:g} times the contrast"),
    ("blur", blur, (0.01, 0.02, 0.03), "Gaussian radius {:g} of the width"),
    ("noise", noise, (8, 16, 32), "standard deviation {:g} of 255"),
    ("jpeg", jpeg, (60, 30, 15), "quality {:g}"),
    ("resize", resize, (0.75, 0.5, 0.4), "to {:g} of the size and back"),
    ("rotation", rotation, (5, 10, 20), "{:g} degrees to the left or right"),
    ("mirror", mirror, (1,), "left and right swapped"),
]


def corrupted(pictures: np.ndarray) -> Iterator[tuple[dict, np.ndarray]]:
    """Yield corruption, severity and setting, with the pictures so changed, (n, side, side, 3) uint8; first unchanged."""
    yield {"corruption": "none", "severity": 0, "setting": ""}, pictures
    for name, corrupt, parameters, setting in tqdm(CORRUPTIONS, "corruptions", leave=False, disable=None):
        for severity, parameter in enumerate(parameters, start=1):
            rng = np.random.default_rng(1)
            copies = [np.asarray(corrupt(Image.fromarray(p), parameter, rng)) for p in pictures]
            description = {"corruption": name, "severity": severity, "setting": setting.format(parameter)}
            yield description, np.stack(copies)


def table(
    predict: Callable[[np.ndarray], np.ndarray], pictures: np.ndarray, labels: np.ndarray
) -> pd.DataFrame:
    """A row for the unchanged pictures, then one per corruption and severity.

    ``predict`` maps pictures, (n, side, side, 3) uint8, to scores (n,). Each row has the accuracy with its
    interval on n pictures, MOST at most, evenly spaced, and as label_changes the fraction of them whose predicted
    label changes.
    """
    chosen = np.linspace(0, len(pictures) - 1, min(len(pictures), MOST)).round().astype(int)
    labels = labels[chosen]
    descriptions, copies = zip(*corrupted(pictures[chosen]), strict=True)
    predicted = (predict(np.concatenate(copies)) >= 0.5).reshape(len(copies), -1)
    return pd.DataFrame(
        {
            **description,
            "n": len(labels),
            **proportion("accuracy", after == labels),
            "label_changes": (after != predicted[0]).mean(),
        }
        for description, after in zip(descriptions, predicted, strict=True)
    )
