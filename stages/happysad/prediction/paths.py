"""Which files the names on a command line stand for."""

import glob
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from happysad import CLASSES
from happysad.common.folders import walk

FOLDERS = (*CLASSES, "unsure", "no_face")  # of --copy-to


def find(names: list[str], copies: Path | None = None) -> Iterator[str]:
    """Yield files as they are, folders as the files below them, patterns as what they match, and - as the names
    on standard input, one a line or, as of find -print0, ended by null bytes.

    If ``copies``, the folder of --copy-to, lies in one of the folders, its own FOLDERS are skipped.
    """
    skip = {os.path.realpath(copies / name) for name in FOLDERS} if copies else set()
    for name in names:
        if name == "-":
            # As bytes, since a file name need not be valid text.
            names = (part for line in sys.stdin.buffer for part in line.rstrip(b"\r\n").split(b"\0"))
            yield from (os.fsdecode(name) for name in names if name)
            continue
        matches = [] if os.path.lexists(name) else sorted(glob.glob(name, recursive=True))
        for match in matches or [name]:
            if not os.path.isdir(match):
                yield match
            elif "**" not in name:  # or what is in the folder has matched as well
                yield from walk(match, skip)
