"""Contact sheets of the test pictures to look at first: the most confident mistakes, and the closest calls."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from happysad import CLASSES
from happysad.common.contact_sheet import sheet
from happysad.evaluation.grad_cam import overlay

SIZE = 15  # pictures on a sheet


def write(
    folder: Path,
    rows: pd.DataFrame,
    pictures: np.ndarray,
    threshold: float,
    explain: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> None:
    """Save each gallery as a JPEG: every picture beside its heat map.

    ``rows`` are those of predictions.csv, ``pictures`` uint8 (n, side, side, 3). ``explain`` takes pictures and
    their predicted classes (n,), 0 or 1, and returns heat maps (n, side, side) in [0, 1].
    """
    for name, title, chosen in select(rows, threshold):
        tiles = []
        if len(chosen):
            predicted = chosen["predicted"].map(CLASSES.index).to_numpy()
            shown = pictures[chosen.index]
            heat = explain(shown, predicted)
            tiles = [np.hstack([p, overlay(p, h)]) for p, h in zip(shown, heat, strict=True)]
        captions = [f"{row.path}\nscore {row.score:.2f}, label {row.label}" for row in chosen.itertuples()]
        page = sheet(tiles, captions, 5, f"{title}; right: evidence for the predicted class")
        page.save(folder / f"{name}.jpg", quality=90)


def select(rows: pd.DataFrame, threshold: float) -> list[tuple[str, str, pd.DataFrame]]:
    """File name, title and rows of each gallery."""
    margin = (rows["score"] - threshold).abs()
    closest = rows.loc[margin.sort_values(kind="stable").index]
    galleries = []
    for label, predicted in (CLASSES, CLASSES[::-1]):
        mistakes = closest[(closest["label"] == label) & (closest["predicted"] == predicted)]
        title = f"{label.capitalize()} pictures classified as {predicted}, most confident first"
        galleries.append((f"{label}_classified_as_{predicted}", title, mistakes[::-1][:SIZE]))
    return [
        *galleries,
        ("least_certain", "Least certain predictions: closest to the threshold", closest[:SIZE]),
    ]
