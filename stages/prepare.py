"""Decode the raw pictures, filter, group near-duplicates and split: data/prepared and its manifest.csv."""

import hashlib
import os
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path

import pandas as pd
from PIL import Image

from happysad import CLASSES
from happysad.common import images
from happysad.common.cli import run
from happysad.common.errors import UserError
from happysad.common.files import all_or_nothing, replacing, write_json
from happysad.common.parallel import Failed, Limit, map_items
from happysad.common.params import QUALITIES, Params, load
from happysad.common.tables import write_csv
from happysad.data import duplicates, faces, overview, quality, summary, thumbnails
from happysad.data.duplicates import Signature
from happysad.data.manifest import Picture, correct, find_files, print_unused
from happysad.data.splits import SPLITS, position, split_scenes

# What decoding one file may take, where max_megapixels is 64 or less; in proportion, where it is more.
SECONDS, MEMORY = 5, 2**30
FAILED = "data/failed"


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
        counts = summary.count(pictures, copies, scenes, moved, divided, params.prepare)
        write_json(root / "metrics/data.json", counts)
        if changed := set(before) ^ set(stamps(find_files(root, params.source), source)):
            raise UserError(f"{source / min(changed)[0]} changed while prepare was running: run it again")
        summary.show(counts, pictures)
        if shortage := summary.shortage(pictures, params.source):
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


# Write
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


if __name__ == "__main__":
    images.silence_libraries()
    run(main)
