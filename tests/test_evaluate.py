"""What evaluate writes, computed again from predictions.csv."""

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import metrics as judge
from sklearn.linear_model import LogisticRegression

import evaluate
from happysad.common.files import read_json
from happysad.common.tables import read_csv
from happysad.training import baseline


@pytest.fixture(scope="module")
def rows(finished):
    return read_csv(finished / "metrics/predictions.csv")


def test_figures_follow_from_the_predictions(finished, rows):
    figures, intervals = (read_json(finished / f"metrics/{name}.json") for name in ("test", "test_intervals"))
    labels, scores = (rows["label"] == "happy").to_numpy(int), rows["score"].to_numpy()
    assert (rows["predicted"] == np.where(scores >= 0.5, "happy", "sad")).all()
    train = [file.parent.name for file in (finished / "data/prepared/train").glob("*/*.png")]
    majority = "happy" if train.count("happy") >= len(train) / 2 else "sad"
    logistic = rows["baseline_score"] >= 0.5
    balanced = [judge.balanced_accuracy_score(labels, predicted) for predicted in (scores >= 0.5, logistic)]
    expected = {
        "accuracy": (rows["label"] == rows["predicted"]).mean(),
        "balanced_accuracy": balanced[0],
        "roc_auc": judge.roc_auc_score(labels, scores),
        "gain": balanced[0] - max(0.5, balanced[1]),
    }
    assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert figures.keys() == intervals.keys() - {"n", "prevalence", "majority", "logistic"}
    assert (intervals["n"], intervals["prevalence"]) == (len(rows), pytest.approx(labels.mean(), abs=1e-6))
    assert intervals["majority"].pop("label") == majority
    accuracies = (rows["label"] == majority).mean(), (labels == logistic).mean()
    for name, accuracy, balance in zip(("majority", "logistic"), accuracies, (0.5, balanced[1]), strict=True):
        expected = {"accuracy": accuracy, "balanced_accuracy": balance}
        assert intervals[name] == pytest.approx(expected, abs=1e-6)
    robustness = read_csv(finished / "metrics/robustness.csv")
    assert robustness["accuracy"][0] == figures["accuracy"]  # unchanged
    assert (robustness["label_changes"] > 0).any()


@pytest.mark.parametrize(("baseline_right", "gain"), [(0.7, 0.2), (0.4, 0.4)])  # the second is below chance
def test_interval_of_the_gain(baseline_right, gain):
    """Against the standard error of independent predictions; always predicting happy has the best accuracy."""
    rng = np.random.default_rng(0)
    happy = np.arange(1000) < 800
    made = pd.DataFrame({"label": np.where(happy, "happy", "sad"), "group": np.arange(1000)})
    for name, fraction in (("score", 0.9), ("baseline_score", baseline_right)):
        right = np.concatenate([rng.permutation(n) < n * fraction for n in (800, 200)])
        made[name] = np.where(happy == right, 0.8, 0.2)
    figures, intervals = evaluate.measure(made, "happy")
    variance = 0.9 * 0.1 + (baseline_right * (1 - baseline_right) if baseline_right > 0.5 else 0)
    error = (variance * (1 / 800 + 1 / 200) / 4) ** 0.5
    ends = {"low": gain - 1.96 * error, "high": gain + 1.96 * error}
    assert figures["gain"] == pytest.approx(gain)
    assert intervals["gain"] == pytest.approx(ends, abs=0.4 * error)


def test_baseline(finished, rows):
    files = sorted((finished / "data/prepared/train").glob("*/*.png"))
    train = np.array([file.parent.name == "happy" for file in files], int)
    x = baseline.features(np.asarray(Image.open(file)) for file in files)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    fitted = LogisticRegression(
        C=1 / (baseline.PENALTY * len(x)), class_weight="balanced", tol=1e-10, max_iter=1000
    )
    fitted.fit((x - mean) / spread, train)
    tests = [finished / f"data/prepared/test/{row.label}/{row.id}.png" for row in rows.itertuples()]
    x = (baseline.features(np.asarray(Image.open(file)) for file in tests) - mean) / spread
    assert rows["baseline_score"].to_numpy() == pytest.approx(fitted.predict_proba(x)[:, 1], abs=1e-3)


def test_brightness_and_colour_are_those_of_the_prepared_pictures(finished, rows):
    for row in rows.itertuples():
        picture = Image.open(finished / f"data/prepared/test/{row.label}/{row.id}.png")
        assert row.brightness == pytest.approx(np.mean(picture), rel=1e-5)
        saturation = np.ptp(np.asarray(picture, int), axis=2).mean()
        assert row.colour == ("colour" if saturation > 4 else "grey")


def test_train_and_validation_stay_closed_and_the_bytes_the_same(finished, tmp_path):
    for name in ("models", "metrics", "data/prepared/test"):
        shutil.copytree(finished / name, tmp_path / name)
    shutil.copy(finished / "data/prepared/manifest.csv", tmp_path / "data/prepared")
    outputs = ["test.json", "test_intervals.json", "predictions.csv", "robustness.csv"]
    for name, number in (("charts", 6), ("galleries", 3)):
        files = [f"plots/{name}/{file.name}" for file in (finished / "metrics/plots" / name).iterdir()]
        assert len(files) == number
        outputs += files
    for name in outputs:
        (tmp_path / "metrics" / name).unlink()
    evaluate.main(tmp_path)
    for name in outputs:
        assert (tmp_path / "metrics" / name).read_bytes() == (finished / "metrics" / name).read_bytes(), name
