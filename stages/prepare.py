"""Decode the raw pictures, filter, group near-duplicates and split: data/prepared and its manifest.csv."""

import hashlib
import os
from collections import Counter
from functools import partial
from pathlib import Path

import pandas as pd
from PIL import Image

from happysad import CLASSES
from happysad.common import faces, images
from happysad.common.cli import run
from happysad.common.errors import UserError
from happysad.common.files import all_or_nothing, replacing, write_json
from happysad.common.parallel import GivenUp, Limit, map_items
from happysad.common.params import QUALITIES, Params, Prepare, load
from happysad.common.tables import write_csv
from happysad.data import duplicates, overview, quality, thumbnails
from happysad.data.duplicates import Signature
from happysad.data.manifest import Picture, correct, find_files, print_unused
from happysad.data.splits import SPLITS, assign, position

# What decoding one file may take, where max_megapixels is 64 or less; in proportion, where it is more.
SECONDS, MEMORY = 5, 2**30


def main(root: Path) -> None:
    params = load(root)
    if params.prepare.crop == "whole" and {"no_face", "several_faces"} & {*params.quality.reject}:
        raise UserError("params.yaml: quality.reject: no_face and several_faces need prepare.crop: face")
    source = root / params.source
    pictures = find_files(root, params.source)
    print_unused(root, params.source)
    before = stamps(pictures, source)
    correct(pictures, root, params.corrections)
    with (
        all_or_nothing(),
        replacing(root / "metrics/plots/data") as pages,
        replacing(root / "data/prepared") as folder,
    ):
        usable, signatures = decode_all(pictures, source, folder, params)
        groups, pairs = group_duplicates(usable, signatures)
        ready = {p.source_split for p in pictures}
        for members in groups:
            choose(members, ready, params.prepare)
        check_splits(usable, params.source)
        store(usable, folder)
        write_csv(folder / "manifest.csv", pd.DataFrame([row(p) for p in pictures]))
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
) -> tuple[list[Picture], list[Signature]]:
    """Fill in ``pictures``; return the usable ones and what they are compared by."""
    work = partial(decode, source=source, folder=folder, params=params)
    scale = max(1, params.prepare.max_megapixels / 64)
    limit = Limit(SECONDS * scale, MEMORY * scale)
    decoded = list(map_items(work, pictures, "prepare", params.prepare.scheduler, limit))
    for i, result in enumerate(decoded):
        if isinstance(result, GivenUp):
            pictures[i].reject("unreadable", result.reason)
            decoded[i] = pictures[i], None
    pictures[:] = [picture for picture, _ in decoded]
    usable = [(picture, signature) for picture, signature in decoded if signature is not None]
    if not usable:
        raise UserError(f"none of the {len(pictures)} files of {source} is a usable picture")
    return tuple(map(list, zip(*usable, strict=True)))


def decode(picture: Picture, source: Path, folder: Path, params: Params) -> tuple[Picture, Signature | None]:
    """Fill in ``picture`` and write ``folder``/<id>.png; return it with its signature, or None for a rejected file.

    The signature is of the whole picture and, with crop: face, of what the model is shown.
    """
    prepare = params.prepare
    try:
        image, picture.format = images.read(source / picture.path, prepare.max_megapixels)
        picture.width, picture.height = image.size
        shown, found = faces.view(image, prepare.crop, prepare.crop_margin)
        picture.quality = quality.scores(shown, prepare.image_size)
        flags = quality.flags(picture.quality, params.quality)
        if prepare.crop == "face":
            picture.faces = found
            if len(found) != 1:
                flags.append("several_faces" if found else "no_face")
        signature = duplicates.signature(image, *([shown] if prepare.crop == "face" else []))
        picture.flags = " ".join(flags)
        if min(shown.size) < prepare.min_side:
            what = "the face is " if found else ""
            raise images.Unusable("too_small", f"{what}less than {prepare.min_side} pixels wide or high")
        if quality.standard_deviation(signature.thumbnails[0]) < prepare.min_contrast:
            raise images.Unusable("blank", "one flat colour")
        for flag in flags:
            if flag in params.quality.reject:
                raise images.Unusable(flag, f"quality.reject in params.yaml names {flag}")
    except images.Unusable as error:
        picture.reject(error.reason, str(error))
    if picture.status == "rejected":  # just now, or by a correction
        return picture, None
    # Of the pixels and not of the file, so that lossless re-encoding and new metadata change nothing.
    digest = hashlib.sha256(image.tobytes())
    digest.update(repr(image.size).encode())
    picture.id = digest.hexdigest()[:16]
    picture.position = position(thumbnails.perceptual_hash(signature.thumbnails[0]), prepare.seed)
    pixels = Image.fromarray(images.squash(shown, prepare.image_size))
    pixels.save(folder / f"{picture.id}.png", compress_level=1)  # level 6 is 3 times slower, 10% smaller
    return picture, signature


