"""Decode the raw pictures, filter, group near-duplicates and split: data/prepared and its manifest.csv."""

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path

import pandas as pd
from PIL import Image

from happysad import CLASSES
from happysad.common import images
from happysad.common.cli import run
from happysad.common.errors import UserError
from happysad.common.files import all_or_nothing, replacing, write_json
from happysad.common.parallel import Failed, Limit, map_items
from happysad.common.params import QUALITIES, Params, Prepare, load
from happysad.common.tables import write_csv
from happysad.data import duplicates, faces, overview, quality, thumbnails
from happysad.data.duplicates import Signature
from happysad.data.manifest import Picture, correct, find_files, print_unused
from happysad.data.splits import SPLITS, position, split_scenes

# What decoding one file may take, where max_megapixels is 64 or less; in proportion, where it is more.
SECONDS, MEMORY = 5, 2**30
FAILED = "data/failed"
DIVIDED = "Test pictures show scenes that training has seen: expect less on other people."
MOVED = (
    "Pictures were moved so that each split has enough of both classes: a test of so few scenes says little."
)


def main(root: Path) -> None:
    params = load(root)
    if params.prepare.crop == "whole" and {"no_face", "several_faces"} & {*params.quality.reject}:
        raise UserError("params.yaml: quality.reject: no_face and several_faces need prepare.crop: face")
    source = root / params.source
    pictures = find_files(root, params.source)
    print_unused(root, params.source)
    before = stamps(pictures, source)
    correct(pictures, root, params.corrections)
    shutil.rmtree(root / FAILED, ignore_errors=True)
    with (
        all_or_nothing(),
        replacing(root / "metrics/plots/data") as pages,
        replacing(root / "data/prepared") as folder,
    ):
        usable, signatures = decode_all(pictures, source, folder, params)
        pairs = duplicates.find_pairs(signatures)
        copies = [[usable[i] for i in same] for same in duplicates.copies(signatures, pairs)]
        for same in copies:
            choose(same, params.corrections)
        scenes = [[usable[i] for i in scene] for scene in duplicates.scenes(len(usable), pairs)]
        ready = {p.source_split for p in pictures} - {""}
        moved, divided = split_scenes(scenes, ready, params.prepare)
        store(usable, folder)
        manifest = pd.DataFrame([row(p) for p in pictures])
        write_csv(folder / "manifest.csv", manifest)
        shown = [(usable[pair.first], usable[pair.second], pair) for pair in pairs]
        overview.write(pictures, shown, source, pages, params.prepare)
        counts = count(pictures, copies, scenes, moved, divided, params.prepare)
        write_json(root / "metrics/data.json", counts)
        if changed := set(before) ^ set(stamps(find_files(root, params.source), source)):
            raise UserError(f"{source / min(changed)[0]} changed while prepare was running: run it again")
        print_summary(counts, pictures)
        if shortage := describe_shortage(pictures, params.source):
            with all_or_nothing():  # these stay, when the error below discards the rest
                shutil.copytree(pages, root / FAILED)
                write_csv(root / FAILED / "manifest.csv", manifest)
            raise UserError(f"{shortage}. The contact sheets and the manifest of this run are in {FAILED}")
    print("for the details of each file, see data/prepared/manifest.csv")


def stamps(pictures: list[Picture], source: Path) -> list[tuple]:
    """Path, size and time of last change of each file: what tells that a source has changed."""
    found = []
    for picture in pictures:
        with suppress(OSError):  # such as a link that leads nowhere
            about = os.stat(source / picture.path)
            found.append((picture.path, about.st_size, about.st_mtime_ns))
    return found


# Decode and filter
def decode_all(
    pictures: list[Picture], source: Path, folder: Path, params: Params
) -> tuple[list[Picture], list[Signature]]:
    """Fill in ``pictures``; return the usable ones and their signatures, by preference: of copies, the first is kept."""
    work = partial(decode, source=source, folder=folder, params=params)
    scale = max(1, params.prepare.max_megapixels / 64)
    usable = []
    for i, result in enumerate(map_items(work, pictures, "prepare", Limit(SECONDS * scale, MEMORY * scale))):
        if isinstance(result, Failed):
            pictures[i].reject("unreadable", result.reason)
            continue
        pictures[i], signature = result
        if signature is not None:
            usable.append(result)
    rank = ("test", "validation", "train", "")
    usable.sort(key=lambda p: (rank.index(p[0].source_split), -p[0].width * p[0].height, p[0].path))
    return [picture for picture, _ in usable], [signature for _, signature in usable]


