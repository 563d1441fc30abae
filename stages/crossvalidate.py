"""Out-of-fold answers for every picture of train and validation, by models fitted as `train` fits.

For a few hundred pictures, whose test split is too small to tell recipes apart, and for finding wrong
labels. Test stays closed: recipes are chosen by these figures, and it has the last word on the chosen one.
"""

import shutil
from pathlib import Path

import numpy as np

from happysad import CLASSES
from happysad.common.cli import run
from happysad.common.files import read_csv, write_csv, write_json
from happysad.common.params import Crossvalidate, Params, load
from happysad.data.prepared import Split, read_split
from happysad.data.splits import position
from happysad.evaluation import metrics
from happysad.training.cnn import build, predict
from happysad.training.fit import calibrate, fit, make_deterministic, start_afresh

FREE = ("roc_auc", "average_precision", "brier", "ece", "log_loss")  # of a threshold, which differs by fold


def main(root: Path) -> None:
    params = load(root)
    make_deterministic(params.train)
    parts = [read_split(root / "data/prepared" / name) for name in ("train", "validation")]
    data = Split(
        np.concatenate([part.pictures for part in parts]),
        np.concatenate([part.labels for part in parts]),
        [file for part in parts for file in part.files],
    )
    kept = {
        row["id"]: row for row in read_csv(root / "data/prepared/manifest.csv") if row["status"] == "kept"
    }
    pictures = [kept[Path(file).stem] for file in data.files]
    groups = np.array([picture["group"] for picture in pictures])
    folds = deal(data.labels, groups, params.crossvalidate)

    scores, thresholds = np.zeros(len(folds)), np.zeros(len(folds))
    figures = {}
    for fold in range(1, params.crossvalidate.folds + 1):
        print(f"fold {fold} of {params.crossvalidate.folds}")
        checkpoint = root / f"models/crossvalidate/{fold}.npz"
        out = folds == fold
        scores[out], threshold = answers_of_fold(data, folds, fold, params, checkpoint)
        thresholds[out] = threshold
        figures[f"fold_{fold}"] = metrics.compute(data.labels[out], scores[out], threshold)
    together = metrics.compute(data.labels, scores, thresholds)
    bootstrap = metrics.intervals(data.labels, scores, 0.5, groups)
    together |= {name: value for name, value in bootstrap.items() if name.startswith(FREE)}
    figures = together | figures
    write_json(root / "metrics/crossvalidation.json", figures)
    predicted = (scores >= thresholds).astype(int)
    rows = [
        {
            "path": picture["path"],
            "label": picture["label"],
            "split": picture["split"],
            "fold": int(fold),
            "group": picture["group"],
            "score": float(score),
            "predicted": CLASSES[said],
        }
        for picture, fold, score, said in zip(pictures, folds, scores, predicted, strict=True)
    ]
    write_csv(root / "metrics/crossvalidation.csv", sorted(rows, key=lambda row: row["path"]))
    shutil.rmtree(root / "models/crossvalidate")
    low, high = figures["accuracy_ci_low"], figures["accuracy_ci_high"]
    print(
        f"{figures['accuracy']:.1%} right ({low:.1%} to {high:.1%}) on {figures['n']} pictures, each answered by "
        f"a model that never saw it; ROC AUC {figures['roc_auc']:.3f}"
    )


def deal(labels: np.ndarray, groups: np.ndarray, params: Crossvalidate) -> np.ndarray:
    """The fold, 1 to ``folds``, of each picture: whole groups, like cards, each class by itself."""
    folds = np.zeros(len(labels), int)
    for label in range(len(CLASSES)):
        names = {group for group, its in zip(groups, labels, strict=True) if its == label}
        hand = sorted(names, key=lambda group: position(group, params.seed))
        fold_of = {group: i % params.folds + 1 for i, group in enumerate(hand)}
        for i in np.flatnonzero(labels == label):
            folds[i] = fold_of[groups[i]]
    return folds


def answers_of_fold(
    data: Split, folds: np.ndarray, fold: int, params: Params, checkpoint: Path
) -> tuple[np.ndarray, float]:
    """Scores and threshold for the pictures of ``fold``, by a model that the next fold chose, as validation."""
    start_afresh(params.train)
    following = fold % params.crossvalidate.folds + 1
    validation = pick(data, folds == following)
    train = pick(data, (folds != fold) & (folds != following))
    model = build(data.pictures.shape[1], params.model)
    fit(model, train, validation, params.train, params.augment, checkpoint)
    calibrate(model, validation.labels, predict(model, validation.pictures))
    threshold = metrics.best_threshold(validation.labels, params.train.threshold_metric)
    return predict(model, data.pictures[folds == fold]), threshold


def pick(data: Split, which: np.ndarray) -> Split:
    return Split(data.pictures[which], data.labels[which], [])


if __name__ == "__main__":
    run(main)
