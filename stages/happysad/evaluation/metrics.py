"""Metrics, their intervals, curves, threshold and calibration. numpy only.

Throughout, ``labels`` is (n,) of 0 for sad and 1 for happy, ``scores`` (n,) the predicted probability of happy,
and the prediction is happy where score >= threshold. The positive class is happy.
"""

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist

import numpy as np

Z = NormalDist().inv_cdf(0.975)  # of a two-sided 95% interval


def compute(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float]:
    """All metrics by name; proportions with their 95% Wilson interval as <name>_ci_low and <name>_ci_high."""
    return proportions(labels, scores, threshold) | overall(labels, scores, threshold)


def proportions(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float]:
    """The metrics that are proportions of predictions, with their Wilson intervals."""
    happy, predicted_happy = labels == 1, scores >= threshold
    right = happy == predicted_happy
    figures = {"n": len(labels), "prevalence": float(happy.mean())}
    for name, hits in {
        "accuracy": right,
        "precision": right[predicted_happy],
        "recall": right[happy],
        "specificity": right[~happy],
        "accuracy_at_half": happy == (scores >= 0.5),
    }.items():
        figures |= proportion(name, hits)
    return figures


def proportion(name: str, hits: np.ndarray) -> dict[str, float]:
    """The fraction of True in ``hits`` (n,) as ``name``, with its Wilson interval; 0 where n is 0."""
    low, high = wilson(int(hits.sum()), len(hits))
    fraction = float(hits.mean()) if len(hits) else 0.0
    return {name: fraction, f"{name}_ci_low": low, f"{name}_ci_high": high}


def overall(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float]:
    """The metrics that are not proportions of independent predictions, so that Wilson intervals do not apply."""
    happy, predicted_happy = labels == 1, scores >= threshold
    true_positives = int((happy & predicted_happy).sum())
    return {
        "balanced_accuracy": float((predicted_happy[happy].mean() + 1 - predicted_happy[~happy].mean()) / 2),
        "f1": 2 * true_positives / int(happy.sum() + predicted_happy.sum()),
        "roc_auc": roc_auc(labels, scores),
        "average_precision": average_precision(labels, scores),
        "brier": float(np.mean((scores - labels) ** 2)),
        "ece": ece(labels, scores),
        "log_loss": log_loss(labels, scores),
    }


def intervals(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float]:
    """The metrics of ``overall`` with their 95% intervals, by the percentile bootstrap."""
    resampled = [overall(labels[i], scores[i], threshold) for i in resamples(labels)]
    figures = {}
    for name, value in overall(labels, scores, threshold).items():
        values = np.array([resample[name] for resample in resampled])
        if name == "ece":
            # It is biased upwards by sampling noise, of which resampling adds as much again: remove that.
            values = np.maximum(values - values.mean() + value, 0)
        low, high = percentiles(values)
        figures |= {name: value, f"{name}_ci_low": low, f"{name}_ci_high": high}
    return figures


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """The 95% interval of bootstrap ``values`` (resamples,)."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def resamples(labels: np.ndarray, times: int = 1000, seed: int = 1) -> Iterator[np.ndarray]:
    """Yield bootstrap samples of the pictures as indices (n,); each sample holds both classes."""
    rng = np.random.default_rng(seed)
    while times:
        index = rng.integers(len(labels), size=len(labels))
        if labels[index].any() and not labels[index].all():
            times -= 1
            yield index


def wilson(hits: int, n: int, z: float = Z) -> tuple[float, float]:
    """The score interval for a proportion (Wilson 1927), 95% by default; (0, 1) where n is 0."""
    if n == 0:
        return 0.0, 1.0
    fraction = hits / n
    centre = fraction + z * z / (2 * n)
    spread = z * math.sqrt(fraction * (1 - fraction) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def log_loss(labels: np.ndarray, scores: np.ndarray) -> float:
    safe = np.clip(scores.astype(float), 1e-7, 1 - 1e-7)
    return float(-np.mean(np.where(labels == 1, np.log(safe), np.log1p(-safe))))


def steps(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each distinct score as a threshold, from high to low, with the counts of sad and happy at or above it."""
    order = np.argsort(-scores, kind="stable")
    labels, scores = labels[order], scores[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # of each run of equal scores
    happy = np.cumsum(labels)[last]
    return scores[last], last + 1 - happy, happy


def roc_curve(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False positive rate and true positive rate (recall), (steps + 1,) each, from (0, 0) to (1, 1)."""
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


def reliability(labels: np.ndarray, scores: np.ndarray) -> list[dict[str, float]]:
    """For each bin of ``mass_bins``: n, the mean score, and the fraction that is happy with its interval."""
    which = mass_bins(scores)
    return [
        {"n": int(part.sum()), "score": float(scores[part].mean()), **proportion("happy", labels[part])}
        for part in (which == number for number in np.unique(which))
    ]


def ece(labels: np.ndarray, scores: np.ndarray) -> float:
    """Expected calibration error: the mean over the bins of |mean score - fraction that is happy|."""
    return float(np.abs(np.bincount(mass_bins(scores), scores - labels)).sum() / len(labels))


def mass_bins(scores: np.ndarray, bins: int = 10) -> np.ndarray:
    """The bin (n,) of each score: equally many scores in each bin, but equal scores always share one."""
    edges = np.quantile(scores, np.linspace(0, 1, bins + 1))
    return np.searchsorted(edges[1:-1], scores)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided exact p-value that two classifiers have the same accuracy (McNemar 1947).

    ``first`` and ``second`` (n,) are True where each is right. Of the pictures that only one gets right, the
    number of the first's is then binomial with probability 0.5.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    n, k = only_first + only_second, min(only_first, only_second)
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)


def uncalibrated(scores: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """The scores before the slope and intercept of ``platt`` were applied."""
    return 1 / (1 + np.exp(-(logit(scores) - intercept) / slope))


def best_threshold(labels: np.ndarray, metric: str) -> float:
    """The threshold of calibrated scores with the highest expected ``metric``, balanced_accuracy or accuracy.

    By Bayes' rule: the fraction that is happy in ``labels``, or 0.5. Searching the scores for the threshold
    with the highest metric overfits: with a few dozen pictures it costs several percentage points on new ones.
    """
    return {"balanced_accuracy": float(labels.mean()), "accuracy": 0.5}[metric]


def logit(scores: np.ndarray) -> np.ndarray:
    safe = np.clip(scores.astype(float), 1e-7, 1 - 1e-7)
    return np.log(safe) - np.log1p(-safe)


def platt(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Slope and intercept that map the logits of ``scores`` to those of calibrated probabilities.

    Platt scaling (Platt 1999) by Newton's method on his smoothed targets, which keep the slope finite where
    the scores separate the classes. A slope below 0 would invert every prediction rather than calibrate it:
    the result is then (1, 0).
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