def decode(picture: Picture, source: Path, folder: Path, params: Params) -> tuple[Picture, Signature | None]:
    """Fill in ``picture`` and write ``folder``/<id>.png; return it with its signature, or None for a rejected file.

    The signature is of the whole picture and, with crop: face, of its largest face.
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
        box = faces.square_box(image.size, found[0], prepare.crop_margin) if found else None
        signature = duplicates.signature(image, box)
        picture.flags = " ".join(flags)
        if min(shown.size) < prepare.min_side:
            what = "the face is " if found else ""
            raise images.Unusable("too_small", f"{what}less than {prepare.min_side} pixels wide or high")
        if quality.standard_deviation(signature.thumbnail) < prepare.min_contrast:
            raise images.Unusable("blank", "one flat colour")
        for flag in flags:
            if flag in params.quality.reject:
                raise images.Unusable(flag, f"quality.reject in params.yaml names {flag}")
    except images.Unusable as error:
        picture.reject(error.reason, str(error))
        return picture, None
    # Of the pixels and not of the file, so that lossless re-encoding and new metadata change nothing.
    digest = hashlib.sha256(image.tobytes())
    digest.update(repr(image.size).encode())
    picture.id = digest.hexdigest()[:16]
    picture.position = position(thumbnails.perceptual_hash(signature.thumbnail), prepare.seed)
    pixels = Image.fromarray(images.squash(shown, prepare.image_size))
    pixels.save(folder / f"{picture.id}.png", compress_level=1)  # level 6 is 3 times slower, 10% smaller
    return picture, signature


# Choose among copies
def choose(copies: list[Picture], corrections: str) -> None:
    """Keep the first of a picture's copies; reject all if they have both labels. A correction of one is one of all."""
    said = {p.corrected: p for p in reversed(copies) if p.corrected}
    if len(said) > 1:
        (one, a), (other, b) = said.items()
        raise UserError(
            f"{corrections}: {a.path} is said to be {one} and its copy {b.path} {other}: make them agree"
        )
    for correction, corrected in said.items():
        for picture in copies:
            if correction != "reject":
                picture.label = correction
            elif picture is corrected:
                picture.reject("by_correction", f"by {corrections}")
            else:
                picture.reject("by_correction", f"copy of {corrected.path}, by {corrections}")
        if correction == "reject":
            return
    best, first = copies[0], {p.label: p.path for p in reversed(copies)}
    best.status = "kept"
    for picture in copies:
        if len(first) > 1:
            other = next(path for label, path in first.items() if label != picture.label)
            picture.reject("label_conflict", f"looks like {other}")
        elif picture is not best:
            copy = "exact_duplicate" if picture.id == best.id else "near_duplicate"
            picture.reject(copy, f"of {best.path}")


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
    copies: list[list[Picture]],
    scenes: list[list[Picture]],
    moved: int,
    divided: int,
    params: Prepare,
) -> dict:
    """The contents of metrics/data.json; ``copies`` are the pictures, each with those that are the same."""
    kept = [p for p in pictures if p.status == "kept"]
    return {
        "raw": len(pictures),
        "kept": len(kept),
        "rejected": tally(p.reason for p in pictures if p.reason),
        **{split: tally(p.label for p in kept if p.split == split) for split in SPLITS},
        "scenes": len(scenes),
        "largest_scene": max(map(len, scenes), default=0),
        "scenes_divided": divided,
        "moved_between_splits": moved,
        "notes": [*[DIVIDED] * bool(divided), *[MOVED] * bool(moved)],
        "copies_between_source_splits": copies_between_splits(copies),
        "copies_with_both_labels": sum(same[0].reason == "label_conflict" for same in copies),
        "flagged": tally(flag for p in kept for flag in p.flags.split()),
        "random_split_leak": random_split_leak([len(same) for same in copies], params),
    }


def tally(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def copies_between_splits(copies: list[list[Picture]]) -> dict[str, int]:
    """Of each ready-made validation or test split, how many pictures have a copy in the source's train split."""
    with_train = [members for members in copies if any(p.source_split == "train" for p in members)]
    leaked = Counter(p.source_split for members in with_train for p in members)
    return {split: leaked[split] for split in SPLITS[1:] if split in leaked}


def random_split_leak(sizes: list[int], params: Prepare) -> float:
    """The expected fraction of test pictures with a copy in train, had each file been assigned at random."""
    train_fraction = 1 - params.validation_fraction - params.test_fraction
    return sum(n * (1 - (1 - train_fraction) ** (n - 1)) for n in sizes) / max(1, sum(sizes))


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
    for note in counts["notes"]:
        print(note)
    print(
        f"in a random split, {counts['random_split_leak']:.0%} of the test pictures would have a copy in train"
    )


def describe_shortage(pictures: list[Picture], source: str) -> str:
    """Which split lacks which class, and why, or "" if none does."""
    kept = Counter((p.split, p.label) for p in pictures if p.status == "kept")
    for split, label in product(SPLITS, CLASSES):
        if not kept[split, label]:
            of_class = [p for p in pictures if p.label == label]
            text = f"{source}: no {label} picture is left for {split}: add {label} pictures"
            for reason, n in Counter(p.reason for p in of_class if p.reason).most_common(1):
                first = next(p for p in of_class if p.reason == reason)
                text += f". {n} of {len(of_class)} are {reason}, such as {first.path}: {first.detail}"
            return text
    return ""


if __name__ == "__main__":
    images.silence_libraries()
    run(main)
