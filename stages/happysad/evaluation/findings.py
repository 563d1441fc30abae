"""The test results in words, for the terminal and for the report."""

import pandas as pd

from happysad import CLASSES

PRINTED = ("accuracy", "precision", "recall", "specificity", "roc_auc", "average_precision", "brier", "ece")


def summary(figures: dict[str, float], slices: pd.DataFrame, robustness: pd.DataFrame) -> str:
    """The main figures with their intervals, then ``findings``, then ``headline``."""
    lines = []
    for name in PRINTED:
        low, high = figures[f"{name}_ci_low"], figures[f"{name}_ci_high"]
        lines.append(f"{name:18} {figures[name]:.3f}  ({low:.3f} to {high:.3f})")
    return "\n".join([*lines, *findings(figures, slices, robustness), headline(figures)])


def headline(figures: dict[str, float]) -> str:
    """The accuracy beside that of the baselines, in one sentence."""
    majority = CLASSES[abs(figures["majority_accuracy"] - figures["prevalence"]) < 1e-9]
    low, high = figures["accuracy_ci_low"], figures["accuracy_ci_high"]
    return (
        f"Accuracy {figures['accuracy']:.1%} (95% interval {low:.1%} to {high:.1%}) on {figures['n']} unseen "
        f"test pictures; always predicting {majority}: {figures['majority_accuracy']:.1%}; "
        f"logistic regression on 16x16 grey pixels: {figures['logistic_accuracy']:.1%}."
    )


def findings(figures: dict[str, float], slices: pd.DataFrame, robustness: pd.DataFrame) -> list[str]:
    """One sentence each on the baselines, on the slices, and on the corruptions."""
    gain, low, high = (100 * figures[f"gain{end}"] for end in ("", "_ci_low", "_ci_high"))
    difference = "better than" if low > 0 else "worse than" if high < 0 else "different from"
    verdict = "not significantly" if low <= 0 <= high else "significantly"
    points = f"{gain:+.1f} percentage points of accuracy ({low:+.1f} to {high:+.1f})"
    lines = [f"The model is {verdict} {difference} the stronger baseline: {points}."]
    worse = slices[slices["worse"] == "yes"]
    for row in worse.itertuples():
        lines.append(
            f"It is significantly worse on {row.slice} {row.value}: accuracy {row.accuracy:.1%} on {row.n} "
            f"pictures, {row.accuracy_of_rest:.1%} on the rest."
        )
    if worse.empty:
        lines.append("It is not significantly worse on any slice of the test set.")
    corrupted = robustness.set_index("corruption").drop("none")
    worst = corrupted.sort_values("accuracy", kind="stable").iloc[0]
    lines.append(
        f"The most harmful corruption is {worst.name} ({worst['setting']}): accuracy {worst['accuracy']:.1%}. "
        f"Mirroring a picture changes {corrupted.loc['mirror', 'label_changes']:.1%} of the predictions."
    )
    return lines
