"""Out-of-fold predictions for every picture of train and validation, by models trained as `train` does.

For comparing settings on a few hundred pictures, whose test split is too small for that, and for finding
wrong labels. The test split stays closed: choose settings by these figures, then evaluate the chosen ones.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from happysad.common.cli import run
from happysad.common.files import all_or_nothing, write_json
from happysad.common.params import load
from happysad.common.tables import read_csv, write_csv
from happysad.data.prepared import Split, read_split

COLUMNS = ["path", "label", "split", "fold", "group", "score", "predicted"]


def main(root: Path) -> None:
    params = load(root)
    figures, rows = {}, pd.DataFrame(columns=COLUMNS)
    if not params.crossvalidate.folds:
        print("off: crossvalidate.folds is 0 in params.yaml")
    else:
        from happysad.training.cross_validation import cross_validate  # here, since TensorFlow takes seconds

        splits = [read_split(root / "data/prepared" / name) for name in ("train", "validation")]
        data = Split(
            np.concatenate([split.pictures for split in splits]),
            np.concatenate([split.labels for split in splits]),
            [file for split in splits for file in split.files],
        )
        predictions, figures = cross_validate(root, data, params)
        manifest = read_csv(root / "data/prepared/manifest.csv")
        kept = manifest[manifest["status"] == "kept"]
        rows = kept.merge(predictions, on="id")
        low, high = figures["accuracy_ci_low"], figures["accuracy_ci_high"]
        print(
            f"out-of-fold accuracy {figures['accuracy']:.1%} ({low:.1%} to {high:.1%}) on {figures['n']} pictures; "
            f"ROC AUC {figures['roc_auc']:.3f}"
        )
    with all_or_nothing():
        write_json(root / "metrics/crossvalidation.json", figures)
        write_csv(root / "metrics/crossvalidation.csv", rows[COLUMNS].sort_values("path"))


if __name__ == "__main__":
    run(main)
