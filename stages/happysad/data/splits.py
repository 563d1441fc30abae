"""Whole groups of like pictures to train, validation and test, by a seeded hash."""

import hashlib
from collections.abc import Collection

from happysad.common.params import Prepare

SPLITS = ("train", "validation", "test")


def assign(keys: Collection[str], given: Collection[str], ready: Collection[str], params: Prepare) -> str:
    """The split of the group whose members have these content ``keys``.

    A group falls where its lowest member falls, and test lies lowest. So a picture that joins later can
    only draw its group towards test: a test picture never becomes a training picture, and a group
    that nothing joins stays where it is, however many others come.

    ``ready`` are the splits that the source came with, ``given`` those of the group's members: a group
    with a member in the ready test or validation split belongs there; the others are cut from train.
    """
    for split in ("test", "validation"):
        if split in given:
            return split
    lowest = min(position(key, params.seed) for key in keys)
    if lowest < params.test_fraction:
        split = "test"
    elif lowest < params.test_fraction + params.validation_fraction:
        split = "validation"
    else:
        split = "train"
    return "train" if split in ready else split


def position(key: str, seed: int) -> float:
    """Where in [0, 1) a picture falls: a hash of its content, so neither its name nor its company matters."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
