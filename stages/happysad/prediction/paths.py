"""Which files the names on a command line mean."""

import glob
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from happysad import CLASSES


def find(names: list[str], copies: Path | None = None) -> Iterator[str]:
    """Files as they are, folders as the files below them, patterns as what they match, - as names on standard input.

    Where ``copies`` lies in one of the folders, what is below its happy/ and sad/ is passed over.
    """
    skip = {os.path.realpath(copies / name) for name in CLASSES} if copies else set()
    for name in names:
        if name == "-":
            # As bytes, since a file name may be no text.
            lines = (line.rstrip(b"\r\n") for line in sys.stdin.buffer)
            yield from (os.fsdecode(line) for line in lines if line)
            continue
        matches = [] if os.path.lexists(name) else sorted(glob.glob(name, recursive=True))
        for match in matches or [name]:
            if not os.path.isdir(match):
                yield match
            elif "**" not in name:  # or what is in the folder has matched as well
                yield from below(match, skip)


def below(folder: str, skip: set[str]) -> Iterator[str]:
    """The files below ``folder`` in order of name, without the hidden ones and without what links lead to.

    A folder without permission comes as itself: a file that cannot be read.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield folder
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if os.path.realpath(entry.path) not in skip:
                yield from below(entry.path, skip)
        elif not os.path.isdir(entry.path):
            yield entry.path
