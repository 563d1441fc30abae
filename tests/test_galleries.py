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


def test_each_picture_is_beside_the_map_of_its_own_score(tmp_path, monkeypatch):
    pictures = np.arange(6, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2).repeat(3, 3)
    asked, captions = [], []
    sheet = galleries.sheet
    monkeypatch.setattr(galleries, "sheet", lambda *args: captions.append(args[1]) or sheet(*args))

    def scores(some: np.ndarray) -> np.ndarray:
        asked.append(int(some[-1, 0, 0, 0]))
        return np.linspace(0.5, 0.5 if asked[-1] == 2 else 0.9, len(some))

    galleries.write(tmp_path, ROWS[ROWS["label"] == "sad"], pictures, scores)
    assert asked == [2, 1, 1, 2, 0]
    assert captions[0] == [
        "2.png\nlabel sad, happy 90%; no single part mattered",
        "1.png\nlabel sad, happy 70%",
    ]
    pages = {file.stem: Image.open(file).size for file in tmp_path.iterdir()}
    assert set(pages) == {"sad_classified_as_happy", "happy_classified_as_sad", "least_certain"}
    assert pages["happy_classified_as_sad"][1] < pages["least_certain"][1]  # empty, but there
