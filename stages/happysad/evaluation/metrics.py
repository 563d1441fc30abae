"""Figures about scores: metrics, intervals, curves, threshold, calibration. numpy only.

Throughout, ``labels`` is (n,) of 0 for sad and 1 for happy, ``scores`` (n,) the probability of happy,
and an answer is happy where score >= threshold. Positive is happy.
"""

import math
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np

from happysad import CLASSES

Z = NormalDist().inv_cdf(0.975)  # of a two-sided 95% interval


def compute(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float]:
    """Flat figures; proportions come with their 95% Wilson interval as _ci_low and _ci_high."""
    return proportions(labels, scores, threshold) | overall(labels, scores, threshold)


def proportions(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float]:
    """The figures that are a share of answers, with their Wilson intervals."""
    happy, said_happy = labels == 1, scores >= threshold
    right = happy == said_happy
    figures = {"n": len(labels), "prevalence": float(happy.mean())}
    for name, part in {
        "accuracy": right,
        "precision": right[said_happy],
        "recall": right[happy],
        "specificity": right[~happy],
        "accuracy_at_half": happy == (scores >= 0.5),
    }.items():
        figures |= proportion(name, part)
    return figures


def sentence(figures: dict[str, float]) -> str:
    """test.json in one plain sentence."""
    always = CLASSES[abs(figures["majority_accuracy"] - figures["prevalence"]) < 1e-9]
    return (
        f"{figures['accuracy']:.1%} right ({figures['accuracy_ci_low']:.1%} to {figures['accuracy_ci_high']:.1%}) "
        f"on {figures['n']} pictures that the model never saw; always answering {always}: "
        f"{figures['majority_accuracy']:.1%}; logistic regression on 16x16 grey pixels: "
        f"{figures['logistic_accuracy']:.1%}."
    )


def proportion(name: str, part: np.ndarray) -> dict[str, float]:
    """The share of True in ``part`` (n,) as ``name``, with its interval; 0 of none."""
    low, high = wilson(int(part.sum()), len(part))
    share = float(part.mean()) if len(part) else 0.0
    return {name: share, f"{name}_ci_low": low, f"{name}_ci_high": high}


def overall(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float]:
    """The figures that are no proportion of independent answers, so that Wilson does not fit them."""
    happy, said_happy = labels == 1, scores >= threshold
    both = int((happy & said_happy).sum())
    return {
        "balanced_accuracy": float((said_happy[happy].mean() + 1 - said_happy[~happy].mean()) / 2),
        "f1": 2 * both / int(happy.sum() + said_happy.sum()),
        "roc_auc": roc_auc(labels, scores),
        "average_precision": average_precision(labels, scores),
        "brier": float(np.mean((scores - labels) ** 2)),
        "ece": ece(labels, scores),
        "log_loss": log_loss(labels, scores),
    }


def intervals(
    labels: np.ndarray, scores: np.ndarray, threshold: float, groups: np.ndarray
) -> dict[str, float]:
    """The figures of ``overall`` with their 95% intervals, by the bootstrap over ``groups`` (n,)."""
    draws = [overall(labels[i], scores[i], threshold) for i in resamples(labels, groups)]
    figures = {}
    for name, found in overall(labels, scores, threshold).items():
        values = np.array([draw[name] for draw in draws])
        if name == "ece":  # it counts noise as error, and resampling adds as much again: take that out
            values = np.maximum(values - values.mean() + found, 0)
        low, high = percentiles(values)
        figures |= {name: found, f"{name}_ci_low": low, f"{name}_ci_high": high}
    return figures


