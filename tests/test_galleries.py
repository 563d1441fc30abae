"""Galleries: the most confident mistakes first, each beside its occlusion map."""

import numpy as np
import pandas as pd
from PIL import Image

from happysad.evaluation import galleries

ROWS = pd.DataFrame(
    {
        "path": [f"{i}.png" for i in range(6)],
        "label": ["sad", "sad", "sad", "happy", "happy", "happy"],
        "score": [0.08, 0.7, 0.9, 0.2, 0.55, 0.95],
        "predicted": ["sad", "happy", "happy", "sad", "happy", "happy"],
    }
)


def test_the_most_confident_mistakes_come_first():
    chosen = {name: rows.index.tolist() for name, _, rows in galleries.select(ROWS)}
    assert chosen == {
        "sad_classified_as_happy": [2, 1],
        "happy_classified_as_sad": [3],
        "least_certain": [4, 1, 3, 2, 0, 5],
    }


def test_each_picture_is_beside_the_map_of_its_own_score(tmp_path):
    """Of a model to which only the right half of picture 2 matters."""
    pictures = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)

    def scores(some: np.ndarray) -> np.ndarray:
        seen = (some == pictures[2])[:, :, 4:].mean(axis=(1, 2, 3))
        return np.where(seen > 0.1, 0.5 + 0.4 * seen, 0.5)

    galleries.write(tmp_path, ROWS[ROWS["label"] == "sad"], pictures, scores)
    pages = {file.stem: Image.open(file) for file in tmp_path.iterdir()}
    assert set(pages) == {"sad_classified_as_happy", "happy_classified_as_sad", "least_certain"}
    assert pages["happy_classified_as_sad"].height < pages["least_certain"].height  # empty, but there
    page = np.asarray(pages["sad_classified_as_happy"], int)
    maps = [
        page[40:168, left : left + 128] for left in (12 + 128, 12 + 256 + 12 + 128)
    ]  # right of pictures 2 and 1
    colour = [[np.ptp(half, axis=2).mean() for half in np.split(heat, 2, axis=1)] for heat in maps]
    assert colour[0][1] > 3 * colour[0][0]
    assert max(colour[1]) < 5  # grey
