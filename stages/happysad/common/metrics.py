"""The metrics that DVC shows for validation and test alike."""

import numpy as np
from sklearn import metrics
from sklearn.utils.class_weight import compute_sample_weight

from happysad import CLASSES

SMALLEST = 1e-6  # a score of 0 or 1 is less certain than it says: scores are written with six decimals


def predicted_labels(scores: np.ndarray) -> np.ndarray:
    """Happy where one of ``scores`` (n,) is at least 0.5, else sad: the names, (n,)."""
    return np.where(scores >= 0.5, CLASSES[1], CLASSES[0])


def compute(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Metrics by name, from ``labels`` (n,), 0 for sad and 1 for happy, and ``scores`` (n,), the probability of happy.

    Happy is the positive class. Scores are probabilities at even odds of the two classes, so log_loss weights both
    equally, whatever their numbers; ln 2 is a constant score of 0.5.
    """
    predicted = scores >= 0.5
    equal = compute_sample_weight("balanced", labels)
    return {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted),
        "precision": metrics.precision_score(labels, predicted, zero_division=0),
        "recall": metrics.recall_score(labels, predicted),
        "specificity": metrics.recall_score(labels, predicted, pos_label=0),
        "f1": metrics.f1_score(labels, predicted),
        "roc_auc": metrics.roc_auc_score(labels, scores),
        "average_precision": metrics.average_precision_score(labels, scores),
        "log_loss": metrics.log_loss(labels, clip(scores), sample_weight=equal),
    }


def clip(scores: np.ndarray) -> np.ndarray:
    """``scores`` without 0 and 1, whose logarithms are infinite."""
    return np.clip(scores, SMALLEST, 1 - SMALLEST)
