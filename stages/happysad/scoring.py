"""Figures about scores: metrics, intervals, curves, threshold, calibration. numpy only.

Throughout, ``labels`` is (n,) of 0 for sad and 1 for happy, ``scores`` (n,) the probability of happy,
and an answer is happy where score >= threshold. Positive is happy.
"""

import math

import numpy as np


def metrics(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float]:
    """Flat figures for test.json; proportions come with their 95% Wilson interval as _ci_low and _ci_high."""
    happy, said_happy = labels == 1, scores >= threshold
    right = happy == said_happy
    figures = {"n": len(labels), "prevalence": float(happy.mean())}
    for name, part in {
        "accuracy": right,
        "precision": right[said_happy],
        "recall": right[happy],
        "specificity": right[~happy],
    }.items():
        low, high = wilson(int(part.sum()), len(part))
        share = float(part.mean()) if len(part) else 0.0
        figures |= {name: share, f"{name}_ci_low": low, f"{name}_ci_high": high}
    precision, recall = figures["precision"], figures["recall"]
    figures["balanced_accuracy"] = (recall + figures["specificity"]) / 2
    figures["f1"] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    figures["roc_auc"] = roc_auc(labels, scores)
    figures["average_precision"] = average_precision(labels, scores)
    figures["brier"] = float(np.mean((scores - labels) ** 2))
    figures["log_loss"] = log_loss(labels, scores)
    return figures


def wilson(hits: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
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


def best_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    """The threshold of highest balanced accuracy, halfway between two scores; of equals, the nearest to 0.5."""
    at, sad, happy = steps(labels, scores)
    balanced = (happy / happy[-1] + 1 - sad / sad[-1]) / 2
    halfway = (at + np.append(at[1:], 0)) / 2
    best = np.flatnonzero(balanced > balanced.max() - 1e-12)
    return float(halfway[best[np.argmin(np.abs(halfway[best] - 0.5))]])


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
