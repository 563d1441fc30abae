"""Platt scaling: scores become probabilities."""

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

UNSURE_BELOW = 2 / 3  # probability of the label: odds of less than two to one
FLATTEST = 0.001  # slope: a lower one would turn predictions round


def platt(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the line from the logits of ``scores`` (n,) to those of probabilities at even odds.

    Logistic regression on smoothed targets, which keep the slope finite where the scores separate the classes (Platt
    1999). Its intercept holds the odds of the classes in ``labels`` (n,); they are taken out (Elkan 2001), so that 0.5
    is the threshold that treats both classes alike. Where the scores are no better than chance, the slope is FLATTEST and
    every probability nearly 0.5.
    """
    happy, sad = labels.sum(), (1 - labels).sum()
    targets = np.where(labels == 1, (happy + 1) / (happy + 2), 1 / (sad + 2))
    x = logit(np.clip(scores, 1e-7, 1 - 1e-7))
    line = LogisticRegression(C=np.inf, tol=1e-10, solver="lbfgs").fit(
        np.tile(x, 2)[:, None], np.repeat([1, 0], len(x)), np.concatenate([targets, 1 - targets])
    )
    slope, intercept, odds = line.coef_.item(), line.intercept_.item(), logit(targets.mean())
    if slope < FLATTEST:
        slope, intercept = FLATTEST, odds - FLATTEST * x.mean()
    return float(round(slope, 6)), float(round(intercept - odds, 6))
