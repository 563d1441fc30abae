"""How stages write: whole or not at all, and the same bytes for the same content."""

import csv
import filecmp
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield a new empty folder that takes the place of ``folder`` only if the block ends without an error."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
    partial.mkdir(parents=True)
    try:
        yield partial
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which takes the place of ``path`` only if the block ends without an error."""
    partial = path.with_name(f".{path.name}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def copy_into(folder: Path, path: Path) -> None:
    """Copy a file into ``folder``, as name-2, name-3, ... where another file has its name; once, however often called."""
    for number in itertools.count(1):
        target = folder / (path.name if number == 1 else f"{path.stem}-{number}{path.suffix}")
        if not os.path.lexists(target):
            break
        if target.is_file() and filecmp.cmp(path, target, shallow=False):
            return
    with replacing_file(target) as partial:
        shutil.copy2(path, partial)
        target.touch(exist_ok=False)  # fails where somebody else has made it meanwhile; replacing would not


def write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def write_csv(path: Path, rows: list[dict]) -> None:
    """Rows that share their keys, one column each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file name may hold bytes that are no text; written back as they came, they still find their file.
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: Path) -> list[dict]:
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))
