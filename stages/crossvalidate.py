"""Out-of-fold predictions for every picture of train and validation, by models trained as `train` does.

For comparing settings on a few hundred pictures, whose test split is too small for that, and for finding
wrong labels. The test split stays closed: choose settings by these figures, then evaluate the chosen ones.
"""

import shutil
from pathlib import Path

import numpy as np

from happysad import CLASSES
from happysad.common.cli import run
from happysad.common.errors import UserError
from happysad.common.files import all_or_nothing, write_json
from happysad.common.params import Crossvalidate, Params, load
from happysad.common.tables import read_csv, write_csv
from happysad.data.prepared import Split, read_split
from happysad.data.splits import position
from happysad.evaluation import metrics
from happysad.training.cnn import build, predict
from happysad.training.fit import calibrate, fit, make_deterministic, start_afresh

THRESHOLD_FREE = ("roc_auc", "average_precision", "brier", "ece", "log_loss")  # the threshold differs by fold


def main(root: Path) -> None:
    params = load(root)
    make_deterministic(params.train)
    splits = [read_split(root / "data/prepared" / name) for name in ("train", "validation")]
    data = Split(
        np.concatenate([split.pictures for split in splits]),
        np.concatenate([split.labels for split in splits]),
        [file for split in splits for file in split.files],
    )
    ids = [Path(file).stem for file in data.files]
    folds = assign_folds(data.labels, ids, params.crossvalidate)

    scores, thresholds = np.zeros(len(folds)), np.zeros(len(folds))
    by_fold = {}
    for fold in range(1, params.crossvalidate.folds + 1):
        print(f"fold {fold} of {params.crossvalidate.folds}")
        held_out = folds == fold
        checkpoint = root / f"models/crossvalidate/{fold}.npz"
        scores[held_out], threshold = predict_fold(data, folds, fold, params, checkpoint)
        thresholds[held_out] = threshold
        by_fold[f"fold_{fold}"] = metrics.compute(data.labels[held_out], scores[held_out], threshold)

    figures = metrics.compute(data.labels, scores, thresholds)
    intervals = metrics.intervals(data.labels, scores, 0.5)
    figures |= {name: value for name, value in intervals.items() if name.startswith(THRESHOLD_FREE)}
    manifest = read_csv(root / "data/prepared/manifest.csv")
    rows = manifest[manifest["status"] == "kept"].set_index("id").loc[ids]
    rows["fold"], rows["score"] = folds, scores
    rows["predicted"] = np.array(CLASSES)[(scores >= thresholds).astype(int)]
    columns = ["path", "label", "split", "fold", "group", "score", "predicted"]
    with all_or_nothing():
        write_json(root / "metrics/crossvalidation.json", figures | by_fold)
        write_csv(root / "metrics/crossvalidation.csv", rows[columns].sort_values("path"))
    shutil.rmtree(root / "models/crossvalidate")
    low, high = figures["accuracy_ci_low"], figures["accuracy_ci_high"]
    print(
        f"out-of-fold accuracy {figures['accuracy']:.1%} ({low:.1%} to {high:.1%}) on {figures['n']} pictures; "
        f"ROC AUC {figures['roc_auc']:.3f}"
    )


def assign_folds(labels: np.ndarray, ids: list[str], params: Crossvalidate) -> np.ndarray:
    """The fold of each picture, 1 to ``folds``, (n,): stratified by label, shuffled by seed and id.

    Only one picture of each group of copies is kept, so no group can span two folds. Raises UserError if a
    class has fewer pictures than there are folds.
    """
    fewest = np.bincount(labels, minlength=len(CLASSES)).min()
    if fewest < params.folds:
        raise UserError(
            f"params.yaml: crossvalidate.folds must be at most {fewest}, the number of pictures of the smaller "
            f"class in train and validation, not {params.folds}"
        )
    positions = np.array([position(name, params.seed) for name in ids])
    folds = np.zeros(len(labels), int)
    for label in range(len(CLASSES)):
        members = np.flatnonzero(labels == label)
        shuffled = members[np.argsort(positions[members])]
        folds[shuffled] = np.arange(len(members)) % params.folds + 1
    return folds


def predict_fold(
    data: Split, folds: np.ndarray, fold: int, params: Params, checkpoint: Path
) -> tuple[np.ndarray, float]:
    """Scores of the pictures of ``fold``, and the threshold; the following fold serves as validation split."""
    start_afresh(params.train)
    following = fold % params.crossvalidate.folds + 1
    validation = subset(data, folds == following)
    train = subset(data, (folds != fold) & (folds != following))
    model = build(data.pictures.shape[1], params.model)
    fit(model, train, validation, params.train, params.augment, checkpoint)
    calibrate(model, validation.labels, predict(model, validation.pictures))
    threshold = metrics.best_threshold(validation.labels, params.train.threshold_metric)
    return predict(model, data.pictures[folds == fold]), threshold


def subset(data: Split, which: np.ndarray) -> Split:
    return Split(data.pictures[which], data.labels[which], [])


if __name__ == "__main__":
    run(main)
