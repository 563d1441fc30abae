"""Fit the CNN on the train split; choose epoch, calibration and threshold on the validation split."""

from pathlib import Path

import numpy as np
import pandas as pd

from happysad import CLASSES
from happysad.common.cli import run
from happysad.common.files import all_or_nothing, write_json, write_text
from happysad.common.params import Params, load
from happysad.common.tables import write_csv
from happysad.data.prepared import Split, read_split
from happysad.evaluation import baseline, metrics
from happysad.training.augmentation import augment, random_values
from happysad.training.cnn import VERSIONS, build, predict, read_start, save, start_from
from happysad.training.fit import calibrate, distribute, fit, is_chief, make_deterministic, reset, shuffle
from happysad.training.tensorboard import RunLog


def main(root: Path) -> None:
    params = load(root)
    make_deterministic(params.train)
    strategy = distribute()
    train = read_split(root / "data/prepared/train")
    validation = read_split(root / "data/prepared/validation")
    image_size = train.pictures.shape[1]
    checkpoint = root / "models/checkpoint.npz"
    start = read_start(root, params.train)
    reset(params.train)
    with strategy.scope():
        model = build(image_size, params.model)
        start_from(model, start)
        if not is_chief():  # of several machines, only the first writes
            fit(model, train, validation, params.train, params.augment, checkpoint)
            return
        log = RunLog(root / "logs")
        log.text("params.yaml", (root / "params.yaml").read_text(encoding="utf-8"))
        log.pictures("train", "first batch", first_batch(train, params))
        history = fit(model, train, validation, params.train, params.augment, checkpoint, log.epoch)
    slope, intercept = calibrate(model, validation.labels, predict(model, validation.pictures))
    scores = predict(model, validation.pictures)
    right = (scores >= 0.5) == validation.labels
    sure = np.maximum(scores, 1 - scores) >= 2 / 3
    unsure = {
        "unsure": 1 - sure.mean(),
        "accuracy_when_sure": float(right[sure].mean()) if sure.any() else None,
    }
    worst = np.argsort(-np.abs(scores - validation.labels), kind="stable")
    log.pictures("validation", "most wrong first", validation.pictures[worst[:64]])

    lines = []
    model.summary(line_length=80, print_fn=lines.append)
    with all_or_nothing():
        write_csv(root / "metrics/history.csv", pd.DataFrame(history))
        save(model, root / "models/model.keras")
        write_text(root / "models/summary.txt", "\n".join(lines) + "\n")
        write_json(
            root / "models/model.json",
            {
                "classes": CLASSES,
                "image_size": image_size,
                "threshold": 0.5,
                "unsure_below": 0.666667,
                "better_than_chance": bool(metrics.roc_auc(validation.labels, scores) > 0.55),
                "calibration": {"slope": slope, "intercept": intercept},
                "epoch": min(history, key=lambda row: row["validation_loss"])["epoch"],
                "validation": metrics.compute(validation.labels, scores, 0.5) | unsure,
                "versions": VERSIONS,
                "threads": params.train.threads,
                "replicas": strategy.num_replicas_in_sync,
            },
        )
        write_json(root / "models/baseline.json", baseline.fit(train.pictures, train.labels))
    checkpoint.unlink()  # no longer needed


def first_batch(train: Split, params: Params) -> np.ndarray:
    """With data augmentation, as the model sees it."""
    batch = shuffle(len(train.labels), params.train, epoch=1)[0]
    values = random_values(len(batch), params.train.seed, 1, 0)
    return np.asarray(augment(train.pictures[batch], values, params.augment))


if __name__ == "__main__":
    run(main)
