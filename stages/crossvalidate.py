"""Score each picture of train and validation by a model that was trained without it, as `train` trains.

For comparing settings on a few hundred pictures, whose validation split is too small for that, and for finding wrong labels.
The test split stays closed. Writes metrics/crossvalidation.csv and metrics/crossvalidation.json.
"""

from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from happysad import CLASSES
from happysad.common import metrics
from happysad.common.cli import run
from happysad.common.errors import UserError
from happysad.common.files import all_or_nothing, write_json
from happysad.common.params import load
from happysad.common.tables import read_csv, write_csv
from happysad.data.prepared import Split, read_split
from happysad.training.cnn import predict
from happysad.training.fit import fit, make_deterministic


def main(root: Path, folds: int) -> None:
    params = load(root)
    make_deterministic(params.train)
    splits = [read_split(root / "data/prepared" / name) for name in ("train", "validation")]
    pictures, labels, files = (np.concatenate(parts) for parts in zip(*splits, strict=True))
    manifest = read_csv(root / "data/prepared/manifest.csv")
    rows = (
        manifest[manifest["status"] == "kept"]
        .set_index("id")
        .loc[[Path(file).stem for file in files]]
        .reset_index()
    )
    rows["fold"] = assign_folds(labels, rows["group"].to_numpy(), folds, params.train.seed)
    rows["score"] = np.nan
    for fold in range(folds):
        print(f"fold {fold + 1} of {folds}")
        held_out, following = ((rows["fold"] == k).to_numpy() for k in (fold, (fold + 1) % folds))
        others = ~held_out & ~following
        train = Split(pictures[others], labels[others], [])
        validation = Split(pictures[following], labels[following], [])
        model, *_ = fit(train, validation, params, root)
        rows.loc[held_out, "score"] = predict(model, pictures[held_out])
    scores = rows["score"].to_numpy()
    rows["predicted"] = np.array(CLASSES)[(scores >= 0.5).astype(int)]
    figures = metrics.compute(labels, scores)
    with all_or_nothing():
        write_json(root / "metrics/crossvalidation.json", figures)
        columns = ["path", "label", "split", "fold", "group", "score", "predicted"]
        write_csv(root / "metrics/crossvalidation.csv", rows[columns].sort_values("path"))
    for name, value in figures.items():
        print(f"{name:18} {value:.3f}")


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


if __name__ == "__main__":
    run(main, folds=5)
