"""Evaluate the model on the test split, which no other stage opens: metrics, robustness, charts, galleries."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from happysad import CLASSES
from happysad.common import metrics
from happysad.common.caveats import caveats
from happysad.common.cli import run
from happysad.common.files import all_or_nothing, read_json, replacing, write_json
from happysad.common.tables import read_csv, write_csv
from happysad.data.prepared import read_split
from happysad.evaluation import corruptions, findings, galleries, intervals, plots
from happysad.training import baseline
from happysad.training.cnn import load, predict

COLUMNS = ["path", "label", "split", "group", "id", "format", "source_split", "width", "height", "flags"]


def main(root: Path) -> None:
    model = load(root / "models/model.keras")
    description = read_json(root / "models/model.json")
    baselines = read_json(root / "models/baseline.json")
    rows, pictures = load_test(root)

    labels = rows["label"].map(CLASSES.index).to_numpy()
    scores = predict(model, pictures).round(6)  # as in predictions.csv, from which all figures follow
    rows["score"], rows["predicted"] = scores, metrics.predicted_labels(scores)
    rows["baseline_score"] = baseline.scores(baselines, pictures).round(6)

    figures, ends = measure(rows, baselines["majority"])
    robustness = corruptions.table(partial(predict, model), pictures, labels)
    history = read_csv(root / "metrics/history.csv")

    out = root / "metrics"
    with all_or_nothing():
        write_json(out / "test.json", figures)
        write_json(out / "test_intervals.json", ends)
        write_csv(out / "predictions.csv", rows)
        write_csv(out / "robustness.csv", robustness)
        with replacing(out / "plots/charts") as folder:
            for plot in (plots.roc, plots.precision_recall, plots.confusion, plots.reliability):
                plots.save(plot(labels, scores), folder / f"{plot.__name__}.png")
            plots.save(plots.robustness(robustness), folder / "robustness.png")
            plots.save(plots.learning_curves(history, description["epoch"]), folder / "learning_curves.png")
        with replacing(out / "plots/galleries") as folder:
            galleries.write(folder, rows, pictures, partial(predict, model))
    limits = caveats(read_json(out / "data.json"), description)
    print(findings.summary(figures, ends, robustness, limits))


def load_test(root: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """The manifest's rows of the test split, and the pictures in the same order, (n, side, side, 3) uint8."""
    split = read_split(root / "data/prepared/test")
    manifest = read_csv(root / "data/prepared/manifest.csv")
    rows = manifest.loc[manifest["split"] == "test", COLUMNS].reset_index(drop=True)
    rows = rows.astype({"width": int, "height": int})
    pictures = split.pictures[pd.Index(Path(file).stem for file in split.files).get_indexer(rows["id"])]
    rows["brightness"] = pictures.mean(axis=(1, 2, 3))  # 0 to 255
    channel_range = np.ptp(pictures, axis=3).mean(axis=(1, 2))
    rows["colour"] = np.where(channel_range > 4, "colour", "grey")
    return rows, pictures


def measure(rows: pd.DataFrame, majority: str) -> tuple[dict[str, float], dict]:
    """The contents of test.json and of test_intervals.json, from the rows of predictions.csv.

    ``gain`` is the model's balanced accuracy minus that of the better baseline: the model decides at even odds,
    which serves both classes alike, while always predicting the more frequent one serves accuracy alone.
    """
    labels, groups = rows["label"].map(CLASSES.index).to_numpy(), rows["group"].to_numpy()
    scores = {
        "model": rows["score"].to_numpy(),
        "logistic": rows["baseline_score"].to_numpy(),
        "majority": np.full(len(rows), CLASSES.index(majority)),
    }
    figures = {name: metrics.compute(labels, values) for name, values in scores.items()}
    better = max("logistic", "majority", key=lambda name: figures[name]["balanced_accuracy"])
    gain = figures["model"]["balanced_accuracy"] - figures[better]["balanced_accuracy"]
    ends = {"n": len(rows), "prevalence": labels.mean()}
    ends |= intervals.intervals(labels, scores["model"], groups)
    if better == "majority":
        ends["gain"] = {end: value - 0.5 for end, value in ends["balanced_accuracy"].items()}
    else:
        differences = intervals.difference(labels, scores["logistic"], scores["model"], groups)
        ends["gain"] = differences["balanced_accuracy"]
    for name in ("majority", "logistic"):
        ends[name] = {kind: figures[name][kind] for kind in ("accuracy", "balanced_accuracy")}
    ends["majority"]["label"] = majority
    return figures["model"] | {"gain": gain}, ends


if __name__ == "__main__":
    run(main)
