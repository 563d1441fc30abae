"""The results in words: each verdict follows from its figures."""

import pandas as pd
import pytest

from happysad.common.caveats import NO_SKILL, caveats
from happysad.evaluation import findings

SLICES = pd.DataFrame(
    {
        "slice": "flag",
        "value": ["dark", "light"],
        "worse": ["yes", "no"],
        "n": [9, 9],
        "accuracy": [0.1, 0.9],
        "accuracy_of_rest": 0.85,
    }
)
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
        (0.01, 0.2, "significantly better than"),
        (-0.2, -0.01, "significantly worse than"),
        (-0.1, 0.1, "not significantly different from"),
    ],
)
def test_findings(low, high, verdict):
    figures, intervals = {"gain": (low + high) / 2}, {"gain": {"low": low, "high": high}}
    baseline, worse, robustness = findings.findings(figures, intervals, SLICES, ROBUSTNESS)
    points = f"{50 * (low + high):+.1f} percentage points of balanced accuracy ({100 * low:+.1f} to {100 * high:+.1f})"
    assert baseline == f"The model is {verdict} the stronger baseline: {points}."
    assert "flag dark: accuracy 10.0% on 9 pictures, 85.0% on the rest" in worse
    assert "blur (much): accuracy 60.0%, 50.0% unchanged, on 100 pictures" in robustness
    assert "changes 10.0%" in robustness
    assert (
        "not significantly worse on any" in findings.findings(figures, intervals, SLICES[1:], ROBUSTNESS)[1]
    )


def test_headline():
    intervals = {"n": 50, "accuracy": {"low": 0.8, "high": 0.95}, "logistic": {"accuracy": 0.7}}
    intervals["majority"] = {"label": "sad", "accuracy": 0.6}
    line = findings.headline({"accuracy": 0.9}, intervals)
    assert "Accuracy 90.0% (95% interval 80.0% to 95.0%) on 50 unseen test pictures" in line
    assert "always predicting sad, the majority class of train: 60.0%" in line
    assert "grey pixels: 70.0%" in line


def test_caveats():
    assert caveats({"notes": []}, {"better_than_chance": True}) == []
    assert caveats({"notes": ["scenes"]}, {"better_than_chance": False}) == ["scenes", NO_SKILL]
