"""95% intervals, and a test of two classifiers on the same pictures."""

import math

import numpy as np
import pandas as pd
from scipy.stats import binomtest, norm, t

from happysad.common.metrics import clip

Interval = dict[str, float]  # low and high


def intervals(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> dict[str, Interval]:
    """Of each metric of ``common.metrics.compute``: Wilson's for proportions, else the bootstrap's.

    For balanced_accuracy, the lower and the higher end of two: the bootstrap's, and that of Wilson's intervals for
    recall and specificity (MOVER, Zou and Donner 2008), since without a mistake the bootstrap has no width.
    """
    right = (scores >= 0.5) == labels
    of = {"accuracy": np.full(len(labels), True), "precision": scores >= 0.5}
    of |= {"recall": labels == 1, "specificity": labels == 0}
    ends = percentiles(resampled(labels, scores, groups))
    ends |= {name: wilson(right[members], groups[members]) for name, members in of.items()}
    recall, specificity = right[labels == 1].mean(), right[labels == 0].mean()
    for end, wider, sign in (("low", min, -1), ("high", max, 1)):
        distance = math.hypot(recall - ends["recall"][end], specificity - ends["specificity"][end])
        balanced = (recall + specificity + sign * distance) / 2
        ends["balanced_accuracy"][end] = wider(ends["balanced_accuracy"][end], balanced)
    return ends


def difference(
    labels: np.ndarray, scores_a: np.ndarray, scores_b: np.ndarray, groups: np.ndarray
) -> dict[str, Interval]:
    """Of the metrics of b minus those of a on the same pictures, by the bootstrap."""
    a, b = (resampled(labels, scores, groups) for scores in (scores_a, scores_b))
    return percentiles(b - a)


def proportion(name: str, hits: np.ndarray) -> dict[str, float]:
    """The fraction of True in ``hits`` (n,) as ``name``, with its interval as <name>_ci_low and <name>_ci_high.

    It takes the pictures to be independent.
    """
    ends = wilson(hits, np.arange(len(hits)))
    return {name: hits.mean()} | {f"{name}_ci_{end}": value for end, value in ends.items()}


def wilson(hits: np.ndarray, groups: np.ndarray) -> Interval:
    """The score interval (Wilson 1927) of the fraction of True in ``hits`` (n,); 0 to 1 where n is 0.

    Pictures of a scene are alike, so those of few ``groups`` (n,) count as fewer (Korn and Graubard 1998): by the design
    effect, and by how little is known of it. Unlike the bootstrap's, the interval holds with few pictures, and where
    all of them are right.
    """
    if not len(hits):
        return {"low": 0.0, "high": 1.0}
    p, n = hits.mean(), len(hits)
    in_groups = np.bincount(np.unique(groups, return_inverse=True)[1], hits - p)
    variance, clustered = np.square(hits - p).sum(), np.square(in_groups).sum()
    reliable, estimated = t.ppf(0.975, np.maximum(1, [n - 1, len(in_groups) - 1]))
    n *= (variance / max(variance, clustered) if variance else 1) * (reliable / estimated) ** 2
    z = norm.ppf(0.975)
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    return {"low": max(0.0, round(middle - half, 9)), "high": min(1.0, round(middle + half, 9))}


def percentiles(samples: pd.DataFrame) -> dict[str, Interval]:
    """Of each column."""
    return samples.quantile([0.025, 0.975]).set_axis(["low", "high"]).to_dict()


def resampled(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> pd.DataFrame:
    """A row of metrics for each of 1000 bootstrap samples, less those that lack a class; the same samples for any scores.

    Pictures of a scene are alike, so what is drawn is whole ``groups`` (n,): the cluster bootstrap (Davison and
    Hinkley 1997, section 3.8).
    """
    names, member = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(1)
    draws = (rng.integers(len(names), size=len(names)) for _ in range(1000))
    samples = (np.bincount(draw, minlength=len(names))[member] for draw in draws)
    return pd.DataFrame(
        weighted(labels, scores, weights)
        for weights in samples
        if weights @ labels > 0 and weights @ (1 - labels) > 0
    )


def weighted(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """As scikit-learn with ``weights`` (n,) as sample_weight, whole numbers, in a thirtieth of the time."""
    happy, sad = weights * labels, weights * (1 - labels)
    all_happy, all_sad = happy.sum(), sad.sum()
    true, false = happy @ (scores >= 0.5), sad @ (scores >= 0.5)  # positives
    order = np.argsort(-scores)
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of each run of equal scores
    above, wrong = (np.cumsum(part[order])[last] for part in (happy, sad))  # at each threshold
    steps = np.diff(above, prepend=0)
    losses = happy @ -np.log(clip(scores)), sad @ -np.log1p(-clip(scores))
    return {
        "accuracy": (true + all_sad - false) / (all_happy + all_sad),
        "balanced_accuracy": (true / all_happy + 1 - false / all_sad) / 2,
        "f1": 2 * true / (all_happy + true + false),
        "roc_auc": np.diff(wrong, prepend=0) @ (above - steps / 2) / (all_happy * all_sad),
        "average_precision": steps @ (above / np.maximum(above + wrong, 1)) / all_happy,
        "log_loss": (losses[0] / all_happy + losses[1] / all_sad) / 2,
    }


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided exact p-value that two classifiers have the same accuracy (McNemar 1947).

    ``first`` and ``second`` (n,) are True where each is right. Of the pictures that only one gets right, the
    number of the first's is then binomial with probability 0.5.
    """
    only_first, only_one = int((first & ~second).sum()), int((first != second).sum())
    return binomtest(only_first, only_one).pvalue if only_one else 1.0
