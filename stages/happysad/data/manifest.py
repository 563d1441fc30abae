"""The rows of manifest.csv: which raw files there are, and what a person has said about them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from happysad import CLASSES
from happysad.common.errors import UserError
from happysad.common.files import read_csv
from happysad.data.splits import SPLITS

FEWEST = 10  # raw files a class; with fewer, a split is likely to stay empty


@dataclass
class Picture:
    """One raw file, and what became of it. Of a file that cannot be read, all from ``id`` on is empty."""

    path: str  # relative to the source folder
    label: str
    source_split: str  # the ready-made split that it came in, or ""
    corrected: str = ""  # "" or what corrections.csv says: a label, or "reject"
    status: str = ""  # kept or rejected
    reason: str = ""
    detail: str = ""
    split: str = ""
    group: str = ""  # the lowest id among like pictures
    id: str = ""  # of the file's bytes; the prepared picture is <split>/<label>/<id>.png
    format: str = ""
    width: int | str = ""
    height: int | str = ""
    quality: dict[str, float] = field(default_factory=dict)  # a column each, see quality.py
    flags: str = ""  # the qualities that are below their threshold

    def reject(self, reason: str, detail: str) -> None:
        self.status, self.reason, self.detail = "rejected", reason, detail


def find_files(root: Path, source: str) -> list[Picture]:
    """Every file below the class folders, sorted by path. Raises UserError where the layout is another."""
    if not (root / source).is_dir():
        raise UserError(f"params.yaml: source: {source} is not a folder: name one that holds happy/ and sad/")
    ready = [split for split in SPLITS if (root / source / split).is_dir()]
    if ready and "train" not in ready:
        found = " and ".join(f"{split}/" for split in ready)
        raise UserError(f"{source} holds {found} but no train/: add it, or use happy/ and sad/ alone")
    pictures = []
    for split in ready or [""]:
        folder = Path(source, split)
        entries = os.scandir(root / folder)
        names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
        if names != sorted(CLASSES):
            found = ", ".join(names) or "none"
            raise UserError(f"{folder} must hold the folders happy and sad alone; it holds {found}")
        for label in CLASSES:
            files = list(walk(root / folder / label))
            if len(files) < FEWEST:
                raise UserError(
                    f"{folder / label} holds {len(files)} files: add pictures, {FEWEST} at the least"
                )
            pictures += [Picture(f.relative_to(root / source).as_posix(), label, split) for f in files]
    return sorted(pictures, key=lambda p: p.path)


def walk(folder: Path) -> Iterator[Path]:
    """All files below ``folder``. A link to a folder counts as a file, since following it may not end."""
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        yield from (Path(parent, name) for name in names + links)


def correct(pictures: list[Picture], root: Path, corrections: str) -> None:
    """Apply a CSV of ``path,label``, where label may be "reject". Raises UserError for a row that fits nothing."""
    if not (root / corrections).is_file():
        raise UserError(
            f"params.yaml: corrections: {corrections} is not a file; one line, path,label, will do"
        )
    by_path = {p.path: p for p in pictures}
    for line, row in enumerate(read_csv(root / corrections), start=2):
        path, label = row.get("path"), row.get("label")
        if label not in (*CLASSES, "reject"):
            raise UserError(f"{corrections}, line {line}: label must be happy, sad or reject, not {label!r}")
        if path not in by_path:
            raise UserError(f"{corrections}, line {line}: the source folder has no file {path}")
        picture = by_path[path]
        picture.corrected = label
        if label == "reject":
            picture.reject("by_correction", f"by {corrections}")
        else:
            picture.label = label
