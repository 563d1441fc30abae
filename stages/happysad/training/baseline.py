"""What a picture classifier must beat: the majority class, and logistic regression on 16x16 grey pixels."""

from collections.abc import Iterable

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from happysad import CLASSES

SIDE = 16
MOST = 20_000  # training pictures: 257 weights gain little from more, which would cost memory
PENALTY = 0.01  # L2, per picture; the best on the validation splits of drawn faces, web photos and FER2013


def features(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """uint8 pictures (height, width, 3) -> (n, 256) mean grey values in [0, 1]."""
    grey = [Image.fromarray(p).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX) for p in pictures]
    return np.stack([np.asarray(g, float).ravel() for g in grey]) / 255


def fit(pictures: np.ndarray, labels: np.ndarray) -> dict:
    """The majority class of ``labels`` (n,), and weights (256,) and bias of the regression on ``pictures``.

    The regression weights both classes equally, as the model does.
    """
    every = -(-len(labels) // MOST)
    pictures, labels = pictures[::every], labels[::every]
    scaler = StandardScaler()
    x = scaler.fit_transform(features(pictures))
    regression = LogisticRegression(
        C=1 / (PENALTY * len(x)), class_weight="balanced", solver="newton-cholesky", tol=1e-8
    ).fit(x, labels)
    weights = regression.coef_[0] / scaler.scale_
    bias = regression.intercept_[0] - weights @ scaler.mean_
    # Rounded, so that the last bits of a matrix product do not change the file.
    return {
        "majority": CLASSES[int(labels.mean() >= 0.5)],
        "weights": weights.round(6).tolist(),
        "bias": round(float(bias), 6),
    }


def scores(baseline: dict, pictures: Iterable[np.ndarray]) -> np.ndarray:
    """The logistic regression's probability of happy, (n,)."""
    return 1 / (1 + np.exp(-(features(pictures) @ np.array(baseline["weights"]) + baseline["bias"])))
