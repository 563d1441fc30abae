"""The rows of manifest.csv: which raw files there are, and what corrections.csv says about them."""

import csv
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from happysad import CLASSES
from happysad.common.errors import UserError
from happysad.common.folders import CLUTTER, is_clutter, walk
from happysad.data.faces import Face

MINIMUM = 12  # raw files of a class; with fewer, no test says anything
CLASS_OF = {name: name for name in CLASSES}
SPLIT_OF = {"train": "train", "test": "test"}
SPLIT_OF |= dict.fromkeys(("validation", "valid", "val", "dev"), "validation")


@dataclass
class Picture:
    """One raw file, and what became of it. For a file that cannot be read, all from ``id`` on is empty."""

    path: str  # relative to the source folder
    label: str
    source_split: str  # the split that the source put it in, or ""
    corrected: str = ""  # "" or what corrections.csv says: a label, or "reject"
    status: str = ""  # kept or rejected
    reason: str = ""
    detail: str = ""
    split: str = ""
    group: str = ""  # the lowest id among the pictures that share its split: a scene, copies included
    id: str = ""  # a hash of the decoded pixels
    format: str = ""
    width: int | str = ""
    height: int | str = ""
    quality: dict[str, float] = field(default_factory=dict)  # a column each, see quality.py
    flags: str = ""  # the scores that are below their threshold; no_face or several_faces
    faces: list[Face] | None = None  # the largest first; None if none were looked for
    position: float = 0.0  # in [0, 1), decides the split; no column

    def reject(self, reason: str, detail: str) -> None:
        self.status, self.reason, self.detail = "rejected", reason, detail

    @property
    def file(self) -> str:
        """Where the prepared picture lies, relative to data/prepared."""
        return f"{self.split}/{self.label}/{self.id}.png"


def find_files(root: Path, source: str) -> list[Picture]:
    """Every file below the class folders, sorted by path. Raises UserError for any other layout."""
    top = root / source
    if not top.is_dir():
        raise UserError(f"params.yaml: source: {source} is not a folder: name one that holds happy/ and sad/")
    splits = {Path(source): ""}
    if any(entry.name.lower() in SPLIT_OF for entry in os.scandir(top) if entry.is_dir()):
        splits = recognise(root, Path(source), SPLIT_OF)
        if "train" not in splits.values():
            found = " and ".join(f"{folder.name}/" for folder in splits)
            raise UserError(f"{source} holds {found} but no train/: add it, or use happy/ and sad/ alone")
    pictures = []
    for folder, split in splits.items():
        for subfolder, label in recognise(root, folder, CLASS_OF).items():
            files = (Path(file).relative_to(top).as_posix() for file in walk(root / subfolder))
            pictures += [Picture(file, label, split) for file in files]
    counts = Counter(p.label for p in pictures)
    for label in CLASSES:
        if counts[label] < MINIMUM:
            raise UserError(
                f"{source} holds {counts[label]} {label} files: add pictures, {MINIMUM} at the least"
            )
    return sorted(pictures, key=lambda p: p.path)


def recognise(root: Path, folder: Path, meanings: dict[str, str]) -> dict[Path, str]:
    """What each sub-folder of ``folder`` means. Raises UserError for one that ``meanings`` does not name."""
    names = sorted(e.name for e in os.scandir(root / folder) if not is_clutter(e.name) and e.is_dir())
    found = {folder / name: meanings.get(name.lower()) for name in names}
    if unknown := [f"{subfolder.name}/" for subfolder, meaning in found.items() if meaning is None]:
        raise UserError(
            f"{folder} holds {', '.join(unknown)}: a source has either happy/ and sad/, or train/, validation/ "
            "and test/ with those inside; rename or remove any other folder"
        )
    for subfolder in found:
        if not os.access(root / subfolder, os.R_OK | os.X_OK):
            raise UserError(f"{subfolder} cannot be read: change its permissions")
    return found


def print_unused(root: Path, source: str) -> None:
    """Tell of files that lie beside the folders of classes and splits, for a layout that ``find_files`` accepts."""
    top = Path(source)
    splits = sorted(e.name for e in os.scandir(root / top) if e.is_dir() and e.name.lower() in SPLIT_OF)
    for folder in [top, *(top / name for name in splits)]:
        files = (e.name for e in os.scandir(root / folder) if not is_clutter(e.name) and not e.is_dir())
        if loose := sorted(files):
            print(f"{folder}: {len(loose)} files outside the class folders are not used, such as {loose[0]}")
    names = {name for _, folders, files in os.walk(root / top) for name in (*folders, *files)}
    if clutter := sorted(name for name in names if name.lower() in CLUTTER):
        print(f"{top}: skipped what other programs left: {', '.join(clutter)}")


def correct(pictures: list[Picture], root: Path, corrections: str) -> None:
    """Fill in ``corrected`` from a CSV file of ``path,label``, where label may be "reject".

    Raises UserError for a row that does not fit.
    """
    if not (root / corrections).is_file():
        raise UserError(
            f"params.yaml: corrections: {corrections} is not a file: create it with the line path,label"
        )
    by_path = {p.path: p for p in pictures}
    # Written by hand, so not by pandas: every error names its line.
    with open(root / corrections, newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        reader = csv.reader(file)
        if next(reader, None) != ["path", "label"]:
            raise UserError(f"{corrections}, line 1: must be path,label")
        for row in filter(None, reader):
            where = f"{corrections}, line {reader.line_num}"
            if len(row) != 2:
                raise UserError(f'{where}: must be path,label; put a path with a comma in "quotes"')
            path, label = row
            if label not in (*CLASSES, "reject"):
                raise UserError(f"{where}: label must be happy, sad or reject, not {label!r}")
            if path not in by_path:
                raise UserError(f"{where}: the source folder has no file {path}")
            picture = by_path[path]
            if picture.corrected:
                raise UserError(f"{where}: {path} is listed twice: delete one of its lines")
            picture.corrected = label