# Group, choose, split
def group_duplicates(
    pictures: list[Picture], signatures: list[Signature]
) -> tuple[list[list[Picture]], list[tuple[Picture, Picture, float]]]:
    """The groups of near-duplicates in the order of ``pictures``, and the pairs with their similarity."""
    pairs = duplicates.find(signatures)
    groups = {}
    for picture, number in zip(pictures, duplicates.group(pairs, signatures), strict=True):
        groups.setdefault(number, []).append(picture)
    for members in groups.values():
        lowest = min(p.id for p in members)
        for picture in members:
            picture.group = lowest
    return list(groups.values()), [(pictures[i], pictures[j], similarity) for i, j, similarity, _ in pairs]


def choose(members: list[Picture], ready: set[str], params: Prepare) -> None:
    """Keep one picture of a group and assign its split; reject the whole group if it has both labels."""
    first = {p.label: p.path for p in reversed(members)}
    if len(first) > 1:
        for picture in members:
            other = next(path for label, path in first.items() if label != picture.label)
            picture.reject("label_conflict", f"looks like {other}")
        return
    split = assign({p.position for p in members}, {p.source_split for p in members}, ready, params)
    # Of those that the source put in this split, if any: the largest, and of equals the first by name.
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
                    f"or change the fractions or the seed under prepare: in params.yaml"
                )


# Results
def row(picture: Picture) -> dict:
    """The picture's row in the manifest: its largest face and its scores as columns, empty if it has none."""
    largest = picture.faces[0] if picture.faces else [""] * len(faces.COLUMNS)
    columns = {name: value for name, value in vars(picture).items() if name not in ("quality", "position")}
    columns["faces"] = "" if picture.faces is None else len(picture.faces)
    columns |= dict(zip(faces.COLUMNS, largest, strict=True))
    return columns | {name: picture.quality.get(name, "") for name in QUALITIES}


def store(pictures: list[Picture], folder: Path) -> None:
    """Move the PNGs of the kept pictures to <split>/<label>/ and remove the others."""
    for split in SPLITS:
        for label in CLASSES:
            (folder / split / label).mkdir(parents=True)
    for picture in pictures:
        if picture.status == "kept":
            (folder / f"{picture.id}.png").rename(folder / picture.file)
    for rejected in folder.glob("*.png"):
        rejected.unlink()


def count(
    pictures: list[Picture],
    groups: list[list[Picture]],
    pairs: list[tuple[Picture, Picture, float]],
    params: Prepare,
) -> dict:
    """The contents of metrics/data.json."""
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
        "scenes_divided": False,
        "largest_group": max(len(members) for members in groups),
        "pairs_cut": sum(a.group != b.group for a, b, _ in pairs),  # see duplicates.group
        "copies_between_source_splits": copies_between_splits(groups),
        "groups_with_both_labels": sum(len({p.label for p in members}) > 1 for members in groups),
        "flagged": dict(sorted(Counter(flag for p in kept for flag in p.flags.split()).items())),
        "random_split_leak": random_split_leak([len(members) for members in groups], params),
    }


def copies_between_splits(groups: list[list[Picture]]) -> dict[str, int]:
    """Of each ready-made validation or test split, how many pictures have a copy in the source's train split."""
    with_train = [members for members in groups if any(p.source_split == "train" for p in members)]
    leaked = Counter(p.source_split for members in with_train for p in members)
    return {split: leaked[split] for split in SPLITS[1:] if split in leaked}


def random_split_leak(sizes: list[int], params: Prepare) -> float:
    """The expected fraction of test pictures with a copy in train, had each file been assigned at random."""
    train_fraction = 1 - params.validation_fraction - params.test_fraction
    return sum(n * (1 - (1 - train_fraction) ** (n - 1)) for n in sizes) / sum(sizes)


def print_summary(counts: dict, pictures: list[Picture]) -> None:
    splits = ", ".join(f"{sum(counts[split].values())} {split}" for split in SPLITS)
    print(f"{counts['raw']} files: {counts['kept']} kept ({splits})")
    for reason, number in counts["rejected"].items():
        first = next(p for p in pictures if p.reason == reason)
        print(f"{number:6} {reason}, such as {first.path}: {first.detail}")
    flagged = ", ".join(f"{number} {flag}" for flag, number in counts["flagged"].items())
    print(f"kept but flagged: {flagged or 'none'}")
    for split, number in counts["copies_between_source_splits"].items():
        total = sum(p.source_split == split for p in pictures)
        print(
            f"{number} of the source's {total} {split} pictures have a copy in its train split; "
            "none of the copies is kept in train"
        )
    if counts["pairs_cut"]:
        print(
            f"{counts['pairs_cut']} pairs of copies lie in two groups, such as a collage and one of its parts"
        )
    print(
        f"in a random split, {counts['random_split_leak']:.0%} of the test pictures would have a copy in train"
    )
    print("for the details of each file, see data/prepared/manifest.csv")


if __name__ == "__main__":
    images.silence_libraries()
    run(main)
