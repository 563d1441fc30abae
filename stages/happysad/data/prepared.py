"""The prepared pictures of one split, as arrays."""

import math
import mmap
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from happysad import CLASSES
from happysad.common.files import name_file_in_errors


class Split(NamedTuple):
    pictures: np.ndarray  # uint8 (n, image_size, image_size, 3) RGB
    labels: np.ndarray  # int (n,), 1 for happy
    files: list[str]  # in sorted order within a class, sad first


def read_split(folder: Path) -> Split:
    """All pictures below ``folder``/sad and ``folder``/happy, decoded once.

    They are stored in an unnamed temporary file that is mapped into memory: the system keeps in RAM what fits, and a
    data set larger than RAM is read from disk as needed. The file disappears when the process ends. Raises
    OSError if the disk has no room for it.
    """
    files = [file for label in CLASSES for file in sorted((folder / label).glob("*.png"))]
    labels = np.array([CLASSES.index(file.parent.name) for file in files])
    shape = (len(files), *np.asarray(Image.open(files[0])).shape)
    with tempfile.TemporaryFile(dir=folder.parent) as file, name_file_in_errors(folder.parent):
        if hasattr(os, "posix_fallocate"):  # not on macOS and Windows
            # To run out of space later, in mapped memory, would kill the process (SIGBUS).
            os.posix_fallocate(file.fileno(), 0, math.prod(shape))
        pictures = np.memmap(file, np.uint8, "w+", shape=shape)
    for i, path in enumerate(files):
        with Image.open(path) as picture:
            pictures[i] = picture
    if hasattr(mmap, "MADV_RANDOM"):  # not on Windows
        pictures.base.madvise(mmap.MADV_RANDOM)  # batches are shuffled: reading ahead would fetch in vain
    return Split(pictures, labels, [str(file) for file in files])
