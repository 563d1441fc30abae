"""The charts of metrics/plots/charts, as wide as a phone can show. The same numbers give the same bytes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn import metrics
from sklearn.utils.class_weight import compute_sample_weight

from happysad import CLASSES
from happysad.evaluation.intervals import proportion
from happysad.plotting.colours import BLUE, GREY, ORANGE

SEVERITIES = {1: "#7fb0e6", 2: BLUE, 3: "#0b2f5b"}
WIDTH = 5.2  # inches


def new_figure(
    title: str, x: str = "", y: str = "", size: tuple[float, float] = (WIDTH, 4.4)
) -> tuple[Figure, Axes]:
    """An empty figure of ``size`` inches, and its axes with their labels."""
    figure = Figure(size, layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def error_bars(
    axes: Axes, x: Sequence, table: pd.DataFrame, name: str, across: bool = False, **style: object
) -> None:
    """The column ``name`` of ``table`` at ``x`` with its 95% intervals; ``across`` exchanges the axes."""
    y, low, high = table[name], table[f"{name}_ci_low"], table[f"{name}_ci_high"]
    lengths = np.maximum([y - low, high - y], 0)  # rounding can leave -1e-17
    if across:
        axes.errorbar(y, x, xerr=lengths, capsize=2, **style)
    else:
        axes.errorbar(x, y, lengths, capsize=2, **style)


def save(figure: Figure, file: Path) -> None:
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})  # which would name a version


def roc(labels: np.ndarray, scores: np.ndarray) -> Figure:
    figure, axes = new_figure("ROC curve")
    metrics.RocCurveDisplay.from_predictions(labels, scores, name="model", plot_chance_level=True, ax=axes)
    axes.set(xlabel="false positive rate", ylabel="true positive rate (recall)")
    return figure


def precision_recall(labels: np.ndarray, scores: np.ndarray) -> Figure:
    figure, axes = new_figure("Precision and recall of happy")
    options = {"name": "model", "plot_chance_level": True, "ax": axes}
    metrics.PrecisionRecallDisplay.from_predictions(labels, scores, **options)
    axes.set(xlabel="recall", ylabel="precision")
    return figure


def confusion(labels: np.ndarray, scores: np.ndarray) -> Figure:
    figure, axes = new_figure("Confusion matrix")
    options = {"display_labels": CLASSES, "cmap": "Blues", "colorbar": False, "ax": axes}
    metrics.ConfusionMatrixDisplay.from_predictions(labels, scores >= 0.5, **options)
    return figure


def reliability(labels: np.ndarray, scores: np.ndarray) -> Figure:
    """The reliability diagram (DeGroot and Fienberg 1983), both classes weighted equally, as in the scores."""
    title = "Reliability diagram, both classes weighted equally"
    figure, axes = new_figure(title, "mean score", "fraction that is happy")
    axes.plot([0, 1], [0, 1], "--", color=GREY, label="perfectly calibrated")
    weights = compute_sample_weight("balanced", labels)
    which = np.searchsorted(np.quantile(scores, np.linspace(0.1, 0.9, 9)), scores)  # equal scores share a bin
    parts = [which == number for number in np.unique(which)]
    x = [np.average(scores[part], weights=weights[part]) for part in parts]
    counted = pd.DataFrame([proportion("happy", labels[part]) for part in parts])
    happy, sad = counted / labels.mean(), (1 - counted) / (1 - labels.mean())
    error_bars(axes, x, happy / (happy + sad), "happy", fmt="o-", color=BLUE, linewidth=1, label="model")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend(frameon=False, loc="lower right", title="bins of equal counts, 95% intervals")
    return figure


def slices(table: pd.DataFrame, accuracy: float) -> Figure:
    """``table`` of ``slices.table``; ``accuracy`` of all pictures."""
    size = 6.4, 1.3 + 0.3 * len(table)
    figure, axes = new_figure("Accuracy by slice", "accuracy, with 95% interval", "", size)
    axes.axvline(accuracy, linestyle="--", color=GREY, label="all pictures")
    for worse, colour, label in (("no", BLUE, None), ("yes", ORANGE, "significantly worse than the rest")):
        part = table[table["worse"] == worse]
        error_bars(axes, part.index, part, "accuracy", across=True, color=colour, fmt="o", label=label)
    names = [f"{row.slice}, {row.value} (n = {row.n})" for row in table.itertuples()]
    axes.set(yticks=range(len(table)), yticklabels=names, ylim=(len(table) - 0.5, -0.5))
    figure.legend(frameon=False, loc="outside lower center", ncols=2)
    return figure


def robustness(table: pd.DataFrame) -> Figure:
    """``table`` of ``corruptions.table``."""
    title = f"Accuracy on {table['n'][0]} corrupted pictures"
    figure, axes = new_figure(title, "accuracy, with 95% interval", "", (WIDTH, 5.6))
    unchanged = table.loc[table["corruption"] == "none", "accuracy"].item()
    axes.axvline(unchanged, linestyle="--", color=GREY, label="unchanged")
    names = table.loc[table["severity"] == 1, "corruption"].tolist()
    for severity, colour in SEVERITIES.items():
        part = table[table["severity"] == severity]
        place = part["corruption"].map(names.index) + (severity - 2) * 0.2
        label = f"severity {severity}"
        error_bars(
            axes, place, part, "accuracy", across=True, color=colour, fmt="o", markersize=4, label=label
        )
    axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    figure.legend(frameon=False, loc="outside lower center", ncols=2)
    return figure


def learning_curves(history: pd.DataFrame, best_epoch: int) -> Figure:
    """``history`` by epoch, as in history.csv; the model has the weights of ``best_epoch``."""
    figure = Figure((WIDTH, 5.6), layout="constrained")
    titles = {"loss": "Loss by epoch", "accuracy": "Accuracy by epoch"}
    for axes, (name, title) in zip(figure.subplots(2), titles.items(), strict=True):
        axes.set(title=title, xlabel="epoch", ylabel=name)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.plot(history["epoch"], history[name], color=GREY, label="training")
        axes.plot(history["epoch"], history[f"validation_{name}"], color=BLUE, label="validation")
        axes.axvline(best_epoch, linestyle="--", color=ORANGE, label="best epoch, kept")
        axes.legend(frameon=False)
    return figure
