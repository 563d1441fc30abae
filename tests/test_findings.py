"""The results in words: each verdict follows from its figures."""

import pandas as pd
import pytest

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
    figures = {"gain": (low + high) / 2, "gain_ci_low": low, "gain_ci_high": high}
    baseline, worse, robustness = findings.findings(figures, SLICES, ROBUSTNESS)
    assert baseline.startswith(f"The model is {verdict} the stronger baseline: ")
    assert "flag dark: accuracy 10.0% on 9 pictures, 85.0% on the rest" in worse
    assert "blur (much): accuracy 60.0%" in robustness
    assert "changes 10.0%" in robustness
    assert "not significantly worse on any" in findings.findings(figures, SLICES[1:], ROBUSTNESS)[1]


def test_headline_names_the_majority_class():
    figures = {"accuracy": 0.9, "accuracy_ci_low": 0.8, "accuracy_ci_high": 0.95, "n": 50}
    figures |= {"prevalence": 0.4, "logistic_accuracy": 0.7}
    assert "always predicting sad: 60.0%" in findings.headline(figures | {"majority_accuracy": 0.6})
    assert "always predicting happy: 40.0%" in findings.headline(figures | {"majority_accuracy": 0.4})
