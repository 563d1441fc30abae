"""What evaluate writes, computed again from predictions.csv with scikit-learn and SciPy as the judges."""

import shutil
from itertools import islice

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest, fisher_exact
from sklearn import metrics as judge
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

import evaluate
from happysad.common.files import read_csv, read_json
from happysad.evaluation import baseline, metrics, slices


@pytest.fixture(scope="module")
def rows(finished):
    return read_csv(finished / "metrics/predictions.csv")


@pytest.fixture(scope="module")
def figures(finished):
    return read_json(finished / "metrics/test.json")


@pytest.fixture(scope="module")
def answers(rows):
    """Labels, scores and answers, (n,) each."""
    labels, predicted = (
        np.array([row[name] == "happy" for row in rows], int) for name in ("label", "predicted")
    )
    return labels, np.array([float(row["score"]) for row in rows]), predicted


def wilson(part: np.ndarray) -> tuple[float, float]:
    interval = binomtest(int(part.sum()), len(part)).proportion_ci(method="wilson")
    return interval.low, interval.high


def test_metrics(figures, answers):
    labels, scores, predicted = answers
    share, mean = calibration_curve(labels, scores, n_bins=10, strategy="quantile")
    edges = np.percentile(scores, np.linspace(0, 100, 11))
    sizes = np.bincount(np.searchsorted(edges[1:-1], scores), minlength=10)
    expected = {
        "n": len(labels),
        "prevalence": labels.mean(),
        "accuracy": judge.accuracy_score(labels, predicted),
        "accuracy_at_half": judge.accuracy_score(labels, scores >= 0.5),
        "precision": judge.precision_score(labels, predicted, zero_division=0),
        "recall": judge.recall_score(labels, predicted),
        "specificity": judge.recall_score(labels, predicted, pos_label=0),
        "balanced_accuracy": judge.balanced_accuracy_score(labels, predicted),
        "f1": judge.f1_score(labels, predicted),
        "roc_auc": judge.roc_auc_score(labels, scores),
        "average_precision": judge.average_precision_score(labels, scores),
        "brier": judge.brier_score_loss(labels, scores),
        "log_loss": judge.log_loss(labels, scores),
        "ece": np.sum(sizes[sizes > 0] * np.abs(share - mean)) / len(labels),
    }
    assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_intervals(finished, figures, answers, rows):
    labels, scores, predicted = answers
    threshold = read_json(finished / "models/model.json")["threshold"]
    right = labels == predicted
    for name, part in {
        "accuracy": right,
        "accuracy_at_half": labels == (scores >= 0.5),
        "precision": right[predicted == 1],
        "recall": right[labels == 1],
        "specificity": right[labels == 0],
    }.items():
        found = figures[f"{name}_ci_low"], figures[f"{name}_ci_high"]
        assert found == pytest.approx(wilson(part) if len(part) else (0, 1), abs=1e-9)
    groups = np.array([row["group"] for row in rows])
    for i in islice(metrics.resamples(labels, groups), 20):
        assert metrics.roc_auc(labels[i], scores[i]) == pytest.approx(
            judge.roc_auc_score(labels[i], scores[i])
        )
    areas = [metrics.roc_auc(labels[i], scores[i]) for i in metrics.resamples(labels, groups)]
    found = figures["roc_auc_ci_low"], figures["roc_auc_ci_high"]
    assert found == pytest.approx(tuple(np.percentile(areas, [2.5, 97.5])), abs=1e-9)
    again = metrics.intervals(labels, scores, threshold, groups)
    assert {name: figures[name] for name in again} == pytest.approx(again, abs=1e-9)


