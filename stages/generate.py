"""Draw the built-in data set: faces, plus the faults found in folders of pictures from the web."""

import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance, ImageOps

from happysad import CLASSES
from happysad.common.cli import run
from happysad.common.files import all_or_nothing, replacing
from happysad.common.parallel import map_items
from happysad.common.params import Generate, load
from happysad.common.tables import write_csv
from happysad.drawing.render import render
from happysad.drawing.sampling import sample_face

FORMATS = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
SHARES = (0.8, 0.12, 0.08)  # how often each format occurs

# How a near-duplicate is made from its original, before it is saved at a lower quality.
CHANGES = {
    "near_duplicate_recompressed": lambda image: image,
    "near_duplicate_half_size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "near_duplicate_brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "near_duplicate_mirrored": ImageOps.mirror,
}
NO_PICTURE = {
    "text": "Picture {} is no longer available.\n",
    "html": "<!doctype html><title>404 Not Found</title><p>There is no picture {}.\n",
    "empty": "",
}
ALWAYS_JPG = {"near_duplicate_recompressed", "truncated", "wrong_extension", *NO_PICTURE}


@dataclass
class File:
    """One file of the data set: a row of generated_truth.csv."""

    folder: str  # the class it is filed under
    label: str  # the class it shows; "" if it shows no face
    fault: str = "none"
    original: "File | None" = None  # what a copy or near-duplicate was made from
    path: str = ""  # relative to data/generated


def main(root: Path) -> None:
    settings = load(root).generate
    files = plan(settings)
    faces = [file for file in files if file.label and not file.original]
    others = [file for file in files if not file.label]
    copies = [file for file in files if file.original]
    with all_or_nothing(), replacing(root / "data/generated") as folder:
        for label in CLASSES:
            (folder / label).mkdir()
        for file, content in zip(faces, map_items(partial(draw, settings), faces, "draw"), strict=True):
            (folder / file.path).write_bytes(content)
        for file in others:
            (folder / file.path).write_bytes(no_face(settings, file))
        for file in copies:
            (folder / file.path).write_bytes(copy((folder / file.original.path).read_bytes(), file))
        write_csv(root / "data/generated_truth.csv", truth(files))
    print(f"{len(files)} files, {sum(file.fault == 'none' for file in files)} of them without a fault")


def plan(settings: Generate) -> list[File]:
    """All files of the data set. Every fault is equally common in both classes."""
    n = settings.pictures_per_class
    wrong = round(n * settings.wrong_labels)
    files = []
    for label, other in (CLASSES, CLASSES[::-1]):
        clean = [File(label, label) for _ in range(n - wrong)]
        files += clean
        files += [File(other, label, "wrong_label") for _ in range(wrong)]

        originals = iter(clean)  # each is copied at most once, so that faults do not combine
        for i in range(max(1, round(n / 100))):
            files.append(File(label, label, "exact_copy", next(originals)))
            files.append(File(other, label, "exact_copy_other_class", next(originals)))
            for j, change in enumerate(CHANGES):
                folder = other if (i + j) % 4 == 0 else label  # as in real folders, some are misfiled
                files.append(File(folder, label, change, next(originals)))
            files += [File(label, label, fault) for fault in ("truncated", "wrong_extension", "tiny")]
            files += [File(label, "", fault) for fault in (*NO_PICTURE, "blank")]

    # File names give nothing away: numbers in random order, random formats.
    rng = np.random.default_rng(settings.seed)
    for file, number in zip(files, rng.permutation(len(files)) + 1, strict=True):
        suffix = str(rng.choice(list(FORMATS), p=SHARES))
        if file.fault in ALWAYS_JPG:
            suffix = ".jpg"
        elif file.fault.startswith("exact_copy"):
            suffix = Path(file.original.path).suffix
        file.path = f"{file.folder}/IMG_{number:04d}{suffix}"
    return files


def draw(settings: Generate, file: File) -> bytes:
    """The content of ``file``, the same whoever draws it and whatever else is drawn."""
    rng = generator(settings, file)
    image = render(sample_face(file.label, rng, settings.pose), settings.size)
    if file.fault == "tiny":
        image = image.resize((8, 8))
    suffix = rng.choice([".png", ".webp"]) if file.fault == "wrong_extension" else Path(file.path).suffix
    content = encoded(image, suffix, quality=int(rng.integers(60, 96)))
    if file.fault == "truncated":
        content = content[: int(len(content) * rng.uniform(0.5, 0.8))]
    return content


def copy(original: bytes, file: File) -> bytes:
    if file.fault.startswith("exact_copy"):
        return original
    image = Image.open(io.BytesIO(original)).convert("RGB")
    return encoded(CHANGES[file.fault](image), Path(file.path).suffix, quality=50)


def no_face(settings: Generate, file: File) -> bytes:
    if file.fault in NO_PICTURE:
        return NO_PICTURE[file.fault].format(Path(file.path).stem).encode()
    colour = tuple(generator(settings, file).integers(0, 256, 3).tolist())
    return encoded(
        Image.new("RGB", (settings.size, settings.size), colour), Path(file.path).suffix, quality=90
    )


def generator(settings: Generate, file: File) -> np.random.Generator:
    number = int(Path(file.path).stem.removeprefix("IMG_"))
    return np.random.default_rng([settings.seed, number])


def encoded(image: Image.Image, suffix: str, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, FORMATS[suffix], quality=quality)  # ignored by PNG
    return file.getvalue()


def truth(files: list[File]) -> pd.DataFrame:
    """Rows of generated_truth.csv: what every file really is. For tests and benchmarks; no stage reads it."""
    rows = [vars(file) | {"of": file.original.path if file.original else ""} for file in files]
    return pd.DataFrame(rows).sort_values("path")[["path", "folder", "label", "fault", "of"]]


if __name__ == "__main__":
    run(main)
