"""Score each picture of train and validation by a model that was trained without it, as `train` trains.

For comparing settings on a few hundred pictures, whose validation split is too small for that: the figures are
printed, and written with the scores to metrics/crossvalidation.json and .csv. The test split stays closed.

And for finding wrong labels: metrics/label_errors.csv lists those that are worth a look, the most doubtful first and
pictures without a face last; metrics/label_errors.jpg shows them. Delete the rows of the pictures that are labelled
correctly, and append path and label of the others to the corrections file that params.yaml names.
"""

from hashlib import md5
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold

from happysad import CLASSES
from happysad.common import images, metrics
from happysad.common.cli import run
from happysad.common.errors import UserError
from happysad.common.files import all_or_nothing, replacing_file, write_json
from happysad.common.params import Params, load
from happysad.common.tables import read_csv, write_csv
from happysad.data.prepared import Split, read_split
from happysad.evaluation import findings, intervals
from happysad.plotting.contact_sheet import sheet
from happysad.training.cnn import predict
from happysad.training.fit import fit

COLUMNS = ["path", "label", "split", "fold", "group", "score", "predicted"]
SHOWN = 60  # doubtful labels on the sheet, at most


def main(root: Path, folds: int) -> None:
    params = load(root)
    splits = [read_split(root / "data/prepared" / name) for name in ("train", "validation")]
    pictures, labels, files = (np.concatenate(parts) for parts in zip(*splits, strict=True))
    manifest = root / "data/prepared/manifest.csv"
    rows = read_csv(manifest).query("status == 'kept'").set_index("id")
    rows = rows.loc[[Path(file).stem for file in files]]
    rows["fold"] = assign_folds(labels, rows["group"].to_numpy(), folds, params.train.seed)
    rows["score"] = np.nan
    for fold in range(folds):
        print(f"fold {fold + 1} of {folds}")
        held_out, following = ((rows["fold"] == k).to_numpy() for k in (fold, (fold + 1) % folds))
        others = ~held_out & ~following
        train = Split(pictures[others], labels[others], [])
        validation = Split(pictures[following], labels[following], [])
        model, *_ = fit(train, validation, params, root)
        rows.loc[held_out, "score"] = predict(model, pictures[held_out]).round(6)  # as in crossvalidation.csv
    scores = rows["score"].to_numpy()
    rows["predicted"] = metrics.predicted_labels(scores)
    figures = metrics.compute(labels, scores)
    ends = intervals.intervals(labels, scores, rows["group"].to_numpy())
    rows = rows.sort_values("path")
    doubtful = label_errors(rows)
    with all_or_nothing():
        write_json(root / "metrics/crossvalidation.json", figures)
        write_csv(root / "metrics/crossvalidation.csv", rows[COLUMNS])
        write_csv(root / "metrics/label_errors.csv", doubtful)
    print(*findings.table(figures, ends), sep="\n")
    page = label_error_sheet(doubtful, root, params)
    # By the manifest's hash, report.py tells whether the sheet and the test figures are of the same data.
    comment = md5(manifest.read_bytes()).hexdigest()
    with replacing_file(root / "metrics/label_errors.jpg") as partial:
        page.save(partial, "JPEG", quality=85, comment=comment)
    print(
        f"{len(doubtful)} of {len(rows)} labels are worth a look, {(doubtful['faces'] == 0).sum()} of them, at the "
        f"end, of pictures without a face: see metrics/label_errors.jpg and .csv"
    )


def assign_folds(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold (n,) of each picture, 0 to ``folds`` - 1: stratified by label, and a group lies in one fold.

    For each fold, the following one chooses epoch and calibration, and the others train. Raises UserError for fewer
    than 3 folds, or if a class has fewer groups than there are folds.
    """
    fewest = min(len(np.unique(groups[labels == label])) for label in (0, 1))
    if not 3 <= folds <= fewest:
        raise UserError(
            f"--folds must lie between 3 and {fewest}, the number of groups of the smaller class, not {folds}"
        )
    result = np.zeros(len(labels), int)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(labels, labels, groups)):
        result[held_out] = fold
    return result


def label_errors(rows: pd.DataFrame) -> pd.DataFrame:
    """The contents of label_errors.csv, from ``rows`` with path, label, score and number of faces."""
    labels = rows["label"].map(CLASSES.index).to_numpy()
    found = rows.iloc[suspects(labels, rows["score"].to_numpy())]
    other = found["label"].map(dict(zip(CLASSES, CLASSES[::-1], strict=True)))
    table = found[["path", "score", "faces"]].assign(label=other, was=found["label"])
    # A model of faces says little about a picture in which none was found (with crop: whole, none is looked for).
    table = table.sort_values("faces", key=lambda number: number == 0, kind="stable")
    return table[["path", "label", "was", "score", "faces"]]


def suspects(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Indices of the doubtful ones among ``labels`` (n,), the most doubtful first.

    Confident learning (Northcutt, Jiang and Chuang 2021): the probability of the other class is at least its
    mean over the pictures so labelled, and that of the given class is below its own such mean or the lower.
    """
    own, other = np.where(labels == 1, scores, 1 - scores), np.where(labels == 1, 1 - scores, scores)
    mean = np.array([(1 - scores[labels == 0]).mean(), scores[labels == 1].mean()])
    wrong = (other >= mean[1 - labels]) & ((own < mean[labels]) | (other > own))
    return np.flatnonzero(wrong)[np.argsort(-other[wrong], kind="stable")]


def label_error_sheet(table: pd.DataFrame, root: Path, params: Params) -> Image.Image:
    """The raw pictures of the first rows of label_errors.csv."""
    shown = table[:SHOWN]
    pictures = [
        images.decode(root / params.source / path, 128, params.prepare.max_megapixels)
        for path in shown["path"]
    ]
    captions = [
        f"{row.path}\nlabel {row.was}, happy {row.score:.0%}{', no face' * (row.faces == 0)}"
        for row in shown.itertuples()
    ]
    title = f"Labels worth a look, the most doubtful first: {len(shown)} of {len(table)}"
    return sheet(pictures, captions, 10, title)


if __name__ == "__main__":
    run(main, folds=5)
