"""Metrics against values worked out by hand; intervals against scikit-learn, SciPy or a published value."""

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn import metrics as judge

from happysad.common import metrics
from happysad.evaluation import intervals


def test_metrics_by_hand():
    found = metrics.compute(np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.6, 0.3, 0.5, 0.9]))
    happy, sad = np.log([0.5, 0.9]).mean(), np.log([0.9, 0.4, 0.7]).mean()
    assert found == pytest.approx(
        {
            "accuracy": 4 / 5,
            "balanced_accuracy": (1 + 2 / 3) / 2,
            "precision": 2 / 3,
            "recall": 1,
            "specificity": 2 / 3,
            "f1": 2 * 2 / 3 / (1 + 2 / 3),
            "roc_auc": 5 / 6,  # of the pairs of a happy and a sad picture
            "average_precision": (1 + 2 / 3) / 2,  # at the two steps of recall
            "log_loss": -(happy + sad) / 2,
        }
    )


def test_a_wrong_score_of_1_costs_no_infinite_loss():
    loss = metrics.compute(np.array([0, 1]), np.ones(2))["log_loss"]
    assert loss == pytest.approx(-np.log(1e-6) / 2, rel=1e-4)


def test_weighted_metrics_are_those_of_scikit_learn():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        n = rng.integers(2, 60)
        labels, scores, weights = rng.integers(0, 2, n), rng.integers(0, 21, n) / 20, rng.integers(0, 5, n)
        labels[:2], weights[:2] = (0, 1), 1
        predicted, equal = scores >= 0.5, weights / np.bincount(labels, weights)[labels]
        expected = {
            "accuracy": judge.accuracy_score(labels, predicted, sample_weight=weights),
            "balanced_accuracy": judge.balanced_accuracy_score(labels, predicted, sample_weight=weights),
            "f1": judge.f1_score(labels, predicted, sample_weight=weights, zero_division=0),
            "roc_auc": judge.roc_auc_score(labels, scores, sample_weight=weights),
            "average_precision": judge.average_precision_score(labels, scores, sample_weight=weights),
            "log_loss": judge.log_loss(labels, np.clip(scores, 1e-6, 1 - 1e-6), sample_weight=equal),
        }
        assert intervals.weighted(labels, scores, weights) == pytest.approx(expected)


def simulated(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, n)
    return labels, np.clip(0.5 + 0.15 * (2 * labels - 1) + rng.normal(0, 0.2, n), 0, 1)


def test_bootstrap():
    labels, scores = simulated(200)
    options = {"paired": True, "vectorized": False, "n_resamples": 1000, "method": "percentile", "rng": 0}
    expected = bootstrap((labels, scores), judge.roc_auc_score, **options).confidence_interval
    found = intervals.intervals(labels, scores, np.arange(200))["roc_auc"]
    width = expected.high - expected.low
    assert (found["low"], found["high"]) == pytest.approx(expected, abs=0.06 * width)


def test_pictures_of_a_scene_prove_no_more_than_one():
    labels, scores = simulated(40)
    once = intervals.resampled(labels, scores, np.arange(40))
    five_times = intervals.resampled(*(values.repeat(5) for values in (labels, scores, np.arange(40))))
    np.testing.assert_allclose(five_times, once)
    as_if_independent = intervals.resampled(labels.repeat(5), scores.repeat(5), np.arange(200))
    assert as_if_independent["roc_auc"].std() < 0.6 * once["roc_auc"].std()


@pytest.mark.parametrize(("scenes", "likelihood"), [(5, 0.8), (30, 0.8), (30, 0.95)])
def test_interval_holds_though_pictures_of_a_scene_are_alike(scenes: int, likelihood: float):
    rng, groups = np.random.default_rng(1), np.arange(scenes).repeat(20)

    def coverage(groups: np.ndarray) -> float:
        covered = []
        for _ in range(200):
            of_scene = rng.beta(3 * likelihood, 3 * (1 - likelihood), scenes)  # intraclass correlation 0.25
            ends = intervals.wilson(rng.random(len(groups)) < of_scene.repeat(20), groups)
            covered.append(ends["low"] <= likelihood <= ends["high"])
        return np.mean(covered)

    assert coverage(groups) >= 0.85
    assert coverage(np.arange(len(groups))) < 0.7


def test_few_pictures_without_a_mistake_prove_little():
    labels, scores = np.array([0, 0, 0, 1, 1, 1]), np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    found = intervals.intervals(labels, scores, np.arange(6))
    low = 3 / (3 + 1.959964**2)  # Wilson's for 3 of 3
    assert found["recall"] == found["specificity"] == pytest.approx({"low": low, "high": 1})
    assert found["balanced_accuracy"] == pytest.approx({"low": 1 - (1 - low) / 2**0.5, "high": 1})


def test_resamples_without_a_class_are_left_out():
    found = intervals.intervals(np.array([0, 1, 1]), np.array([0.2, 0.6, 0.4]), np.arange(3))
    assert found["roc_auc"] == {"low": 1, "high": 1}
    assert found["log_loss"]["high"] == pytest.approx((-np.log(0.8) - np.log(0.4)) / 2)


def test_wilson():
    # Newcombe (1998), table I
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (hits, n), (low, high) in published.items():
        found = intervals.proportion("hits", np.arange(n) < hits)
        assert found == pytest.approx({"hits": hits / n, "hits_ci_low": low, "hits_ci_high": high}, abs=5e-5)
    assert intervals.wilson(np.array([]), np.array([])) == {"low": 0, "high": 1}


def test_each_proportion_has_its_own_interval():
    labels, scores = simulated(200)
    found, value = intervals.intervals(labels, scores, np.arange(200)), metrics.compute(labels, scores)
    of = {"accuracy": np.ones(200), "precision": scores >= 0.5, "recall": labels, "specificity": 1 - labels}
    for name, members in of.items():
        weight = 1.959964**2 / members.sum()  # of 0.5 in the middle of Wilson's interval
        middle = (value[name] + weight / 2) / (1 + weight)
        assert np.mean([*found[name].values()]) == pytest.approx(middle)


def test_mcnemar():
    def p_value(only_first: int, only_second: int) -> float:
        first = np.array([True] * only_first + [False] * only_second + [True, False])
        second = np.array([False] * only_first + [True] * only_second + [True, False])
        return intervals.mcnemar(first, second)

    assert p_value(2, 10) == p_value(10, 2) == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert p_value(3, 3) == p_value(0, 0) == 1
