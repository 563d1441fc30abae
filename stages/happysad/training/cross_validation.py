"""K-fold cross-validation: each picture is scored by a model that was trained without it."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from happysad import CLASSES
from happysad.common.errors import UserError
from happysad.common.params import Crossvalidate, Params
from happysad.data.prepared import Split
from happysad.data.splits import position
from happysad.evaluation import metrics
from happysad.training.cnn import Weights, build, predict, read_start, start_from
from happysad.training.fit import calibrate, fit, make_deterministic, reset

THRESHOLD_FREE = ("roc_auc", "average_precision", "brier", "ece", "log_loss")  # the threshold differs by fold


def cross_validate(root: Path, data: Split, params: Params) -> tuple[pd.DataFrame, dict]:
    """Train a model for each fold as the stage train does; ``root`` is the project's folder.

    Returns a row per picture with id, fold, score and predicted, and the figures, over all pictures and by fold.
    Raises UserError if there are too few folds, or too few pictures for them.
    """
    checkpoints = root / "models/crossvalidate"
    make_deterministic(params.train)
    start = read_start(root, params.train)
    ids = [Path(file).stem for file in data.files]
    folds = assign_folds(data.labels, ids, params.crossvalidate)
    scores, thresholds = np.zeros(len(folds)), np.zeros(len(folds))
    by_fold = {}
    for fold in range(1, params.crossvalidate.folds + 1):
        print(f"fold {fold} of {params.crossvalidate.folds}")
        held_out = folds == fold
        scores[held_out], threshold = predict_fold(
            data, folds, fold, params, start, checkpoints / f"{fold}.npz"
        )
        thresholds[held_out] = threshold
        by_fold[f"fold_{fold}"] = metrics.compute(data.labels[held_out], scores[held_out], threshold)
    shutil.rmtree(checkpoints)
    figures = metrics.compute(data.labels, scores, thresholds)
    intervals = metrics.intervals(data.labels, scores, 0.5)
    figures |= {name: value for name, value in intervals.items() if name.startswith(THRESHOLD_FREE)}
    predicted = np.array(CLASSES)[(scores >= thresholds).astype(int)]
    rows = pd.DataFrame({"id": ids, "fold": folds, "score": scores, "predicted": predicted})
    return rows, figures | by_fold


def assign_folds(labels: np.ndarray, ids: list[str], params: Crossvalidate) -> np.ndarray:
    """The fold of each picture, 1 to ``folds``, (n,): stratified by label, shuffled by seed and id.

    Only one picture of each group of copies is kept, so no group can span two folds. Raises UserError for fewer
    than 3 folds, or if a class has fewer pictures than there are folds.
    """
    if params.folds < 3:
        raise UserError("params.yaml: crossvalidate.folds must be 3 at the least, or 0 to turn it off")
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
    data: Split, folds: np.ndarray, fold: int, params: Params, start: Weights, checkpoint: Path
) -> tuple[np.ndarray, float]:
    """Scores of the pictures of ``fold``, and the threshold; the following fold serves as validation split."""
    reset(params.train)
    following = fold % params.crossvalidate.folds + 1
    validation = subset(data, folds == following)
    train = subset(data, (folds != fold) & (folds != following))
    model = build(data.pictures.shape[1], params.model)
    start_from(model, start)
    fit(model, train, validation, params.train, params.augment, checkpoint)
    calibrate(model, validation.labels, predict(model, validation.pictures))
    threshold = metrics.best_threshold(validation.labels, params.train.threshold_metric)
    return predict(model, data.pictures[folds == fold]), threshold


def subset(data: Split, which: np.ndarray) -> Split:
    return Split(data.pictures[which], data.labels[which], [])
