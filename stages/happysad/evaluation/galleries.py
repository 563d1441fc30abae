"""Contact sheets of the test pictures to look at first: the most confident mistakes, and the closest calls."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from happysad import CLASSES
from happysad.evaluation.occlusion import MATTERS, occlusion_maps, overlay
from happysad.plotting.contact_sheet import sheet

SIZE = 10  # pictures on a sheet


def write(
    folder: Path, rows: pd.DataFrame, pictures: np.ndarray, scores: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Save each gallery as a JPEG: every picture beside its occlusion map.

    ``rows`` are those of predictions.csv, ``pictures`` uint8 (n, side, side, 3). ``scores`` takes such pictures and
    returns theirs (n,).
    """
    galleries = select(rows)
    shown = np.unique(np.concatenate([chosen.index for _, _, chosen in galleries]))
    maps = dict(zip(shown, occlusion_maps(scores, pictures[shown]), strict=True))
    for name, title, chosen in galleries:
        tiles, captions = [], []
        for row in chosen.itertuples():
            picture, heat = pictures[row.Index], maps[row.Index]
            tiles.append(np.hstack([picture, overlay(Image.fromarray(picture), heat)]))
            nothing = "; no single part mattered" if np.abs(heat).max() < MATTERS else ""
            captions.append(f"{row.path}\nlabel {row.label}, happy {row.score:.0%}{nothing}")
        page = sheet(tiles, captions, 5, f"{title}; right: orange speaks for happy, blue for sad")
        page.save(folder / f"{name}.jpg", quality=90)


def select(rows: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """File name, title and rows of each gallery."""
    closest = rows.loc[(rows["score"] - 0.5).abs().sort_values(kind="stable").index]
    galleries = []
    for label, predicted in (CLASSES, CLASSES[::-1]):
        mistakes = closest[(closest["label"] == label) & (closest["predicted"] == predicted)]
        title = f"{label.capitalize()} pictures classified as {predicted}, most confident first"
        galleries.append((f"{label}_classified_as_{predicted}", title, mistakes[::-1][:SIZE]))
    return [*galleries, ("least_certain", "Least certain: the scores closest to 50%", closest[:SIZE])]