def percentiles(values: np.ndarray) -> tuple[float, float]:
    """The 95% interval of bootstrap ``values`` (resamples,)."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def resamples(
    labels: np.ndarray, groups: np.ndarray, times: int = 1000, seed: int = 1
) -> Iterator[np.ndarray]:
    """Yield indices of pictures, whole groups drawn with replacement; each resample holds both classes."""
    _, number = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(seed)
    while times:
        drawn = rng.integers(number.max() + 1, size=number.max() + 1)
        index = np.repeat(np.arange(len(labels)), np.bincount(drawn, minlength=len(drawn))[number])
        if labels[index].any() and not labels[index].all():
            times -= 1
            yield index


def wilson(hits: int, n: int, z: float = Z) -> tuple[float, float]:
    """The score interval for a proportion (Wilson 1927), 95% by default; (0, 1) where n is 0."""
    if n == 0:
        return 0.0, 1.0
    share = hits / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def log_loss(labels: np.ndarray, scores: np.ndarray) -> float:
    safe = np.clip(scores.astype(float), 1e-7, 1 - 1e-7)
    return float(-np.mean(np.where(labels == 1, np.log(safe), np.log1p(-safe))))


def steps(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each distinct score as a threshold, falling, with how many sad and how many happy lie at or above it."""
    order = np.argsort(-scores, kind="stable")
    labels, scores = labels[order], scores[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # of each run of equal scores
    happy = np.cumsum(labels)[last]
    return scores[last], last + 1 - happy, happy


def roc_curve(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False positive rate and recall, (steps + 1,) each, from (0, 0) to (1, 1)."""
    _, sad, happy = steps(labels, scores)
    return np.append(0, sad) / sad[-1], np.append(0, happy) / happy[-1]


def roc_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    false_positive_rate, recall = roc_curve(labels, scores)
    return float(np.trapezoid(recall, false_positive_rate))


def precision_recall_curve(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall, (steps,) each, as the threshold falls."""
    _, sad, happy = steps(labels, scores)
    return happy / (sad + happy), happy / happy[-1]


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """The area under the steps of the precision-recall curve, without interpolation."""
    precision, recall = precision_recall_curve(labels, scores)
    return float(np.sum(np.diff(recall, prepend=0) * precision))


def reliability(labels: np.ndarray, scores: np.ndarray) -> list[dict]:
    """The bins of ``mass_bins``: n, mean score, and the share that is happy with its interval, of each."""
    which = mass_bins(scores)
    return [
        {
            "score": float(scores[which == b].mean()),
            **proportion("share_happy", labels[which == b]),
            "n": int((which == b).sum()),
        }
        for b in np.unique(which)
    ]


def ece(labels: np.ndarray, scores: np.ndarray) -> float:
    """Expected calibration error: the distance of mean score and share of happy, averaged over the bins."""
    return float(np.abs(np.bincount(mass_bins(scores), scores - labels)).sum() / len(labels))


def mass_bins(scores: np.ndarray, bins: int = 10) -> np.ndarray:
    """The bin (n,) of each score: as many scores in each, but equal scores in one."""
    edges = np.quantile(scores, np.linspace(0, 1, bins + 1))
    return np.searchsorted(edges[1:-1], scores)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided exact p-value that two classifiers, right where ``first`` and ``second`` (n,) say, err alike.

    McNemar (1947): of the pictures on which just one is right, how many are the first's is a coin's count.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    n, k = only_first + only_second, min(only_first, only_second)
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)


def uncalibrated(scores: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """The scores before ``platt``'s slope and intercept were applied."""
    return 1 / (1 + np.exp(-(logit(scores) - intercept) / slope))


def best_threshold(labels: np.ndarray, figure: str) -> float:
    """Where calibrated scores should be cut for the highest balanced_accuracy or accuracy, as ``figure`` says.

    By Bayes' rule: at the share of happy in ``labels``, at 0.5. Searching these labels' scores for their
    highest figure would fit their noise: on a few dozen pictures that costs several points on new ones.
    """
    return {"balanced_accuracy": float(labels.mean()), "accuracy": 0.5}[figure]


def logit(scores: np.ndarray) -> np.ndarray:
    safe = np.clip(scores.astype(float), 1e-7, 1 - 1e-7)
    return np.log(safe) - np.log1p(-safe)


def platt(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Slope and intercept that turn logits into those of calibrated probabilities.

    Platt scaling (Platt 1999) by Newton's method on his smoothed targets, which keep the slope finite
    where the scores separate the classes. A slope below 0 would turn every answer round, which is no
    calibration: then (1, 0).
    """
    happy, sad = labels.sum(), (1 - labels).sum()
    targets = np.where(labels == 1, (happy + 1) / (happy + 2), 1 / (sad + 2))
    x = np.stack([logit(scores), np.ones(len(scores))])
    weights = np.array([1.0, 0.0])
    for _ in range(100):
        p = 1 / (1 + np.exp(-(weights @ x)))
        gradient = x @ (p - targets)
        hessian = (x * (p * (1 - p))) @ x.T + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-10:
            break
    slope, intercept = (float(w) for w in weights)
    return (slope, intercept) if slope > 0 and math.isfinite(slope + intercept) else (1.0, 0.0)
