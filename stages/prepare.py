"""Raw folders -> decode, filter, group, split -> data/prepared, with a manifest of every raw file."""

import hashlib
import os
from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from happysad import CLASSES
from happysad.common import images
from happysad.common.cli import run
from happysad.common.errors import UserError
from happysad.common.files import all_or_nothing, replacing, write_csv, write_json
from happysad.common.parallel import GivenUp, Limit, map_items
from happysad.common.params import QUALITIES, Params, Prepare, load
from happysad.data import duplicates, overview, quality
from happysad.data.manifest import Picture, correct, find_files
from happysad.data.splits import SPLITS, assign

# What decoding one file may take, where max_megapixels is 64 or less; in proportion, where it is more.
SECONDS, MEMORY = 5, 2**30


def main(root: Path) -> None:
    params = load(root)
    source = root / params.source
    pictures = find_files(root, params.source)
    before = stamps(pictures, source)
    correct(pictures, root, params.corrections)
    with (
        all_or_nothing(),
        replacing(root / "metrics/plots/data") as pages,
        replacing(root / "data/prepared") as folder,
    ):
        usable, thumbnails = decode_all(pictures, source, folder, params)
        groups, pairs = group_duplicates(usable, thumbnails)
        for members in groups:
            choose(members, {p.source_split for p in pictures}, params.prepare)
        check_splits(usable, params.source)
        store(usable, folder)
        write_csv(folder / "manifest.csv", [row(p) for p in pictures])
        overview.write(pictures, pairs, source, folder, pages, params.prepare)
        counts = count(pictures, groups, pairs, params.prepare)
        write_json(root / "metrics/data.json", counts)
        if changed := set(before) ^ set(stamps(find_files(root, params.source), source)):
            raise UserError(f"{source / min(changed)[0]} changed while prepare was running: run it again")
    print_summary(counts, pictures)


def stamps(pictures: list[Picture], source: Path) -> list[tuple]:
    """Path, size and time of last change of each file: what tells that a source has changed."""
    found = []
    for picture in pictures:
        try:
            about = os.stat(source / picture.path)
            found.append((picture.path, about.st_size, about.st_mtime_ns))
        except OSError:  # such as a link that leads nowhere
            found.append((picture.path, -1, -1))
    return found


# Decode and filter
def decode_all(
    pictures: list[Picture], source: Path, folder: Path, params: Params
) -> tuple[list[Picture], np.ndarray]:
    """Fill in each row; return those of the usable pictures and their thumbnails, (n, height, width) uint8."""
    work = partial(decode, source=source, folder=folder, params=params)
    scale = max(1, params.prepare.max_megapixels / 64)
    limit = Limit(SECONDS * scale, MEMORY * scale)
    decoded = list(map_items(work, pictures, "prepare", params.prepare.scheduler, limit))
    for i, result in enumerate(decoded):
        if isinstance(result, GivenUp):
            pictures[i].reject("unreadable", result.reason)
            decoded[i] = pictures[i], None
    pictures[:] = [picture for picture, _ in decoded]
    usable = [(picture, thumbnail) for picture, thumbnail in decoded if thumbnail is not None]
    if not usable:
        raise UserError(f"none of the {len(pictures)} files of {source} is a usable picture")
    return [picture for picture, _ in usable], np.stack([thumbnail for _, thumbnail in usable])


def decode(picture: Picture, source: Path, folder: Path, params: Params) -> tuple[Picture, np.ndarray | None]:
    """The row filled in, and the thumbnail, or None for a rejected file. Writes ``folder``/<id>.png."""
    prepare = params.prepare
    try:
        content = images.load(source / picture.path, prepare.max_megapixels)
        image, picture.format = images.from_bytes(content, prepare.max_megapixels)
        picture.width, picture.height = image.size
        thumbnail = duplicates.thumbnail(image)
        picture.quality = quality.scores(image, prepare.image_size)
        flags = quality.flags(picture.quality, params.quality)
        picture.flags = " ".join(flags)
        if min(image.size) < prepare.min_side:
            raise images.Unusable("too_small", f"less than {prepare.min_side} pixels wide or high")
        if thumbnail.std() < prepare.min_contrast:
            raise images.Unusable("blank", "one flat colour")
        for flag in flags:
            if flag in params.quality.reject:
                raise images.Unusable(flag, f"quality.reject in params.yaml names {flag}")
    except images.Unusable as error:
        picture.reject(error.reason, str(error))
    if picture.status == "rejected":  # just now, or by a correction
        return picture, None
    picture.id = hashlib.sha256(content).hexdigest()[:16]
    pixels = Image.fromarray(images.squash(image, prepare.image_size))
    pixels.save(folder / f"{picture.id}.png", compress_level=1)  # level 6 is 3 times slower, 10% smaller
    return picture, thumbnail


# Group, choose, split
def group_duplicates(
    pictures: list[Picture], thumbnails: np.ndarray
) -> tuple[list[list[Picture]], list[tuple[Picture, Picture, float]]]:
    """The groups of like pictures in the order of ``pictures``, and the pairs with their similarity."""
    pairs = duplicates.find(thumbnails)
    groups = {}
    for picture, number in zip(pictures, duplicates.group(thumbnails, pairs), strict=True):
        groups.setdefault(number, []).append(picture)
    for members in groups.values():
        for picture in members:
            picture.group = min(p.id for p in members)
    return list(groups.values()), [(pictures[i], pictures[j], similarity) for i, j, similarity in pairs]


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
                raise UserError(
                    f"{source}: no {label} picture is left for {split}: add pictures, "
                    f"or change the shares or the seed under prepare: in params.yaml"
                )


# Results
def row(picture: Picture) -> dict:
    """The picture as a line of the manifest: its scores as columns, empty where it could not be read."""
    columns = asdict(picture)
    scores = columns.pop("quality")
    return columns | {name: scores.get(name, "") for name in QUALITIES}


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


def count(
    pictures: list[Picture],
    groups: list[list[Picture]],
    pairs: list[tuple[Picture, Picture, float]],
    params: Prepare,
) -> dict:
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
        "pairs_cut": sum(a.group != b.group for a, b, _ in pairs),  # by the bound on groups
        "groups_with_both_labels": sum(len({p.label for p in members}) > 1 for members in groups),
        "flagged": dict(sorted(Counter(flag for p in kept for flag in p.flags.split()).items())),
        "random_split_leak": random_split_leak([len(members) for members in groups], params),
    }


def random_split_leak(sizes: list[int], params: Prepare) -> float:
    """The share of test pictures that a split by file would have had a copy of in train, on average."""
    train_share = 1 - params.validation_fraction - params.test_fraction
    return sum(n * (1 - (1 - train_share) ** (n - 1)) for n in sizes) / sum(sizes)


def print_summary(counts: dict, pictures: list[Picture]) -> None:
    splits = ", ".join(f"{sum(counts[split].values())} {split}" for split in SPLITS)
    print(f"{counts['raw']} files: {counts['kept']} kept ({splits})")
    for reason, number in counts["rejected"].items():
        first = next(p for p in pictures if p.reason == reason)
        print(f"{number:6} {reason}, such as {first.path}: {first.detail}")
    flagged = ", ".join(f"{number} {flag}" for flag, number in counts["flagged"].items())
    print(f"flagged but kept: {flagged or 'none'}; all is told in data/prepared/manifest.csv")
    print(
        f"a split by file would have leaked {counts['random_split_leak']:.0%} of its test pictures into train"
    )


if __name__ == "__main__":
    images.silence_libraries()
    run(main)
