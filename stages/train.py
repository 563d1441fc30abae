"""Fit the CNN on the train split; choose epoch and calibration on the validation split."""

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu

from happysad import CLASSES
from happysad.common import metrics
from happysad.common.caveats import NO_SKILL
from happysad.common.cli import run
from happysad.common.files import all_or_nothing, write_json
from happysad.common.params import load
from happysad.common.tables import write_csv
from happysad.data.prepared import read_split
from happysad.training import baseline
from happysad.training.calibration import UNSURE_BELOW
from happysad.training.cnn import VERSIONS, predict, save
from happysad.training.fit import fit


def main(root: Path) -> None:
    params = load(root)
    train = read_split(root / "data/prepared/train")
    validation = read_split(root / "data/prepared/validation")
    logs = root / "logs" / (os.environ.get("DVC_EXP_NAME") or time.strftime("%Y-%m-%d-%H%M%S"))
    model, history, calibration = fit(train, validation, params, root, logs)

    labels, scores = validation.labels, predict(model, validation.pictures).round(6)
    figures = metrics.compute(labels, scores)
    # Its U is the ROC AUC times the number of pairs (Mann and Whitney 1947): is it above half of them beyond chance?
    skill = mannwhitneyu(scores[labels == 1], scores[labels == 0], alternative="greater").pvalue < 0.025
    rows = pd.DataFrame(
        {
            "id": [Path(file).stem for file in validation.files],
            "label": np.array(CLASSES)[labels],
            "score": scores,
            "predicted": metrics.predicted_labels(scores),
        }
    )
    sure = rows[np.maximum(scores, 1 - scores) >= UNSURE_BELOW]
    right = (sure["label"] == sure["predicted"]).mean()
    description = {
        "classes": CLASSES,
        "image_size": train.pictures.shape[1],
        "calibration": calibration,
        "epoch": int(history["validation_loss"].idxmin()) + 1,
        "better_than_chance": bool(skill),
        "unsure_below": UNSURE_BELOW,
        "validation": {
            "n": len(rows),
            "unsure": 1 - len(sure) / len(rows),
            "accuracy_when_sure": right if len(sure) else None,
        },
        "versions": VERSIONS,
        "threads": params.train.threads,
    }
    with all_or_nothing():
        save(model, root / "models/model.keras")
        write_json(root / "models/model.json", description)
        write_json(root / "models/baseline.json", baseline.fit(train.pictures, train.labels))
        write_json(root / "metrics/validation.json", figures)
        write_csv(root / "metrics/validation.csv", rows)
        write_csv(root / "metrics/history.csv", history)
    print(
        f"accuracy {figures['accuracy']:.1%}, ROC AUC {figures['roc_auc']:.3f} on {len(rows)} validation pictures"
    )
    if not skill:
        print(NO_SKILL)


if __name__ == "__main__":
    run(main)
