"""The results in words: each verdict follows from its figures."""

import pandas as pd
import pytest

from happysad.evaluation import findings

ROBUSTNESS = pd.DataFrame(
    {
        "corruption": ["none", "blur", "blur", "mirror"],
        "setting": ["", "some", "much", "left and right swapped"],
        "accuracy": [0.5, 0.7, 0.6, 0.8],
        "n": 100,
        "label_changes": [0, 0.3, 0.4, 0.1],
    }
)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.2, "is significantly better than"),
        (-0.2, -0.01, "is significantly worse than"),
        (-0.1, 0.1, "is not significantly different from"),
    ],
)
def test_findings(low, high, verdict):
    figures, intervals = {"gain": (low + high) / 2}, {"gain": {"low": low, "high": high}}
    gain, corruption, mirror = findings.findings(figures, intervals, ROBUSTNESS)
    assert verdict in gain
    assert f"{50 * (low + high):+.1f} percentage points" in gain
    assert f"({100 * low:+.1f} to {100 * high:+.1f})" in gain
    assert "blur (much): accuracy 60.0%, 50.0% unchanged, on 100 pictures" in corruption
    assert "changes 10.0%" in mirror


def test_headline():
    intervals = {"n": 50, "accuracy": {"low": 0.8, "high": 0.95}, "logistic": {"accuracy": 0.7}}
    intervals["majority"] = {"label": "sad", "accuracy": 0.6}
    line = findings.headline({"accuracy": 0.9}, intervals)
    assert "90.0% (95% interval 80.0% to 95.0%) on 50 unseen" in line
    assert "always predicting sad, the majority class of train: 60.0%" in line
    assert "grey pixels: 70.0%" in line
