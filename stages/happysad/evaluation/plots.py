"""The charts of metrics/plots/charts, as wide as a phone can show. The same numbers give the same bytes."""

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


def new_figure(title: str, height: float = 4.4) -> tuple[Figure, Axes]:
    """An empty figure, ``height`` in inches, and its axes."""
    figure = Figure((WIDTH, height), layout="constrained")
    axes = figure.add_subplot(title=title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def distances(table: pd.DataFrame, name: str) -> np.ndarray:
    """From each value of the column ``name`` to the ends of its interval, (2, n), as errorbar takes them."""
    ends = [table[name] - table[f"{name}_ci_low"], table[f"{name}_ci_high"] - table[name]]
    return np.maximum(ends, 0)  # rounding can leave -1e-17


def save(figure: Figure, file: Path) -> None:
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})  # which would name a version


def roc(labels: np.ndarray, scores: np.ndarray) -> Figure:
    figure, axes = new_figure("ROC curve")
    metrics.RocCurveDisplay.from_predictions(labels, scores, name="model", plot_chance_level=True, ax=axes)
    axes.set(xlabel="false positive rate", ylabel="true positive rate (recall)")
    return figure


def precision_recall(labels: np.ndarray, scores: np.ndarray) -> Figure:
    figure, axes = new_figure("Precision-recall curve of happy")
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
    figure, axes = new_figure("Reliability diagram, both classes weighted equally")
    axes.plot([0, 1], [0, 1], "--", color=GREY, label="perfectly calibrated")
    weights = compute_sample_weight("balanced", labels)
    which = np.searchsorted(np.quantile(scores, np.linspace(0.1, 0.9, 9)), scores)  # equal scores share a bin
    bins = [which == number for number in np.unique(which)]
    x = [np.average(scores[members], weights=weights[members]) for members in bins]
    counted = pd.DataFrame([proportion("happy", labels[members]) for members in bins])
    happy, sad = counted / labels.mean(), (1 - counted) / (1 - labels.mean())
    table = happy / (happy + sad)
    style = {"fmt": "o-", "color": BLUE, "linewidth": 1, "capsize": 2, "label": "model"}
    axes.errorbar(x, table["happy"], yerr=distances(table, "happy"), **style)
    axes.set(xlabel="mean score", ylabel="fraction that is happy", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend(frameon=False, loc="lower right", title="bins of equal counts, 95% intervals")
    return figure


def robustness(table: pd.DataFrame) -> Figure:
    """``table`` of ``corruptions.table``."""
    figure, axes = new_figure(f"Accuracy on {table['n'][0]} test pictures, corrupted", height=5.6)
    axes.axvline(table["accuracy"][0], linestyle="--", color=GREY, label="unchanged")
    names = table.loc[table["severity"] == 1, "corruption"].tolist()
    for severity, colour in SEVERITIES.items():
        part = table[table["severity"] == severity]
        y = part["corruption"].map(names.index) + (severity - 2) * 0.2
        style = {"fmt": "o", "color": colour, "markersize": 4, "capsize": 2, "label": f"severity {severity}"}
        axes.errorbar(part["accuracy"], y, xerr=distances(part, "accuracy"), **style)
    axes.set(xlabel="accuracy, with 95% interval", ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), names)
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
