"""Evaluate the model on the test split, which no other stage opens: metrics, slices, robustness."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from happysad import CLASSES
from happysad.common.cli import run
from happysad.common.files import all_or_nothing, read_json, replacing, write_json
from happysad.common.tables import read_csv, write_csv
from happysad.data.prepared import read_split
from happysad.evaluation import baseline, corruptions, findings, galleries, metrics, plots, slices
from happysad.training.cnn import load, predict

COLUMNS = ["path", "label", "split", "group", "id", "format", "source_split", "width", "height", "flags"]


def main(root: Path) -> None:
    model = load(root / "models/model.keras")
    description = read_json(root / "models/model.json")
    simple = read_json(root / "models/baseline.json")
    rows, pictures = load_test(root)

    threshold = description["threshold"]
    labels = rows["label"].map(CLASSES.index).to_numpy()
    scores = predict(model, pictures)
    predicted = (scores >= threshold).astype(int)
    baseline_scores = baseline.scores(simple, pictures)
    rows["score"], rows["predicted"] = scores, np.array(CLASSES)[predicted]
    rows["baseline_score"] = baseline_scores

    figures = metrics.proportions(labels, scores, threshold) | metrics.intervals(labels, scores, threshold)
    figures |= compare(labels, predicted, baseline_scores, simple["majority"])
    by_slice = slices.table(rows)
    by_corruption = corruptions.table(partial(predict, model), pictures, labels, threshold)

    out = root / "metrics"
    with all_or_nothing():
        write_json(out / "test.json", figures)
        write_csv(out / "predictions.csv", rows)
        false_positive_rate, recall = metrics.roc_curve(labels, scores)
        write_csv(
            out / "roc.csv", pd.DataFrame({"false_positive_rate": false_positive_rate, "recall": recall})
        )
        precision, recall = metrics.precision_recall_curve(labels, scores)
        write_csv(out / "precision_recall.csv", pd.DataFrame({"recall": recall, "precision": precision}))
        write_csv(out / "slices.csv", by_slice)
        write_csv(out / "robustness.csv", by_corruption)
        with replacing(out / "plots/test") as folder:
            for plot in (plots.roc, plots.precision_recall, plots.confusion):
                plots.save(plot(labels, scores, threshold), folder / f"{plot.__name__}.png")
            uncalibrated = metrics.uncalibrated(scores, **description["calibration"])
            plots.save(plots.reliability(labels, uncalibrated, scores), folder / "reliability.png")
            plots.save(plots.slices(by_slice, figures["accuracy"]), folder / "slices.png")
            plots.save(plots.robustness(by_corruption), folder / "robustness.png")
            galleries.write(folder, rows, pictures, partial(predict, model))
    print(findings.summary(figures, by_slice, by_corruption))


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


def compare(
    labels: np.ndarray, predicted: np.ndarray, baseline_scores: np.ndarray, majority: str
) -> dict[str, float]:
    """The baselines' accuracy, and the model's gain in accuracy over the stronger one."""
    baselines = {
        "majority": labels == CLASSES.index(majority),
        "logistic": labels == (baseline_scores >= 0.5),
    }
    figures = {}
    for name, right in baselines.items():
        figures |= metrics.proportion(f"{name}_accuracy", right)
    gain = (labels == predicted) - max(baselines.values(), key=np.mean).astype(float)
    low, high = metrics.percentiles([gain[i].mean() for i in metrics.resamples(labels)])
    return figures | {"gain": float(gain.mean()), "gain_ci_low": low, "gain_ci_high": high}


if __name__ == "__main__":
    run(main)
