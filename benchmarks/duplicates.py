"""How well near-duplicates are found, next to other tools; and how time grows.

    python benchmarks/duplicates.py DIR [--pictures 2200] [--seeds 5]
    python benchmarks/duplicates.py --growth

The first samples pictures from DIR and its sub-folders, plants changed copies of nine tenths of them, and
prints precision, recall by kind of copy and CPU seconds (decoding included, imports not) per tool. A
folder of pictures has duplicates of its own, which would count as false pairs. So the sample is first
rid of pictures that correlate above 0.96 with another one, or with a window of it, at 16 × 16 pixels: a
test that shares nothing with those compared here. It misses copies cropped by more, so precision is a lower
bound. Pairs that ours reports and that were not planted are printed, to be looked at.
"""

import argparse
import io
import itertools
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stages"))
from happysad.data import duplicates, faces, thumbnails

Pairs = set[tuple[str, str]]
Change = Callable[[Image.Image, random.Random], Image.Image]
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR")
    parser.add_argument("--pictures", type=int, default=2200, help="originals sampled (default: 2200)")
    parser.add_argument("--seeds", type=int, default=1, help="samples drawn and measured (default: 1)")
    parser.add_argument("--growth", action="store_true", help="measure 1,000 to 100,000 drawn thumbnails")
    arguments = parser.parse_args()
    if arguments.growth:
        growth()
    elif arguments.folder:
        compare(arguments.folder, arguments.pictures, arguments.seeds)
    else:
        parser.error("give DIR or --growth")


# ---------------------------------------------------------------- comparison


def compare(folder: Path, pictures: int, seeds: int) -> None:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    tables = {tool: Counter() for tool in TOOLS}
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as temporary:
            truth = plant(strangers(files, pictures, seed), Path(temporary), seed)
            for tool, table in tables.items():
                pairs, seconds = measure(tool, Path(temporary))
                if pairs is None:
                    table["missing"] = 1
                    continue
                score(table, pairs, truth)
                table["CPU s"] += seconds
                if tool == "happysad":
                    for pair in sorted(pairs - truth.keys()):
                        print(f"seed {seed}: not planted: {' '.join(pair)}")
    print(f"\n{pictures} pictures and the planted copies, {seeds} samples; CPU s per sample")
    print(f"{'':18}precision  recall  CPU s  " + "  ".join(KINDS))
    for tool, table in tables.items():
        if table["missing"]:
            print(f"{tool:18}not installed: pip install '.[benchmark]'")
            continue
        recalls = "  ".join(f"{table[kind] / table[f'{kind} planted']:{len(kind)}.3f}" for kind in KINDS)
        precision, recall = table["true"] / max(1, table["reported"]), table["true"] / table["planted"]
        print(f"{tool:18}{precision:9.3f} {recall:7.3f} {table['CPU s'] / seeds:6.2f}  {recalls}")


def score(table: Counter, pairs: Pairs, truth: dict[tuple[str, str], str]) -> None:
    table["reported"] += len(pairs)
    for pair, kind in truth.items():
        table.update({"planted": 1, f"{kind} planted": 1, "true": pair in pairs, kind: pair in pairs})