def test_baselines(finished, figures, answers, rows):
    labels, _, predicted = answers
    files = sorted((finished / "data/prepared/train").glob("*/*.png"))
    train = np.array([file.parent.name == "happy" for file in files], int)
    majority = int(train.mean() >= 0.5)
    assert figures["majority_accuracy"] == pytest.approx((labels == majority).mean(), abs=1e-9)
    x = baseline.features(np.asarray(Image.open(file)) for file in files)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    fitted = LogisticRegression(C=1 / (baseline.PENALTY * len(x)), tol=1e-10, max_iter=1000)
    fitted.fit((x - mean) / spread, train)
    tests = [finished / f"data/prepared/test/{row['label']}/{row['id']}.png" for row in rows]
    x = (baseline.features(np.asarray(Image.open(file)) for file in tests) - mean) / spread
    scores = np.array([float(row["baseline_score"]) for row in rows])
    assert scores == pytest.approx(fitted.predict_proba(x)[:, 1], abs=1e-3)
    logistic = labels == (scores >= 0.5)
    assert figures["logistic_accuracy"] == pytest.approx(logistic.mean(), abs=1e-9)
    better = max((labels == majority).mean(), logistic.mean())
    assert figures["gain"] == pytest.approx((labels == predicted).mean() - better, abs=1e-9)
    assert figures["gain_ci_low"] <= figures["gain"] <= figures["gain_ci_high"]


def test_slices(finished, rows):
    table = read_csv(finished / "metrics/slices.csv")
    assert {row["slice"] for row in table} >= {"format", "colour", "brightness"}
    for found, again in zip(table, slices.table(rows), strict=True):
        assert found == {name: str(value) for name, value in again.items()}
    for found in table:
        if found["slice"] in ("format", "colour"):
            inside = [row[found["slice"]] == found["value"] for row in rows]
            right = np.array([row["label"] == row["predicted"] for row in rows])
            part, rest = right[inside], right[np.logical_not(inside)]
            assert int(found["n"]) == len(part)
            assert float(found["accuracy"]) == pytest.approx(part.mean(), abs=1e-9)
            low, high = wilson(part)
            assert float(found["accuracy_ci_low"]) == pytest.approx(low, abs=1e-9)
            assert float(found["accuracy_ci_high"]) == pytest.approx(high, abs=1e-9)
            counts = [[part.sum(), (~part).sum()], [rest.sum(), (~rest).sum()]]
            expected = fisher_exact(counts, alternative="less").pvalue
            assert float(found["p_value"]) == pytest.approx(expected, abs=1e-9)


def test_robustness(finished, figures):
    table = read_csv(finished / "metrics/robustness.csv")
    assert float(table[0]["accuracy"]) == figures["accuracy"]
    assert len(table) == 1 + 8 * 3 + 1
    assert any(float(row["label_changes"]) > 0 for row in table)


def test_train_and_validation_stay_closed_and_the_bytes_the_same(finished, tmp_path):
    for name in ("models", "metrics"):
        shutil.copytree(finished / name, tmp_path / name)
    shutil.copytree(finished / "data/prepared/test", tmp_path / "data/prepared/test")
    shutil.copy(finished / "data/prepared/manifest.csv", tmp_path / "data/prepared")
    outputs = ["test.json", "predictions.csv", "slices.csv", "robustness.csv"]
    outputs += [f"plots/test/{file.name}" for file in (finished / "metrics/plots/test").iterdir()]
    assert len(outputs) == 4 + 9
    for name in outputs:
        (tmp_path / "metrics" / name).unlink()
    evaluate.main(tmp_path)
    for name in outputs:
        assert (tmp_path / "metrics" / name).read_bytes() == (finished / "metrics" / name).read_bytes(), name


def test_galleries_hold_the_surest_mistakes_first():
    labels = np.array([0, 0, 0, 1, 1, 1])
    scores = np.array([0.1, 0.7, 0.9, 0.2, 0.55, 0.95])
    chosen = {name: list(index) for name, _, index in evaluate.galleries(labels, scores, 0.5)}
    assert chosen == {
        "sad_called_happy": [2, 1],
        "happy_called_sad": [3],
        "least_certain": [4, 1, 3, 2, 0, 5],
    }
