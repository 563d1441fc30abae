"""How well copies are found, next to other tools: recall by kind of copy, precision and CPU time.

    python benchmarks/duplicates.py DIR

samples 2,200 pictures from DIR and its sub-folders and plants changed copies of nine tenths of them. Copies that the
folder has of its own count as false pairs, so precision is a lower bound. CPU time includes decoding, not imports.
"""

import argparse
import itertools
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stages"))
from happysad.data import duplicates, faces

PICTURES = 2200
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
Change = Callable[[Image.Image, random.Random], Image.Image]
Pair = tuple[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder = parser.parse_args().folder
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    table = {}
    with tempfile.TemporaryDirectory() as temporary:
        rng = random.Random(1)
        planted = plant(rng.sample(files, min(PICTURES, len(files))), Path(temporary), rng)
        for tool, find in TOOLS.items():
            if find in (imagehash, cleanvision) and not find_spec(tool):
                print(f"{tool} is not installed: pip install '.[benchmark]'")
                continue
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                pairs, seconds = pool.apply(measure, (tool, Path(temporary)))
            found, total = (
                Counter(planted[pair] for pair in pairs & planted.keys()),
                Counter(planted.values()),
            )
            table[tool] = {
                "precision": found.total() / max(1, len(pairs)),
                "recall": found.total() / total.total(),
                "CPU s": seconds,
                **{kind: found[kind] / total[kind] for kind in KINDS},
            }
    print(pd.DataFrame(table).round(3).to_string())


def opened(file: Path) -> Image.Image:
    image = Image.open(file)
    ImageOps.exif_transpose(image, in_place=True)
    return image if image.mode == "RGB" else image.convert("RGB")


def cropped(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    w, h = image.size
    return image.crop((round(w * left), round(h * top), round(w * (1 - right)), round(h * (1 - bottom))))


def crop(image: Image.Image, rng: random.Random) -> Image.Image:
    """Take 3-8% of the width and of the height away, at a random place."""
    (x, y), (left, top) = (rng.uniform(0.03, 0.08), rng.uniform(0.03, 0.08)), (rng.random(), rng.random())
    return cropped(image, x * left, y * top, x * (1 - left), y * (1 - top))


def crop_sides(image: Image.Image, rng: random.Random) -> Image.Image:
    """Take 3-8% away on each of the four sides."""
    return cropped(image, *(rng.uniform(0.03, 0.08) for _ in range(4)))


def resized(image: Image.Image, rng: random.Random) -> Image.Image:
    scale = rng.uniform(0.5, 2)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)


def part(share: float, image: Image.Image, rng: random.Random) -> Image.Image:
    """Keep this share of the width and of the height, anywhere."""
    left, top = rng.uniform(0, 1 - share), rng.uniform(0, 1 - share)
    return cropped(image, left, top, 1 - share - left, 1 - share - top)


def turned(degrees: float, image: Image.Image, rng: random.Random) -> Image.Image:
    return image.rotate(degrees * rng.choice((-1, 1)), Image.Resampling.BICUBIC, fillcolor="grey")


def logo(image: Image.Image, rng: random.Random) -> Image.Image:
    """A ring on a square of colour in a corner, its side 12% of the shorter side."""
    result, side = image.copy(), round(0.12 * min(image.size))
    x = rng.choice((0.02, 0.98)) * (image.width - side)
    y = rng.choice((0.02, 0.98)) * (image.height - side)
    draw, colour = ImageDraw.Draw(result), tuple(rng.randrange(256) for _ in "rgb")
    draw.rectangle([x, y, x + side, y + side], fill=colour)
    draw.circle([x + side / 2, y + side / 2], side / 3, outline="white", width=side // 8)
    return result


def sentence(rng: random.Random) -> str:
    return " ".join("".join(rng.choices("abcdefghijklmnoprstuvwy", k=rng.randint(2, 8))) for _ in range(3))


def caption(image: Image.Image, rng: random.Random) -> Image.Image:
    """A white or black bar over the lower 13%, with text."""
    result, height = image.copy(), round(0.13 * image.height)
    colours = rng.sample(("white", "black"), 2)
    draw = ImageDraw.Draw(result)
    draw.rectangle([0, image.height - height, image.width, image.height], fill=colours[0])
    at = (image.width * 0.04, image.height - 0.85 * height)
    draw.text(at, sentence(rng), fill=colours[1], font_size=max(4, 0.6 * height))
    return result


def watermark(image: Image.Image, rng: random.Random) -> Image.Image:
    """Translucent text across the middle."""
    text = Image.new("L", image.size)
    at = (image.width * 0.05, image.height * rng.uniform(0.3, 0.6))
    ImageDraw.Draw(text).text(at, sentence(rng), 110, font_size=max(5, image.height * 0.15))
    return Image.composite(Image.new("RGB", image.size, "white"), image, text)


def border(image: Image.Image, rng: random.Random) -> Image.Image:
    """6% of the shorter side, in a random colour, on each of the four sides."""
    return ImageOps.expand(image, round(0.06 * min(image.size)), tuple(rng.randrange(256) for _ in "rgb"))


def black_bars(image: Image.Image, rng: random.Random) -> Image.Image:
    """15% of the height above and below, as in a film or a screenshot."""
    bar = round(0.15 * image.height)
    return ImageOps.expand(image, (0, bar, 0, bar), "black")


def noise(image: Image.Image, rng: random.Random) -> Image.Image:
    added = np.random.default_rng(rng.getrandbits(32)).normal(0, 10, (image.height, image.width, 3))
    return Image.fromarray((np.asarray(image) + added).clip(0, 255).astype(np.uint8))


def gamma(image: Image.Image, rng: random.Random) -> Image.Image:
    power = rng.choice((0.6, 1.6))
    return image.point([round(255 * (level / 255) ** power) for level in range(256)] * 3)


def transparent_corner(image: Image.Image, rng: random.Random) -> Image.Image:
    """The upper left corner fades out over a third of the sides."""
    y, x = np.mgrid[: image.height, : image.width]
    alpha = np.hypot(x / image.width, y / image.height) * 3 * 255
    result = image.copy()
    result.putalpha(Image.fromarray(alpha.clip(0, 255).astype(np.uint8)))
    return result


KINDS: dict[str, Change | None] = {
    "exact": None,
    "other class": None,
    "png": lambda image, rng: image,
    "jpeg": lambda image, rng: image,
    "resized": resized,
    "cropped": crop,
    "each side": crop_sides,
    "brightness": lambda image, rng: ImageEnhance.Brightness(image).enhance(rng.uniform(0.7, 1.3)),
    "contrast": lambda image, rng: ImageEnhance.Contrast(image).enhance(rng.uniform(0.7, 1.4)),
    "grey": lambda image, rng: image.convert("L"),
    "mirrored": lambda image, rng: ImageOps.mirror(image),
    "logo": logo,
    "caption": caption,
    "border": border,
    "black bars": black_bars,
    "turned 3°": partial(turned, 3),
    "turned 8°": partial(turned, 8),
    "85%": partial(part, 0.85),
    "75%": partial(part, 0.75),
    "60%": partial(part, 0.60),
    "watermark": watermark,
    "blur": lambda image, rng: image.filter(ImageFilter.GaussianBlur(0.01 * min(image.size))),
    "noise": noise,
    "gamma": gamma,
    "saturation": lambda image, rng: ImageEnhance.Color(image).enhance(rng.choice((0.3, 2))),
    "squeezed": lambda image, rng: image.resize((max(1, image.width * 4 // 5), image.height)),
    "transparent": transparent_corner,
}
PNG = ("png", "transparent")


def plant(originals: list[Path], folder: Path, rng: random.Random) -> dict[Pair, str]:
    """Write originals and copies to folder/{a,b}; the kind of each planted pair of file names."""
    for name in "ab":
        (folder / name).mkdir()
    names = [f"{rng.choice('ab')}/{i:05}{file.suffix.lower()}" for i, file in enumerate(originals)]
    for name, file in zip(names, originals, strict=True):
        (folder / name).write_bytes(file.read_bytes())
    per_kind = len(originals) * 9 // 10 // len(KINDS)
    kinds = [kind for kind in KINDS for _ in range(per_kind)]
    planted = {}
    for kind, name in zip(kinds, rng.sample(names, len(kinds)), strict=True):
        change, original = KINDS[kind], folder / name
        side = {"a": "b", "b": "a"}[name[0]] if kind == "other class" else name[0]
        suffix = original.suffix if change is None else ".png" if kind in PNG else ".jpg"
        copy = f"{side}/copy_{original.stem}{suffix}"
        if change is None:
            shutil.copy(original, folder / copy)
        else:
            quality = rng.randint(50, 95) if kind == "jpeg" else 85
            change(opened(original), rng).save(folder / copy, quality=quality)
        planted[tuple(sorted((name, copy)))] = kind
    return planted


def happysad(folder: Path, names: list[str], copies_only: bool) -> Iterator[Pair]:
    """What prepare finds with crop: face."""
    signatures = []
    for name in names:
        picture = opened(folder / name)
        found = faces.find(picture)
        box = faces.square_box(picture.size, found[0], 1.1) if found else None
        signatures.append(duplicates.signature(picture, box))
    for pair in duplicates.find_pairs(signatures):
        if pair.copy or not copies_only:
            yield names[pair.first], names[pair.second]


def imagehash(folder: Path, names: list[str]) -> Iterator[Pair]:
    from imagehash import phash

    bits = np.stack([phash(Image.open(folder / name)).hash.ravel() for name in names]).astype(np.float32)
    distance = bits @ (1 - bits.T) + (1 - bits) @ bits.T
    for i, j in zip(*np.nonzero(np.triu(distance <= 4, 1)), strict=True):
        yield names[i], names[j]


def cleanvision(folder: Path, names: list[str]) -> Iterator[Pair]:
    from cleanvision import Imagelab

    lab = Imagelab(filepaths=[str(folder / name) for name in names])
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, n_jobs=1, verbose=False)
    for kind in ("exact_duplicates", "near_duplicates"):
        for group in lab.info[kind]["sets"]:
            yield from itertools.combinations((str(Path(file).relative_to(folder)) for file in group), 2)


TOOLS = {
    "found": partial(happysad, copies_only=False),
    "dropped": partial(happysad, copies_only=True),
    "imagehash": imagehash,
    "cleanvision": cleanvision,
}


def measure(tool: str, folder: Path) -> tuple[set[Pair], float]:
    """The pairs that ``tool`` finds, and its CPU seconds."""
    names = sorted(str(file.relative_to(folder)) for file in folder.rglob("*.*"))
    list(TOOLS[tool](folder, names[:2]))  # imports
    began = time.process_time()
    return {tuple(sorted(pair)) for pair in TOOLS[tool](folder, names)}, time.process_time() - began


if __name__ == "__main__":
    main()
