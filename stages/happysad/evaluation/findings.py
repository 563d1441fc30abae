"""The test results in words, for the terminal and for the report."""

import pandas as pd


def summary(figures: dict[str, float], intervals: dict, robustness: pd.DataFrame, caveats: list[str]) -> str:
    """``table``, ``findings``, ``caveats`` and ``headline``, line by line."""
    lines = table(figures, intervals) + findings(figures, intervals, robustness) + caveats
    return "\n".join([*lines, headline(figures, intervals)])


def table(figures: dict[str, float], intervals: dict) -> list[str]:
    """A line for each figure, with its interval."""
    return [
        f"{name:18} {value:.3f}  ({intervals[name]['low']:.3f} to {intervals[name]['high']:.3f})"
        for name, value in figures.items()
    ]


def headline(figures: dict[str, float], intervals: dict) -> str:
    """The accuracy beside that of the baselines, in one sentence."""
    ends, majority, logistic = (intervals[name] for name in ("accuracy", "majority", "logistic"))
    return (
        f"Accuracy {figures['accuracy']:.1%} (95% interval {ends['low']:.1%} to {ends['high']:.1%}) on "
        f"{intervals['n']} unseen test pictures; always predicting {majority['label']}, the majority class of train: "
        f"{majority['accuracy']:.1%}; logistic regression on 16x16 grey pixels: {logistic['accuracy']:.1%}."
    )


def findings(figures: dict[str, float], intervals: dict, robustness: pd.DataFrame) -> list[str]:
    """One sentence each on the gain over the baselines, the worst corruption, and mirroring."""
    gain, low, high = (100 * x for x in (figures["gain"], *intervals["gain"].values()))
    if low <= 0 <= high:
        verdict = "not significantly different from"
    else:
        verdict = "significantly better than" if low > 0 else "significantly worse than"
    points = f"{gain:+.1f} percentage points of balanced accuracy ({low:+.1f} to {high:+.1f})"
    unchanged, *_ = robustness["accuracy"]
    corrupted = robustness.set_index("corruption").drop("none")
    worst = corrupted.sort_values("accuracy", kind="stable").iloc[0]
    return [
        f"The model is {verdict} the stronger baseline: {points}.",
        f"The most harmful corruption is {worst.name} ({worst['setting']}): accuracy {worst['accuracy']:.1%}, "
        + f"{unchanged:.1%} unchanged, on {worst['n']} pictures.",
        f"Mirroring a picture changes {corrupted.loc['mirror', 'label_changes']:.1%} of the predictions.",
    ]
