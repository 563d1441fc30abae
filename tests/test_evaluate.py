"""What evaluate writes, computed again from predictions.csv with scikit-learn and SciPy as the judges."""

import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest, bootstrap
from sklearn import metrics as judge
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

import evaluate
from happysad.common.files import read_json
from happysad.common.tables import read_csv
from happysad.evaluation import baseline


@pytest.fixture(scope="module")
def rows(finished):
    return read_csv(finished / "metrics/predictions.csv")


@pytest.fixture(scope="module")
def figures(finished):
    return read_json(finished / "metrics/test.json")


@pytest.fixture(scope="module")
def predictions(rows):
    """Labels, scores and predicted labels, (n,) each."""
    labels, predicted = ((rows[name] == "happy").to_numpy(int) for name in ("label", "predicted"))
    return labels, rows["score"].to_numpy(), predicted


def wilson(hits: np.ndarray) -> tuple[float, float]:
    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
    return interval.low, interval.high


def test_metrics(figures, predictions):
    labels, scores, predicted = predictions
    fraction, mean = calibration_curve(labels, scores, n_bins=10, strategy="quantile")
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
        "ece": np.sum(sizes[sizes > 0] * np.abs(fraction - mean)) / len(labels),
    }
    assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_wilson_intervals(figures, predictions):
    labels, scores, predicted = predictions
    right = labels == predicted
    for name, hits in {
        "accuracy": right,
        "accuracy_at_half": labels == (scores >= 0.5),
        "precision": right[predicted == 1],
        "recall": right[labels == 1],
        "specificity": right[labels == 0],
    }.items():
        found = figures[f"{name}_ci_low"], figures[f"{name}_ci_high"]
        assert found == pytest.approx(wilson(hits) if len(hits) else (0, 1), abs=1e-9)


def test_bootstrap_interval(figures, predictions):
    labels, scores, _ = predictions
    squared_error = (labels - scores) ** 2
    interval = bootstrap((squared_error,), np.mean, method="percentile", rng=0).confidence_interval
    found = figures["brier_ci_low"], figures["brier_ci_high"]
    assert found == pytest.approx((interval.low, interval.high), abs=0.15 * (interval.high - interval.low))


def test_baselines(finished, figures, predictions, rows):
    labels, _, predicted = predictions
    files = sorted((finished / "data/prepared/train").glob("*/*.png"))
    train = np.array([file.parent.name == "happy" for file in files], int)
    majority = int(train.mean() >= 0.5)
    assert figures["majority_accuracy"] == pytest.approx((labels == majority).mean(), abs=1e-9)
    x = baseline.features(np.asarray(Image.open(file)) for file in files)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    fitted = LogisticRegression(C=1 / (baseline.PENALTY * len(x)), tol=1e-10, max_iter=1000)
    fitted.fit((x - mean) / spread, train)
    tests = [finished / f"data/prepared/test/{row.label}/{row.id}.png" for row in rows.itertuples()]
    x = (baseline.features(np.asarray(Image.open(file)) for file in tests) - mean) / spread
    scores = rows["baseline_score"].to_numpy()
    assert scores == pytest.approx(fitted.predict_proba(x)[:, 1], abs=1e-3)
    logistic = labels == (scores >= 0.5)
    assert figures["logistic_accuracy"] == pytest.approx(logistic.mean(), abs=1e-9)
    better = max((labels == majority).mean(), logistic.mean())
    assert figures["gain"] == pytest.approx((labels == predicted).mean() - better, abs=1e-9)
    assert figures["gain_ci_low"] <= figures["gain"] <= figures["gain_ci_high"]


def test_slices_of_pixels(finished, rows):
    """Brightness and colour are those of the prepared pictures, and each picture falls into one tercile."""
    for row in rows.itertuples():
        picture = Image.open(finished / f"data/prepared/test/{row.label}/{row.id}.png")
        assert row.brightness == pytest.approx(np.mean(picture), abs=1e-9)
        saturation = np.ptp(np.asarray(picture, int), axis=2).mean()
        assert row.colour == ("colour" if saturation > 4 else "grey")
    table = read_csv(finished / "metrics/slices.csv").set_index("slice")
    assert set(table.index) >= {"format", "colour", "brightness"}
    assert table.loc["brightness", "n"].sum() == len(rows)
    expected = (rows["label"] == rows["predicted"]).groupby(rows["format"]).mean()
    assert table.loc["format"].set_index("value")["accuracy"].to_dict() == pytest.approx(expected.to_dict())


def test_robustness(finished, figures):
    table = read_csv(finished / "metrics/robustness.csv")
    assert table["accuracy"][0] == figures["accuracy"]
    assert len(table) == 1 + 8 * 3 + 1
    assert (table["label_changes"] > 0).any()


def test_train_and_validation_stay_closed_and_the_bytes_the_same(finished, tmp_path):
    for name in ("models", "metrics"):
        shutil.copytree(finished / name, tmp_path / name)
    shutil.copytree(finished / "data/prepared/test", tmp_path / "data/prepared/test")
    shutil.copy(finished / "data/prepared/manifest.csv", tmp_path / "data/prepared")
    outputs = [
        "test.json",
        "predictions.csv",
        "roc.csv",
        "precision_recall.csv",
        "slices.csv",
        "robustness.csv",
    ]
    outputs += [f"plots/test/{file.name}" for file in (finished / "metrics/plots/test").iterdir()]
    assert len(outputs) == 6 + 9
    for name in outputs:
        (tmp_path / "metrics" / name).unlink()
    evaluate.main(tmp_path)
    for name in outputs:
        assert (tmp_path / "metrics" / name).read_bytes() == (finished / "metrics" / name).read_bytes(), name
