"""Which files the names on a command line stand for."""

import glob
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from happysad import CLASSES
from happysad.common.folders import walk

COPIES = (*CLASSES, "unsure", "no_face")  # the folders that --copy-to makes


def expand(names: list[str], copy_to: Path | None = None) -> Iterator[str]:
    """Yield files as they are, folders as the files below them, patterns as what they match, and - as the names
    on standard input, one a line or, as of find -print0, ended by null bytes.

    If ``copy_to`` lies in one of the folders, the copies in it are skipped.
    """
    skip = {os.path.realpath(copy_to / name) for name in COPIES} if copy_to else set()
    for name in names:
        if name == "-":
            for line in sys.stdin.buffer:  # bytes, since a file name need not be valid text
                yield from map(os.fsdecode, filter(None, line.rstrip(b"\r\n").split(b"\0")))
            continue
        matches = [] if os.path.lexists(name) else sorted(glob.glob(name, recursive=True))
        for match in matches or [name]:
            if not os.path.isdir(match):
                yield match
            elif "**" not in name:  # or what is in the folder has matched as well
                yield from walk(match, skip)
