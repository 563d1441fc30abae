"""Measure the model on prepared/test, which no other stage opens: figures, curves, every answer."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # hides notes about absent GPUs; errors come as exceptions

import numpy as np

from happysad import CLASSES, scoring
from happysad.files import read_csv, read_json, write_csv, write_json
from happysad.model import answers, load, open_split
from happysad.stage import run


def main(root: Path) -> None:
    model = load(root / "models/model.keras")
    threshold = read_json(root / "models/model.json")["threshold"]
    test, files = open_split(root / "data/prepared/test", batch_size=256)
    labels, scores = answers(model, test)
    figures = scoring.metrics(labels, scores, threshold)
    write_json(root / "metrics/test.json", figures)
    write_csv(root / "metrics/predictions.csv", predictions(root, files, labels, scores, threshold))
    false_positive_rate, recall = scoring.roc_curve(labels, scores)
    write_csv(root / "metrics/roc.csv", columns(false_positive_rate=false_positive_rate, recall=recall))
    precision, recall = scoring.precision_recall_curve(labels, scores)
    write_csv(root / "metrics/precision_recall.csv", columns(recall=recall, precision=precision))
    print_summary(figures)


def predictions(
    root: Path, files: list[str], labels: np.ndarray, scores: np.ndarray, threshold: float
) -> list[dict]:
    """A row per test picture, from which every figure can be computed again without the model."""
    kept = {p["id"]: p for p in read_csv(root / "data/prepared/manifest.csv") if p["status"] == "kept"}
    rows = []
    for file, label, score in zip(files, labels, scores, strict=True):
        picture = kept[Path(file).stem]
        rows.append(
            {
                "path": picture["path"],
                "label": CLASSES[int(label)],
                "split": picture["split"],
                "group": picture["group"],
                "score": float(score),
                "predicted": CLASSES[int(score >= threshold)],
            }
        )
    return sorted(rows, key=lambda row: row["path"])


def columns(**values: np.ndarray) -> list[dict]:
    return [dict(zip(values, map(float, row), strict=True)) for row in zip(*values.values(), strict=True)]


def print_summary(figures: dict) -> None:
    for name in ("accuracy", "precision", "recall", "specificity"):
        low, high = figures[f"{name}_ci_low"], figures[f"{name}_ci_high"]
        print(f"{name:12} {figures[name]:.3f}  ({low:.3f} to {high:.3f})")
    for name in ("roc_auc", "average_precision"):
        print(f"{name:12} {figures[name]:.3f}")
    common = CLASSES[int(figures["prevalence"] >= 0.5)]
    always = max(figures["prevalence"], 1 - figures["prevalence"])
    print(
        f"{figures['accuracy']:.1%} right ({figures['accuracy_ci_low']:.1%} to {figures['accuracy_ci_high']:.1%}) "
        f"on {figures['n']} pictures that the model never saw; always answering {common}: {always:.1%}."
    )


if __name__ == "__main__":
    run(main)
