"""The figures of metrics/plots/test and of the report. The same numbers give the same bytes."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from happysad import CLASSES
from happysad.common.colours import BLUE, GREY, ORANGE
from happysad.evaluation import metrics

SEVERITIES = {1: "#7fb0e6", 2: BLUE, 3: "#0b2f5b"}


def new_figure(title: str, x: str, y: str, size: tuple[float, float] = (5.2, 4.4)) -> tuple[Figure, Axes]:
    """An empty figure of ``size`` inches, and its axes with their labels."""
    figure = Figure(size, layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def error_bars(axes: Axes, x: np.ndarray, table: pd.DataFrame, name: str, **style: object) -> None:
    """The column ``name`` of ``table`` over ``x`` with its 95% intervals."""
    y, low, high = table[name], table[f"{name}_ci_low"], table[f"{name}_ci_high"]
    lengths = np.maximum([y - low, high - y], 0)  # rounding can leave -1e-17
    axes.errorbar(x, y, lengths, capsize=2, **style)


def save(figure: Figure, file: Path | BinaryIO) -> None:
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})  # which would name a version


def roc(labels: np.ndarray, scores: np.ndarray, threshold: float) -> Figure:
    area = metrics.roc_auc(labels, scores)
    figure, axes = new_figure(
        f"ROC curve (area {area:.3f})", "false positive rate", "true positive rate (recall)"
    )
    axes.plot([0, 1], [0, 1], "--", color=GREY, label="chance level")
    axes.plot(*metrics.roc_curve(labels, scores), color=BLUE, label="model")
    predicted = scores >= threshold
    at_threshold = predicted[labels == 0].mean(), predicted[labels == 1].mean()
    axes.plot(*at_threshold, "o", color=ORANGE, label="model at its threshold")
    axes.legend(frameon=False, loc="lower right")
    return figure


def precision_recall(labels: np.ndarray, scores: np.ndarray, threshold: float) -> Figure:
    area = metrics.average_precision(labels, scores)
    figure, axes = new_figure(f"Precision-recall curve (average precision {area:.3f})", "recall", "precision")
    precision, recall = metrics.precision_recall_curve(labels, scores)
    axes.axhline(labels.mean(), linestyle="--", color=GREY, label="chance level (prevalence of happy)")
    axes.step(recall, precision, where="pre", color=BLUE, label="model")
    predicted = scores >= threshold
    if predicted.any():
        at_threshold = predicted[labels == 1].mean(), labels[predicted].mean()
        axes.plot(*at_threshold, "o", color=ORANGE, label="model at its threshold")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    axes.legend(frameon=False, loc="lower left")
    return figure


def confusion(labels: np.ndarray, scores: np.ndarray, threshold: float) -> Figure:
    figure, axes = new_figure("Confusion matrix", "predicted", "label", (4.4, 4.0))
    counts = np.zeros((2, 2), int)
    np.add.at(counts, (labels, (scores >= threshold).astype(int)), 1)
    rates = counts / counts.sum(axis=1, keepdims=True)
    axes.imshow(rates, cmap="Blues", vmin=0, vmax=1)
    for i in range(2):
        for j in range(2):
            text = f"{counts[i, j]}\n{rates[i, j]:.0%} of {CLASSES[i]}"
            axes.text(j, i, text, ha="center", va="center", color="white" if rates[i, j] > 0.5 else "black")
    axes.set(xticks=[0, 1], xticklabels=CLASSES, yticks=[0, 1], yticklabels=CLASSES)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def reliability(labels: np.ndarray, uncalibrated: np.ndarray, calibrated: np.ndarray) -> Figure:
    """The reliability diagram of the scores before and after calibration, (n,) each."""
    figure, axes = new_figure("Reliability diagram", "mean score", "fraction that is happy")
    axes.plot([0, 1], [0, 1], "--", color=GREY, label="perfectly calibrated")
    for scores, colour, name in ((uncalibrated, ORANGE, "before"), (calibrated, BLUE, "after")):
        bins = pd.DataFrame(metrics.reliability(labels, scores))
        label = f"{name} calibration (ECE {metrics.ece(labels, scores):.3f})"
        style = {"fmt": "o-", "color": colour, "linewidth": 1, "markersize": 4}
        error_bars(axes, bins["score"], bins, "happy", label=label, **style)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend(frameon=False, loc="lower right", title="bins of equal counts, 95% intervals")
    return figure


def slices(table: pd.DataFrame, accuracy: float) -> Figure:
    """``table`` of ``slices.table``; ``accuracy`` of all pictures."""
    size = 7.2, 1.3 + 0.3 * len(table)
    figure, axes = new_figure("Accuracy by slice", "accuracy, with 95% interval", "", size)
    axes.axvline(accuracy, linestyle="--", color=GREY, label="all pictures")
    for place, row in table.iterrows():
        colour = ORANGE if row["worse"] == "yes" else BLUE
        axes.plot([row["accuracy_ci_low"], row["accuracy_ci_high"]], [place, place], color=colour)
        axes.plot(row["accuracy"], place, "o", color=colour)
    axes.plot([], [], "o-", color=ORANGE, label="significantly worse than the rest")
    names = [f"{row['slice']}, {row['value']} (n = {row['n']})" for _, row in table.iterrows()]
    axes.set(yticks=range(len(table)), yticklabels=names, ylim=(len(table) - 0.5, -0.5))
    figure.legend(frameon=False, loc="outside lower center", ncols=2)
    return figure


def robustness(table: pd.DataFrame) -> Figure:
    """``table`` of ``corruptions.table``."""
    figure, axes = new_figure("Robustness to corruptions", "", "accuracy, with 95% interval", (8.6, 4.2))
    unchanged = table.loc[table["corruption"] == "none", "accuracy"].item()
    axes.axhline(unchanged, linestyle="--", color=GREY, label="unchanged pictures")
    names = table.loc[table["severity"] == 1, "corruption"].tolist()
    for severity, colour in SEVERITIES.items():
        part = table[table["severity"] == severity]
        x = part["corruption"].map(names.index) + (severity - 2) * 0.2
        style = {"fmt": "o", "color": colour, "markersize": 5}
        error_bars(axes, x, part, "accuracy", label=f"severity {severity}", **style)
    axes.set(xticks=range(len(names)), xticklabels=names)
    figure.legend(frameon=False, loc="outside lower center", ncols=4)
    return figure


def learning_curves(history: pd.DataFrame, best_epoch: int) -> Figure:
    """``history`` by epoch, as in history.csv; the model has the weights of ``best_epoch``."""
    figure = Figure((9, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        title = {"loss": "Loss", "accuracy": "Accuracy at threshold 0.5"}[name]
        axes.set(title=title, xlabel="epoch", ylabel=name)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.plot(history["epoch"], history[name], color=GREY, label="training")
        axes.plot(history["epoch"], history[f"validation_{name}"], color=BLUE, label="validation")
        axes.axvline(best_epoch, linestyle="--", color=ORANGE, label="best epoch, kept")
        axes.legend(frameon=False)
    return figure