def strangers(files: list[Path], count: int, seed: int) -> list[Path]:
    """Sample ``count`` pictures none of which is an obvious copy of another."""
    sample = random.Random(seed).sample(files, min(count * 5 // 4, len(files)))
    small = np.stack(
        [np.asarray(opened(f).convert("L").resize((32, 32), Image.Resampling.BOX)) for f in sample]
    )
    whole = unit(small.reshape(-1, 16, 2, 16, 2).mean((2, 4)))
    copies = np.zeros((len(sample), len(sample)), bool)
    for scale in (1, 0.95, 0.9, 0.85, 0.8):
        for left, top in itertools.product((0, 0.5, 1) if scale < 1 else (0,), repeat=2):
            x, y = 32 * (1 - scale) * left, 32 * (1 - scale) * top
            box = (x, y, x + 32 * scale, y + 32 * scale)
            window = np.stack(
                [Image.fromarray(s).resize((16, 16), Image.Resampling.BILINEAR, box) for s in small]
            )
            for side in (window, window[:, :, ::-1]):
                copies |= whole @ unit(side).T > 0.96
    copies |= copies.T
    kept: list[int] = []
    for i in range(len(sample)):
        if not copies[i, kept].any():
            kept.append(i)
    return [sample[i] for i in kept[:count]]


def unit(pictures: np.ndarray) -> np.ndarray:
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


def opened(file: Path) -> Image.Image:
    image = Image.open(file)
    ImageOps.exif_transpose(image, in_place=True)
    return image if image.mode == "RGB" else image.convert("RGB")


# ---------------------------------------------------------------- planted copies


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


def part(share: float) -> Change:
    """Keep this share of the width and of the height, anywhere."""

    def keep(image: Image.Image, rng: random.Random) -> Image.Image:
        left, top = rng.uniform(0, 1 - share), rng.uniform(0, 1 - share)
        return cropped(image, left, top, 1 - share - left, 1 - share - top)

    return keep


def turned(degrees: float) -> Change:
    def turn(image: Image.Image, rng: random.Random) -> Image.Image:
        grey = (128, 128, 128)
        return image.rotate(degrees * rng.choice((-1, 1)), Image.Resampling.BICUBIC, fillcolor=grey)

    return turn


def logo(image: Image.Image, rng: random.Random) -> Image.Image:
    """A ring on a square of colour in a corner, its side 12% of the shorter side."""
    result, side = image.copy(), round(0.12 * min(image.size))
    x = rng.choice((0.02, 0.98)) * (image.width - side)
    y = rng.choice((0.02, 0.98)) * (image.height - side)
    draw, colour = ImageDraw.Draw(result), tuple(rng.randrange(256) for _ in "rgb")
    draw.rectangle([x, y, x + side, y + side], fill=colour)
    draw.ellipse(
        [x + side / 5, y + side / 5, x + side * 4 / 5, y + side * 4 / 5], outline="white", width=side // 8
    )
    return result


def sentence(rng: random.Random, words: int) -> str:
    return " ".join(
        "".join(rng.choices("abcdefghijklmnoprstuvwy", k=rng.randint(2, 8))) for _ in range(words)
    )


def caption(image: Image.Image, rng: random.Random) -> Image.Image:
    """A white or black bar over the lower 13%, with text."""
    result, height = image.copy(), round(0.13 * image.height)
    colours = rng.sample(("white", "black"), 2)
    draw = ImageDraw.Draw(result)
    draw.rectangle([0, image.height - height, image.width, image.height], fill=colours[0])
    at = (image.width * 0.04, image.height - 0.85 * height)
    draw.text(at, sentence(rng, 4), fill=colours[1], font_size=max(4, 0.6 * height))
    return result


def watermark(image: Image.Image, rng: random.Random) -> Image.Image:
    """Translucent text across the middle."""
    text = Image.new("L", image.size)
    size = max(5, image.height * 0.15)
    draw = ImageDraw.Draw(text)
    draw.text(
        (image.width * 0.05, image.height * rng.uniform(0.3, 0.6)), sentence(rng, 3), 110, font_size=size
    )
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
    "turned 3°": turned(3),
    "turned 8°": turned(8),
    "85%": part(0.85),
    "75%": part(0.75),
    "60%": part(0.60),
    "watermark": watermark,
    "blur": lambda image, rng: image.filter(ImageFilter.GaussianBlur(0.01 * min(image.size))),
    "noise": noise,
    "gamma": gamma,
    "saturation": lambda image, rng: ImageEnhance.Color(image).enhance(rng.choice((0.3, 2))),
    "squeezed": lambda image, rng: image.resize((max(1, image.width * 4 // 5), image.height)),
    "transparent": transparent_corner,
}
PNG = ("png", "transparent")


def plant(originals: list[Path], folder: Path, seed: int) -> dict[tuple[str, str], str]:
    """Write originals and copies to folder/{a,b}; the kind of each planted pair of file names."""
    rng = random.Random(seed)
    for name in "ab":
        (folder / name).mkdir()
    names = [f"{rng.choice('ab')}/{i:05}{file.suffix.lower()}" for i, file in enumerate(originals)]
    for name, file in zip(names, originals, strict=True):
        (folder / name).write_bytes(file.read_bytes())
    truth = {}
    per_kind = len(originals) * 9 // 10 // len(KINDS)
    chosen = iter(rng.sample(names, per_kind * len(KINDS)))
    for kind, name in zip([kind for kind in KINDS for _ in range(per_kind)], chosen, strict=True):
        original = folder / name
        side = {"a": "b", "b": "a"}[name[0]] if kind == "other class" else name[0]
        suffix = original.suffix if KINDS[kind] is None else ".png" if kind in PNG else ".jpg"
        copy = f"{side}/copy_{original.stem}{suffix}"
        if KINDS[kind] is None:
            content = original.read_bytes()
        else:
            stream = io.BytesIO()
            quality = rng.randint(50, 95) if kind == "jpeg" else 85
            KINDS[kind](opened(original), rng).save(
                stream, "PNG" if suffix == ".png" else "JPEG", quality=quality
            )
            content = stream.getvalue()
        (folder / copy).write_bytes(content)
        truth[tuple(sorted((name, copy)))] = kind
    return truth


# ---------------------------------------------------------------- tools


def happysad(folder: Path, names: list[str]) -> Iterator[tuple[str, str]]:
    """Copies and pictures of one scene."""
    for i, j, *_ in duplicates.find_pairs([duplicates.signature(opened(folder / name)) for name in names]):
        yield names[i], names[j]


def dropped(folder: Path, names: list[str]) -> Iterator[tuple[str, str]]:
    """Copies only, by what prepare does: with the face that is in both."""
    signatures = []
    for name in names:
        picture = opened(folder / name)
        found = faces.find(picture)
        box = faces.square_box(picture.size, found[0], 1.1) if found else None
        signatures.append(duplicates.signature(picture, box))
    for i, j, _, copy in duplicates.find_pairs(signatures):
        if copy:
            yield names[i], names[j]


def imagehash(folder: Path, names: list[str]) -> Iterator[tuple[str, str]]:
    from imagehash import phash

    bits = np.stack([phash(Image.open(folder / name)).hash.ravel() for name in names]).astype(np.float32)
    distance = bits @ (1 - bits.T) + (1 - bits) @ bits.T
    for i, j in zip(*np.nonzero(np.triu(distance <= 4, 1)), strict=True):
        yield names[i], names[j]


def cleanvision(folder: Path, names: list[str]) -> Iterator[tuple[str, str]]:
    from cleanvision import Imagelab

    lab = Imagelab(filepaths=[str(folder / name) for name in names])
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, n_jobs=1, verbose=False)
    for kind in ("exact_duplicates", "near_duplicates"):
        for group in lab.info[kind]["sets"]:
            yield from itertools.combinations((str(Path(file).relative_to(folder)) for file in group), 2)


def imagededup(folder: Path, names: list[str]) -> Iterator[tuple[str, str]]:
    """Its perceptual hash with its own threshold; its CNN needs weights from the network."""
    from imagededup.methods import PHash

    encoder = PHash(verbose=False)
    codes = {name: encoder.encode_image(image_file=str(folder / name)) for name in names}
    for name, others in encoder.find_duplicates(encoding_map=codes).items():
        for other in others:
            yield name, other


TOOLS = {
    "happysad": happysad,
    "happysad, dropped": dropped,
    "imagehash": imagehash,
    "cleanvision": cleanvision,
    "imagededup": imagededup,
}


def measure(tool: str, folder: Path) -> tuple[Pairs | None, float]:
    """The pairs that ``tool`` finds in a process of its own, None if it is not installed; and CPU seconds."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (tool, folder))


def _measured(tool: str, folder: Path) -> tuple[Pairs | None, float]:
    names = sorted(str(file.relative_to(folder)) for file in folder.rglob("*.*"))
    try:
        list(TOOLS[tool](folder, names[:2]))  # imports
    except ImportError:
        return None, 0
    start = cpu()
    pairs = {tuple(sorted(pair)) for pair in TOOLS[tool](folder, names)}
    return pairs, cpu() - start


def cpu() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


# ---------------------------------------------------------------- growth


def growth() -> None:
    """Time of ``thumbnails.candidates`` on dead leaves (Lee, Mumford and Huang, 2001): discs with the statistics of photos."""
    print("  pictures  pairs planted  found   CPU s  ms per picture")
    for n in (1_000, 10_000, 100_000):
        pictures = np.concatenate([leaves(np.random.default_rng(k), 1000) for k in range(n // 1000)])
        pictures[: n // 20] = pictures[-n // 20 :, :, ::-1] // 2 + 40  # mirrored copies of less contrast
        start = time.process_time()
        pairs = {frozenset(pair[:2]) for pair in thumbnails.candidates(list(pictures))}
        seconds = time.process_time() - start
        print(f"{n:10,} {n // 20:14,} {len(pairs):6,} {seconds:7.2f} {seconds / n * 1000:15.3f}")


def leaves(rng: np.random.Generator, n: int, discs: int = 60) -> np.ndarray:
    """(n, 64, 64) uint8: discs of random grey over one another, ever fewer of the larger radii."""
    pictures = np.zeros((n, 64, 64), np.float32)
    y, x = np.mgrid[:64, :64].astype(np.float32)
    for _ in range(discs):
        radius = 4 / np.sqrt(rng.uniform(2 / 32, 1, (n, 1, 1)))  # density falls as radius to the power of -3
        distance = np.hypot(y - rng.uniform(0, 64, (n, 1, 1)), x - rng.uniform(0, 64, (n, 1, 1)))
        cover = np.clip(radius - distance + 0.5, 0, 1)
        pictures += cover * (rng.uniform(0, 255, (n, 1, 1)) - pictures)
    return pictures.astype(np.uint8)


if __name__ == "__main__":
    main()
