"""Which split each picture belongs to: pictures of one scene share it, as far as that is possible."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection
from itertools import product

from happysad import CLASSES
from happysad.common.params import Prepare
from happysad.data.manifest import Picture

SPLITS = ("train", "validation", "test")
# Of its share of a class: with less, a split is short.
LEAST = {"train": 1 / 2, "validation": 1 / 4, "test": 1 / 4}
BLOCKS = 10  # into which a scene is divided


def split_scenes(scenes: list[list[Picture]], ready: Collection[str], params: Prepare) -> tuple[int, int]:
    """Fill in ``group`` and ``split``: the pictures of a scene, or of a block of a divided scene, share both.

    Where ``assign`` leaves a split short of a class, the nearest scenes move. Where no move helps, as with one person
    before one camera, the largest scene is divided, or even all. ``ready`` are the splits that the source came with.
    Returns how many pictures moved and how many scenes were divided.
    """
    scenes = sorted(scenes, key=lambda scene: (-len(kept(scene)), min(p.id for p in scene)))
    several = sum(len(kept(scene)) > 1 for scene in scenes)
    for divided in (0, min(1, several), several):
        groups = [block for scene in scenes[:divided] for block in blocks(scene)] + scenes[divided:]
        where = [
            assign({p.position for p in group}, {p.source_split for p in group}, ready, params)
            for group in groups
        ]
        moved = settle(groups, where, ready, params)
        if moved is not None:
            break
    for group, name in zip(groups, where, strict=True):
        lowest = min(p.id for p in group)
        for picture in group:
            picture.group, picture.split = lowest, name if picture.status == "kept" else ""
    return moved or 0, divided


def kept(scene: list[Picture]) -> list[Picture]:
    return [picture for picture in scene if picture.status == "kept"]


def settle(
    groups: list[list[Picture]], where: list[str], ready: Collection[str], params: Prepare
) -> int | None:
    """Move groups in ``where`` until no split is short of a class: how many kept pictures, or None if that is impossible."""
    low = {"test": 0, "validation": params.test_fraction}
    low["train"] = params.test_fraction + params.validation_fraction
    high = {"test": low["validation"], "validation": low["train"], "train": 1}
    labels = [Counter(p.label for p in kept(group)) for group in groups]
    counts = Counter()
    for name, own in zip(where, labels, strict=True):
        counts.update({(name, label): n for label, n in own.items()})
    total = sum(labels, Counter())
    least = {
        (name, label): 1 if ready else max(1, int(LEAST[name] * (high[name] - low[name]) * total[label]))
        for name, label in product(SPLITS, CLASSES)
    }
    moved = 0
    for (name, label), need in least.items():
        while counts[name, label] < need:
            movable = [
                k
                for k, (group, own) in enumerate(zip(groups, labels, strict=True))
                if own[label]
                and where[k] != name
                and (name == "train" or name not in ready)
                and not {p.source_split for p in group} & ({*ready} - {"train"})
                and all(counts[where[k], x] - n >= least[where[k], x] for x, n in own.items())
            ]
            if not movable:
                return None
            at = {k: min(p.position for p in groups[k]) for k in movable}
            enough = [k for k in movable if labels[k][label] >= need - counts[name, label]]
            k = min(enough or movable, key=lambda k: (max(low[name] - at[k], at[k] - high[name]), k))
            for x, n in labels[k].items():
                counts[where[k], x] -= n
                counts[name, x] += n
            where[k] = name
            moved += labels[k].total()
    return moved


def blocks(scene: list[Picture]) -> list[list[Picture]]:
    """A scene by the splits that its source put it in, or else of each class one tenth of the kept files after another.

    Frames of a video are numbered, so that neighbours are alike and most of them share a block.
    """
    found = {}
    given = len({p.source_split for p in scene}) > 1
    for label in CLASSES:
        files = sorted((p for p in scene if p.label == label), key=lambda p: natural(p.path))
        before, total = 0, max(1, len(kept(files)))
        for picture in files:
            block = min(BLOCKS * before // total, BLOCKS - 1)
            before += picture.status == "kept"
            picture.position = block / BLOCKS
            found.setdefault(picture.source_split if given else block, []).append(picture)
    return list(found.values())


def natural(path: str) -> list:
    """A key that sorts 2.jpg before 10.jpg."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path)]


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
