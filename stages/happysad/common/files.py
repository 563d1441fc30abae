"""How stages write: whole or not at all, and the same bytes for the same content."""

import filecmp
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_postponed: list | None = None  # replacements that wait for the end of ``all_or_nothing``


@contextmanager
def all_or_nothing() -> Iterator[None]:
    """What the functions below write in the block takes its place when the block ends, or not at all at an error.

    A block within a block is on its own.
    """
    global _postponed
    outer, _postponed = _postponed, []
    try:
        yield
        for partial, path in _postponed:
            _replace(partial, path)
    finally:
        for partial, _ in _postponed:
            _remove(partial)
        _postponed = outer


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield a new empty folder that takes the place of ``folder`` only if the block ends without an error."""
    partial = folder.with_name(folder.name + ".partial")
    with _taking_the_place_of(folder, partial):
        _remove(partial)  # of a run that was killed
        partial.mkdir(parents=True)
        yield partial


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which takes the place of ``path`` only if the block ends without an error."""
    partial = path.with_name(f".{path.name}.partial")
    with _taking_the_place_of(path, partial):
        partial.parent.mkdir(parents=True, exist_ok=True)
        yield partial


@contextmanager
def _taking_the_place_of(path: Path, partial: Path) -> Iterator[None]:
    try:
        with name_file_in_errors(path):
            yield
        if _postponed is None:
            _replace(partial, path)
        else:
            _postponed.append((partial, path))
    except BaseException:
        _remove(partial)
        raise


@contextmanager
def name_file_in_errors(path: Path) -> Iterator[None]:
    """Add ``path`` to an OSError that names no file, as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _replace(partial: Path, path: Path) -> None:
    if partial.is_dir() and path.is_dir():
        shutil.rmtree(path)  # rename() replaces files and empty folders only
    partial.replace(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def copy_into(folder: Path, path: Path) -> None:
    """Copy a file into ``folder``, as name-2, name-3, ... where another file has its name; a copy of it is there once."""
    for number in itertools.count(1):
        target = folder / (path.name if number == 1 else f"{path.stem}-{number}{path.suffix}")
        if not os.path.lexists(target):
            break
        if target.is_file() and filecmp.cmp(path, target, shallow=False):
            return
    with replacing_file(target) as partial:
        shutil.copy2(path, partial)
        target.touch(exist_ok=False)  # fails where somebody else has made it meanwhile; replacing would not


def write_text(path: Path, text: str) -> None:
    with replacing_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, content: dict) -> None:
    """Floats keep six significant digits: the last ones of 17 differ between types of processor."""
    exact = json.dumps(content, allow_nan=False)
    rounded = json.loads(exact, parse_float=lambda digits: float(f"{float(digits):.6g}"))
    write_text(path, json.dumps(rounded, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
