"""What became of the pictures, as counts and in words."""

from collections import Counter
from collections.abc import Iterable
from itertools import product

from happysad import CLASSES
from happysad.common.params import Prepare
from happysad.data.manifest import Picture
from happysad.data.splits import SPLITS

DIVIDED = "Test pictures show scenes that training has seen: expect less on other people."
MOVED = (
    "Pictures were moved so that each split has enough of both classes: a test of so few scenes says little."
)


def count(
    pictures: list[Picture],
    copies: list[list[Picture]],
    scenes: list[list[Picture]],
    moved: int,
    divided: int,
    params: Prepare,
) -> dict:
    """The contents of metrics/data.json; ``copies`` are the pictures, each with those that are the same."""
    kept = [p for p in pictures if p.status == "kept"]
    return {
        "raw": len(pictures),
        "kept": len(kept),
        "rejected": tally(p.reason for p in pictures if p.reason),
        **{split: tally(p.label for p in kept if p.split == split) for split in SPLITS},
        "scenes": len(scenes),
        "largest_scene": max(map(len, scenes), default=0),
        "scenes_divided": divided,
        "moved_between_splits": moved,
        "notes": [*[DIVIDED] * bool(divided), *[MOVED] * bool(moved)],
        "copies_between_source_splits": copies_between_splits(copies),
        "copies_with_both_labels": sum(same[0].reason == "label_conflict" for same in copies),
        "flagged": tally(flag for p in kept for flag in p.flags.split()),
        "random_split_leak": random_split_leak([len(same) for same in copies], params),
    }


def tally(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def copies_between_splits(copies: list[list[Picture]]) -> dict[str, int]:
    """Of each ready-made validation or test split, how many pictures have a copy in the source's train split."""
    with_train = [members for members in copies if any(p.source_split == "train" for p in members)]
    leaked = Counter(p.source_split for members in with_train for p in members)
    return {split: leaked[split] for split in SPLITS[1:] if split in leaked}


def random_split_leak(sizes: list[int], params: Prepare) -> float:
    """The expected fraction of test pictures with a copy in train, had each file been assigned at random."""
    train_fraction = 1 - params.validation_fraction - params.test_fraction
    return sum(n * (1 - (1 - train_fraction) ** (n - 1)) for n in sizes) / max(1, sum(sizes))


def show(counts: dict, pictures: list[Picture]) -> None:
    splits = ", ".join(f"{sum(counts[split].values())} {split}" for split in SPLITS)
    print(f"{counts['raw']} files: {counts['kept']} kept ({splits})")
    for reason, number in counts["rejected"].items():
        first = next(p for p in pictures if p.reason == reason)
        print(f"{number:6} {reason}, such as {first.path}: {first.detail}")
    flagged = ", ".join(f"{number} {flag}" for flag, number in counts["flagged"].items())
    print(f"kept but flagged: {flagged or 'none'}")
    for split, number in counts["copies_between_source_splits"].items():
        total = sum(p.source_split == split for p in pictures)
        print(
            f"{number} of the source's {total} {split} pictures have a copy in its train split; "
            "none of the copies is kept in train"
        )
    for note in counts["notes"]:
        print(note)
    print(
        f"in a random split, {counts['random_split_leak']:.0%} of the test pictures would have a copy in train"
    )


def shortage(pictures: list[Picture], source: str) -> str:
    """Which split lacks which class, and why, or "" if none does."""
    kept = Counter((p.split, p.label) for p in pictures if p.status == "kept")
    for split, label in product(SPLITS, CLASSES):
        if not kept[split, label]:
            of_class = [p for p in pictures if p.label == label]
            text = f"{source}: no {label} picture is left for {split}: add {label} pictures"
            for reason, n in Counter(p.reason for p in of_class if p.reason).most_common(1):
                first = next(p for p in of_class if p.reason == reason)
                text += f". {n} of {len(of_class)} are {reason}, such as {first.path}: {first.detail}"
            return text
    return ""
