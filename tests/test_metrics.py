"""Every metric against scikit-learn, SciPy or a published value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as judge
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from happysad.evaluation import metrics


@st.composite
def examples(draw):
    """Labels of both classes and scores with ties."""
    n = draw(st.integers(2, 60))
    labels = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    labels[:2] = 0, 1
    return labels, np.array(draw(st.lists(st.integers(1, 19), min_size=n, max_size=n))) / 20


@given(examples(), st.sampled_from([0.0, 0.3, 0.5, 0.55, 1.0]))
def test_metrics(examples, threshold):
    labels, scores = examples
    predicted = scores >= threshold
    expected = {
        "accuracy": judge.accuracy_score(labels, predicted),
        "precision": judge.precision_score(labels, predicted, zero_division=0),
        "recall": judge.recall_score(labels, predicted),
        "specificity": judge.recall_score(labels, predicted, pos_label=0),
        "balanced_accuracy": judge.balanced_accuracy_score(labels, predicted),
        "f1": judge.f1_score(labels, predicted, zero_division=0),
        "roc_auc": judge.roc_auc_score(labels, scores),
        "average_precision": judge.average_precision_score(labels, scores),
        "brier": judge.brier_score_loss(labels, scores),
        "log_loss": judge.log_loss(labels, scores),
        "prevalence": labels.mean(),
        "n": len(labels),
    }
    found = metrics.compute(labels, scores, threshold)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    for name in ("accuracy", "precision", "recall", "specificity"):
        assert 0 <= found[f"{name}_ci_low"] <= found[name] + 1e-12
        assert found[name] <= found[f"{name}_ci_high"] + 1e-12 <= 1 + 1e-12


@given(examples())
def test_curves(examples):
    false_positive_rate, recall = metrics.roc_curve(*examples)
    expected = judge.roc_curve(*examples, drop_intermediate=False)
    assert np.allclose([false_positive_rate, recall], expected[:2])
    precision, recall = metrics.precision_recall_curve(*examples)
    expected = judge.precision_recall_curve(*examples)
    assert np.allclose([precision, recall], [expected[0][-2::-1], expected[1][-2::-1]])


def test_wilson():
    # Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29
    for hits, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert metrics.wilson(hits, n) == pytest.approx((low, high), abs=5e-5)
    assert metrics.wilson(0, 0) == (0, 1)


@pytest.mark.parametrize("metric", ["balanced_accuracy", "accuracy"])
def test_best_threshold_of_calibrated_scores(metric):
    rng = np.random.default_rng(0)
    scores = rng.beta(2, 1, 100_000)
    labels = (rng.random(len(scores)) < scores).astype(int)
    judged = getattr(judge, f"{metric}_score")
    every = [judged(labels, scores >= t) for t in np.linspace(0.05, 0.95, 91)]
    best = judged(labels, scores >= metrics.best_threshold(labels, metric))
    assert best == pytest.approx(max(every), abs=0.002)
    assert best > judged(labels, scores >= 0.6) + 0.002  # or any threshold would do


def test_platt_is_logistic_regression_on_the_logit():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 4000)
    scores = 1 / (1 + np.exp(-(0.4 * (2 * labels - 1) + 0.3 + 0.4 * rng.normal(size=4000))))
    slope, intercept = metrics.platt(labels, scores)
    fitted = LogisticRegression(C=1e9, tol=1e-10).fit(metrics.logit(scores)[:, None], labels)
    assert (slope, intercept) == pytest.approx((fitted.coef_[0, 0], fitted.intercept_[0]), rel=0.01)


def test_platt_stays_finite_and_keeps_the_order():
    labels = np.array([0, 0, 0, 1, 1, 1])
    slope, _ = metrics.platt(labels, np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9]))
    assert 0 < slope < 100
    assert metrics.platt(labels, np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.1])) == (1, 0)


@given(examples())
def test_ece(examples):
    labels, scores = examples
    fraction, mean = calibration_curve(labels, scores, n_bins=10, strategy="quantile")
    edges = np.percentile(scores, np.linspace(0, 100, 11))
    sizes = np.bincount(np.searchsorted(edges[1:-1], scores))
    expected = np.sum(sizes[sizes > 0] * np.abs(fraction - mean)) / len(labels)
    assert metrics.ece(labels, scores) == pytest.approx(expected, abs=1e-9)
    bins = metrics.reliability(labels, scores)
    assert [row["happy"] for row in bins] == pytest.approx(fraction)
    assert [row["score"] for row in bins] == pytest.approx(mean)
    assert [row["n"] for row in bins] == sizes[sizes > 0].tolist()


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
def test_mcnemar(pairs):
    first, second = np.array(pairs).T
    only_first, either = int((first & ~second).sum()), int((first != second).sum())
    expected = binomtest(only_first, either).pvalue if either else 1
    assert metrics.mcnemar(first, second) == pytest.approx(expected, abs=1e-9)


def test_bootstrap_intervals():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    scores = np.clip(0.5 + 0.15 * (2 * labels - 1) + rng.normal(0, 0.2, 200), 0.01, 0.99)
    found = metrics.intervals(labels, scores, 0.5)
    for name, value in metrics.overall(labels, scores, 0.5).items():
        assert found[f"{name}_ci_low"] < value < found[f"{name}_ci_high"]
    # DeLong's standard error of the area is what the bootstrap estimates.
    happy, sad = scores[labels == 1], scores[labels == 0]
    above = (happy[:, None] > sad).astype(float)
    error = np.sqrt(above.mean(axis=1).var() / len(happy) + above.mean(axis=0).var() / len(sad))
    width = found["roc_auc_ci_high"] - found["roc_auc_ci_low"]
    assert width == pytest.approx(2 * metrics.Z * error, rel=0.15)


def test_resamples_hold_both_classes_and_draw_evenly():
    labels = np.array([0] * 9 + [1])
    samples = np.array(list(metrics.resamples(labels)))
    assert samples.shape == (1000, 10)
    assert labels[samples].any(axis=1).all()
    counts = np.bincount(samples.ravel(), minlength=10)
    assert counts[:9] == pytest.approx(np.full(9, counts[:9].mean()), rel=0.15)


def test_uncalibrated_undoes_platt():
    scores = np.linspace(0.05, 0.95, 19)
    calibrated = 1 / (1 + np.exp(-(2.5 * metrics.logit(scores) - 0.3)))
    assert metrics.uncalibrated(calibrated, 2.5, -0.3) == pytest.approx(scores)
