"""Where the model is worse: accuracy by kind of picture, over the rows of predictions.csv."""

import math
from collections.abc import Iterator

import numpy as np

from happysad.evaluation.metrics import proportion


def table(rows: list[dict]) -> list[dict]:
    """A row per slice: what it is, n, accuracy with its interval, that of the rest, p-value, worse or not.

    ``p_value`` is that of a slice being no worse than the rest (Fisher's exact test, one-sided); ``worse``
    is yes where it stays below 5% after Holm's correction (1979) for the number of slices. Those come first,
    the smallest before the others.
    """
    right = np.array([row["label"] == row["predicted"] for row in rows])
    found = [
        {
            "slice": name,
            "value": value,
            "n": int(part.sum()),
            **proportion("accuracy", right[part]),
            "accuracy_of_rest": float(right[~part].mean()),
            "p_value": fisher(right[part], right[~part]),
            "worse": "no",
        }
        for name, value, part in parts(rows)
        if not part.all()  # what all pictures share tells nothing
    ]
    for i, row in enumerate(sorted(found, key=lambda row: row["p_value"])):
        if row["p_value"] * (len(found) - i) >= 0.05:
            break
        row["worse"] = "yes"
    return sorted(found, key=lambda row: (row["worse"] == "no", row["worse"] == "yes" and row["n"]))


def parts(rows: list[dict]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Slice, value, and which of the rows it holds, (n,) bool."""
    for name in ("format", "source_split", "colour"):
        values = np.array([row[name] for row in rows])
        for value in np.unique(values):
            yield name, value or "none", values == value
    sides = np.array([math.sqrt(float(row["width"]) * float(row["height"])) for row in rows])
    yield from terciles("size", sides, ("small", "middle", "large"), "px")
    brightness = np.array([float(row["brightness"]) for row in rows])
    yield from terciles("brightness", brightness, ("dark", "middle", "light"), "of 255")
    for flag in sorted({flag for row in rows for flag in row["flags"].split()}):
        yield "flag", flag, np.array([flag in row["flags"].split() for row in rows])


def terciles(
    name: str, values: np.ndarray, words: tuple[str, str, str], unit: str
) -> Iterator[tuple[str, str, np.ndarray]]:
    """The thirds of ``values`` with their ranges; equal values share one, so that there may be fewer."""
    which = np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values)
    for i in np.unique(which):
        part = which == i
        yield name, f"{words[i]}: {values[part].min():.0f} to {values[part].max():.0f} {unit}", part


def fisher(part: np.ndarray, rest: np.ndarray) -> float:
    """How likely ``part`` would hold at most so many True by chance, if ``part`` and ``rest`` were alike."""

    def log_choose(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    n, m = len(part), len(rest)
    hits = int(part.sum() + rest.sum())
    total = log_choose(n + m, hits)
    counts = range(max(0, hits - m), int(part.sum()) + 1)
    return min(1.0, sum(math.exp(log_choose(n, k) + log_choose(m, hits - k) - total) for k in counts))
