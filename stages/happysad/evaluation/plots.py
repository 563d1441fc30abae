"""The figures of metrics/plots and of the report. The same numbers give the same bytes."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from matplotlib.figure import Figure

from happysad import CLASSES
from happysad.evaluation import metrics

BLUE, ORANGE, GREY = "#1f5fa8", "#d9730d", "#8a8a8a"


def figure(title: str, x: str, y: str, size: tuple[float, float] = (5.2, 4.4)) -> tuple[Figure, object]:
    """An empty figure, ``size`` inches, and its axes with their names."""
    made = Figure(size, layout="constrained")
    axes = made.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return made, axes


def save(made: Figure, file: Path | BinaryIO) -> None:
    made.savefig(file, format="png", dpi=100, metadata={"Software": None})  # which would name a version


def roc(labels: np.ndarray, scores: np.ndarray, threshold: float) -> Figure:
    area = metrics.roc_auc(labels, scores)
    made, axes = figure(
        f"ROC curve (area {area:.3f})", "share of the sad called happy", "share of the happy called happy"
    )
    axes.plot([0, 1], [0, 1], "--", color=GREY, label="guessing")
    axes.plot(*metrics.roc_curve(labels, scores), color=BLUE, label="the model")
    said = scores >= threshold
    axes.plot(said[labels == 0].mean(), said[labels == 1].mean(), "o", color=ORANGE, label="at its threshold")
    axes.legend(frameon=False, loc="lower right")
    return made


def precision_recall(labels: np.ndarray, scores: np.ndarray, threshold: float) -> Figure:
    area = metrics.average_precision(labels, scores)
    made, axes = figure(
        f"Precision and recall of happy (average precision {area:.3f})", "recall", "precision"
    )
    precision, recall = metrics.precision_recall_curve(labels, scores)
    axes.axhline(labels.mean(), linestyle="--", color=GREY, label="guessing: the share that is happy")
    axes.step(recall, precision, where="pre", color=BLUE, label="the model")
    said = scores >= threshold
    if said.any():
        axes.plot(said[labels == 1].mean(), labels[said].mean(), "o", color=ORANGE, label="at its threshold")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    axes.legend(frameon=False, loc="lower left")
    return made


def confusion(labels: np.ndarray, scores: np.ndarray, threshold: float) -> Figure:
    made, axes = figure("Confusion matrix", "the model says", "label", (4.4, 4.0))
    counts = np.zeros((2, 2), int)
    np.add.at(counts, (labels, (scores >= threshold).astype(int)), 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i in range(2):
        for j in range(2):
            text = f"{counts[i, j]}\n{shares[i, j]:.0%} of the {CLASSES[i]}"
            axes.text(j, i, text, ha="center", va="center", color="white" if shares[i, j] > 0.5 else "black")
    axes.set(xticks=[0, 1], xticklabels=CLASSES, yticks=[0, 1], yticklabels=CLASSES)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return made


def reliability(before: list[dict], after: list[dict]) -> Figure:
    """``before`` and ``after`` calibration: rows of ``metrics.reliability``."""
    made, axes = figure(
        "Reliability: is a score of 0.8 happy 8 times in 10?", "mean score", "share that is happy"
    )
    axes.plot([0, 1], [0, 1], "--", color=GREY, label="perfect")
    for rows, colour, name in ((before, ORANGE, "before calibration"), (after, BLUE, "after calibration")):
        x, y, low, high = (np.array([row[key] for row in rows]) for key in ("score", *SHARE))
        error = np.maximum([y - low, high - y], 0)
        ece = np.average(np.abs(x - y), weights=[row["n"] for row in rows])
        axes.errorbar(
            x,
            y,
            error,
            fmt="o-",
            color=colour,
            label=f"{name}: ECE {ece:.3f}",
            capsize=2,
            linewidth=1,
            markersize=4,
        )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend(frameon=False, loc="lower right", title="bins of equal size, 95% intervals")
    return made


SHARE = ("share_happy", "share_happy_ci_low", "share_happy_ci_high")


def slices(rows: list[dict], accuracy: float) -> Figure:
    """``rows`` of ``slices.table``; ``accuracy`` of all pictures."""
    made, axes = figure(
        "Accuracy by kind of picture", "accuracy, with 95% interval", "", (7.2, 1.3 + 0.3 * len(rows))
    )
    axes.axvline(accuracy, linestyle="--", color=GREY, label="all pictures")
    for place, row in enumerate(rows):
        colour = ORANGE if row["worse"] == "yes" else BLUE
        axes.plot([row["accuracy_ci_low"], row["accuracy_ci_high"]], [place, place], color=colour)
        axes.plot(row["accuracy"], place, "o", color=colour)
    axes.plot([], [], "o-", color=ORANGE, label="worse than the rest, more than by chance")
    names = [f"{row['slice']}, {row['value']} (n = {row['n']})" for row in rows]
    axes.set(yticks=range(len(rows)), yticklabels=names, ylim=(len(rows) - 0.5, -0.5))
    made.legend(frameon=False, loc="outside lower center", ncols=2)
    return made


def robustness(rows: list[dict]) -> Figure:
    """``rows`` of robustness.csv, of which the first is the unchanged pictures."""
    made, axes = figure("Accuracy on worse photographs", "", "accuracy, with 95% interval", (8.6, 4.2))
    axes.axhline(rows[0]["accuracy"], linestyle="--", color=GREY, label="unchanged pictures")
    names = list(dict.fromkeys(row["corruption"] for row in rows[1:]))
    for severity, colour in ((1, "#7fb0e6"), (2, BLUE), (3, "#0b2f5b")):
        part = [row for row in rows if row["severity"] == severity]
        x = [names.index(row["corruption"]) + (severity - 2) * 0.2 for row in part]
        y, low, high = (np.array([row[key] for row in part]) for key in ACCURACY)
        error = np.maximum([y - low, high - y], 0)
        axes.errorbar(
            x, y, error, fmt="o", color=colour, label=f"severity {severity}", capsize=2, markersize=5
        )
    axes.set(xticks=range(len(names)), xticklabels=names)
    made.legend(frameon=False, loc="outside lower center", ncols=4)
    return made


ACCURACY = ("accuracy", "accuracy_ci_low", "accuracy_ci_high")


def learning_curves(history: list[dict], kept: int) -> Figure:
    """``history`` by epoch, as in history.csv; ``kept`` is the epoch whose weights the model has."""
    made = Figure((9, 3.6), layout="constrained")
    for axes, name, title in zip(
        made.subplots(1, 2), ("loss", "accuracy"), ("Loss", "Accuracy at 0.5"), strict=True
    ):
        axes.set(title=title, xlabel="epoch", ylabel=name)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
        epochs = [int(row["epoch"]) for row in history]
        axes.plot(epochs, [float(row[name]) for row in history], color=GREY, label="train")
        axes.plot(
            epochs, [float(row[f"validation_{name}"]) for row in history], color=BLUE, label="validation"
        )
        axes.axvline(kept, linestyle="--", color=ORANGE, label="epoch kept")
        axes.legend(frameon=False)
    return made
