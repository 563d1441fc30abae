"""Which split a group of near-duplicates belongs to: train, validation or test."""

import hashlib
from collections.abc import Collection

from happysad.common.params import Prepare

SPLITS = ("train", "validation", "test")


def assign(
    positions: Collection[float], given: Collection[str], ready: Collection[str], params: Prepare
) -> str:
    """The split of a group whose members have these ``positions`` in [0, 1).

    Test takes the lowest positions, validation the next, train the rest, and the lowest member decides for
    its group. So a picture added later can only move its group towards test: a test picture never becomes
    a training picture, and a group that nothing joins stays where it is.

    ``ready`` are the splits that the source came with, ``given`` those of the group's members. A group
    with a member in the ready test or validation split stays there; a split that the source lacks is cut
    from train.
    """
    for split in ("test", "validation"):
        if split in given:
            return split
    lowest = min(positions)
    if lowest < params.test_fraction:
        split = "test"
    elif lowest < params.test_fraction + params.validation_fraction:
        split = "validation"
    else:
        split = "train"
    return "train" if split in ready else split


def position(key: str, seed: int) -> float:
    """A hash of ``key`` as a number in [0, 1), uniformly distributed."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
