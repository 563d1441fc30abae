"""Pictures that are likely filed under the wrong class, found from the out-of-fold scores of crossvalidate.

Writes metrics/label_errors.csv, the surest first, and metrics/label_errors.jpg. Look at the pictures, delete
the rows that are wrong, and append the others' path and label to the corrections file that params.yaml names.
"""

from pathlib import Path

import numpy as np

from happysad import CLASSES
from happysad.common import images
from happysad.common.cli import run
from happysad.common.contact_sheet import sheet
from happysad.common.errors import UserError
from happysad.common.files import read_csv, write_csv
from happysad.common.params import load

MOST = 60  # pictures on the sheet


def main(root: Path) -> None:
    params = load(root)
    answers = root / "metrics/crossvalidation.csv"
    if not answers.exists():
        raise UserError(f"{answers} is missing: run dvc repro experiments/crossvalidation/dvc.yaml")
    rows = read_csv(answers)
    labels = np.array([CLASSES.index(row["label"]) for row in rows])
    scores = np.array([float(row["score"]) for row in rows])
    found = [rows[i] for i in suspects(labels, scores)]
    if not found:
        print(f"no label among {len(rows)} looks wrong")
        return
    other = dict(zip(CLASSES, CLASSES[::-1], strict=True))
    write_csv(
        root / "metrics/label_errors.csv",
        [
            {"path": r["path"], "label": other[r["label"]], "was": r["label"], "score": r["score"]}
            for r in found
        ],
    )
    shown = found[:MOST]
    source = root / params.source
    pictures = [images.decode(source / r["path"], 128, params.prepare.max_megapixels) for r in shown]
    captions = [f"{r['path']}\nlabel {r['label']}, score {float(r['score']):.2f}" for r in shown]
    title = f"Likely label errors, the surest first: {len(shown)} of {len(found)}"
    sheet(pictures, captions, 10, title).save(root / "metrics/label_errors.jpg", quality=85)
    print(f"{len(found)} of {len(rows)} labels look wrong: see metrics/label_errors.jpg and .csv")


def suspects(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Indices of the likely label errors among ``labels`` (n,), the surest first.

    Confident learning (Northcutt, Jiang and Chuang 2021): the probability of the other class reaches the
    mean that pictures of that class have for it, and that of its own class does not, or is the lower.
    """
    own, other = np.where(labels == 1, scores, 1 - scores), np.where(labels == 1, 1 - scores, scores)
    mean = np.array([(1 - scores[labels == 0]).mean(), scores[labels == 1].mean()])
    wrong = (other >= mean[1 - labels]) & ((own < mean[labels]) | (other > own))
    return np.flatnonzero(wrong)[np.argsort(-other[wrong], kind="stable")]


if __name__ == "__main__":
    run(main)
