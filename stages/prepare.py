"""Raw folders -> decode, filter, group, split -> data/prepared, with a manifest of every raw file."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from happysad import CLASSES, duplicates, images
from happysad.files import replacing, write_csv, write_json
from happysad.params import Prepare, load
from happysad.splits import SPLITS, assign
from happysad.stage import run
from happysad.workers import map_batches

FEWEST = 10  # raw files a class; with fewer, a split is likely to stay empty


@dataclass
class Picture:
    """A row of the manifest: one raw file, and what became of it."""

    path: str  # relative to the source folder
    label: str
    source_split: str  # the ready-made split that it came in, or ""
    status: str = ""
    reason: str = ""
    detail: str = ""
    split: str = ""
    group: str = ""  # the lowest id among like pictures
    id: str = ""  # of the file's bytes; the prepared picture is <split>/<label>/<id>.png
    format: str = ""
    width: int | str = ""
    height: int | str = ""

    def reject(self, reason: str, detail: str) -> None:
        self.status, self.reason, self.detail = "rejected", reason, detail


def main(root: Path) -> None:
    params = load(root)
    pictures = find_files(root, params.source)
    with replacing(root / "data/prepared") as folder:
        usable, thumbnails = decode_all(pictures, root / params.source, folder, params.prepare)
        groups = group_duplicates(usable, thumbnails)
        ready = {p.source_split for p in pictures}
        for members in groups:
            choose(members, ready, params.prepare)
        check_splits(usable, params.source)
        store(usable, folder)
        write_csv(folder / "manifest.csv", [asdict(p) for p in pictures])
    counts = count(pictures, groups, params.prepare)
    write_json(root / "metrics/data.json", counts)
    print_summary(counts)


# Raw files
def find_files(root: Path, source: str) -> list[Picture]:
    """Every file below the class folders, sorted by path. Raises ValueError where the layout is another."""
    if not (root / source).is_dir():
        raise ValueError(
            f"params.yaml: source: {source} is not a folder: name one that holds happy/ and sad/"
        )
    ready = [split for split in SPLITS if (root / source / split).is_dir()]
    if ready and "train" not in ready:
        raise ValueError(
            f"{source} holds {' and '.join(ready)}/ but no train/: add it, or use happy/ and sad/ alone"
        )
    pictures = []
    for split in ready or [""]:
        folder = Path(source, split)
        entries = os.scandir(root / folder)
        names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
        if names != sorted(CLASSES):
            raise ValueError(
                f"{folder} must hold the folders happy and sad alone; it holds {', '.join(names) or 'none'}"
            )
        for label in CLASSES:
            files = list(walk(root / folder / label))
            if len(files) < FEWEST:
                raise ValueError(
                    f"{folder / label} holds {len(files)} files: add pictures, {FEWEST} at the least"
                )
            pictures += [Picture(f.relative_to(root / source).as_posix(), label, split) for f in files]
    return sorted(pictures, key=lambda p: p.path)


def walk(folder: Path) -> Iterator[Path]:
    """All files below ``folder``. A link to a folder counts as a file, since following it may not end."""
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        yield from (Path(parent, name) for name in names + links)


# Decode and filter
def decode_all(
    pictures: list[Picture], source: Path, folder: Path, params: Prepare
) -> tuple[list[Picture], np.ndarray]:
    """Fill in each row; return those of the usable pictures and their thumbnails, (n, height, width) uint8."""
    work = partial(decode_batch, source=source, folder=folder, params=params)
    decoded = list(map_batches(work, pictures, "prepare"))
    pictures[:] = [picture for picture, _ in decoded]
    usable = [(picture, thumbnail) for picture, thumbnail in decoded if thumbnail is not None]
    if not usable:
        raise ValueError(f"none of the {len(pictures)} files of {source} is a usable picture")
    return [picture for picture, _ in usable], np.stack([thumbnail for _, thumbnail in usable])


def decode_batch(pictures: list[Picture], source: Path, folder: Path, params: Prepare) -> list:
    return [(picture, decode(picture, source, folder, params)) for picture in pictures]


def decode(picture: Picture, source: Path, folder: Path, params: Prepare) -> np.ndarray | None:
    """Fill in the row and write ``folder``/<id>.png; return the thumbnail, or None for an unusable file."""
    try:
        image, picture.format = images.read(source / picture.path, params.max_megapixels)
        picture.width, picture.height = image.size
        thumbnail = duplicates.thumbnail(image)
        if min(image.size) < params.min_side:
            raise images.Unusable("too_small", f"less than {params.min_side} pixels wide or high")
        if thumbnail.std() < params.min_contrast:
            raise images.Unusable("blank", "one flat colour")
    except images.Unusable as error:
        picture.reject(error.reason, str(error))
        return None
    with open(source / picture.path, "rb") as file:
        picture.id = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    pixels = Image.fromarray(images.squash(image, params.image_size))
    pixels.save(folder / f"{picture.id}.png", compress_level=1)  # level 6 is 3 times slower, 10% smaller
    return thumbnail


# Group, choose, split
def group_duplicates(pictures: list[Picture], thumbnails: np.ndarray) -> list[list[Picture]]:
    """The groups of like pictures, the groups and their members in the order of ``pictures``."""
    pairs = duplicates.find(thumbnails)
    groups = {}
    for picture, number in zip(pictures, duplicates.group(thumbnails, pairs), strict=True):
        groups.setdefault(number, []).append(picture)
    for members in groups.values():
        for picture in members:
            picture.group = min(p.id for p in members)
    return list(groups.values())


def choose(members: list[Picture], ready: set[str], params: Prepare) -> None:
    """Keep the best picture of a group and place it in a split; none of a group that carries both labels."""
    if len({p.label for p in members}) > 1:
        for picture in members:
            others = [p.path for p in members if p.label != picture.label]
            picture.reject("label_conflict", f"looks like {others[0]}")
        return
    split = assign({p.id for p in members}, {p.source_split for p in members}, ready, params)
    # In the split where the group belongs, the one with most pixels, and of these the first by name.
    candidates = [p for p in members if p.source_split == split] or members
    best = min(candidates, key=lambda p: (-p.width * p.height, p.path))
    for picture in members:
        copy = "exact_duplicate" if picture.id == best.id else "near_duplicate"
        picture.reject(copy, f"of {best.path}")
    best.status, best.reason, best.detail, best.split = "kept", "", "", split


def check_splits(pictures: list[Picture], source: str) -> None:
    kept = Counter((p.split, p.label) for p in pictures if p.status == "kept")
    for split in SPLITS:
        for label in CLASSES:
            if not kept[split, label]:
                raise ValueError(
                    f"{source}: no {label} picture is left for {split}: add pictures, "
                    f"or change the shares or the seed under prepare: in params.yaml"
                )


# Results
def store(pictures: list[Picture], folder: Path) -> None:
    """Move the PNGs of the kept to <split>/<label>/, and remove the others."""
    for split in SPLITS:
        for label in CLASSES:
            (folder / split / label).mkdir(parents=True)
    for picture in pictures:
        if picture.status == "kept":
            name = f"{picture.id}.png"
            (folder / name).rename(folder / picture.split / picture.label / name)
    for left in folder.glob("*.png"):
        left.unlink()


def count(pictures: list[Picture], groups: list[list[Picture]], params: Prepare) -> dict:
    """What metrics/data.json holds."""
    kept = [p for p in pictures if p.status == "kept"]
    return {
        "raw": len(pictures),
        "kept": len(kept),
        "rejected": dict(sorted(Counter(p.reason for p in pictures if p.reason).items())),
        **{
            split: dict(sorted(Counter(p.label for p in kept if p.split == split).items()))
            for split in SPLITS
        },
        "groups": len(groups),
        "largest_group": max(len(members) for members in groups),
        "random_split_leak": random_split_leak([len(members) for members in groups], params),
    }


def random_split_leak(sizes: list[int], params: Prepare) -> float:
    """The share of test pictures that a split by file would have had a copy of in train, on average."""
    train_share = 1 - params.validation_share - params.test_share
    return sum(n * (1 - (1 - train_share) ** (n - 1)) for n in sizes) / sum(sizes)


def print_summary(counts: dict) -> None:
    rejected = ", ".join(f"{n} {reason}" for reason, n in counts["rejected"].items())
    splits = ", ".join(f"{sum(counts[split].values())} {split}" for split in SPLITS)
    print(f"{counts['raw']} files: {counts['kept']} kept ({splits})")
    print(f"rejected: {rejected or 'none'}; why is in data/prepared/manifest.csv")
    print(
        f"a split by file would have leaked {counts['random_split_leak']:.0%} of its test pictures into train"
    )


if __name__ == "__main__":
    run(main)
