"""Is B better than A? Both are git revisions or DVC experiments, judged by the same pictures.

python stages/compare.py main fiery-moth      an experiment (named by make experiments) against a branch
python stages/compare.py HEAD                 the workspace against the last commit

Choose by the validation pictures. --test is for the last word on what you have chosen: whoever tries many
settings finds one that is better on the test pictures by chance.
"""

import argparse
import sys
from io import BytesIO
from pathlib import Path

import pandas as pd
from dvc.api import read
from dvc.exceptions import DvcException
from dvc.scm import SCMError

from happysad import CLASSES
from happysad.common import metrics
from happysad.common.cli import PROJECT
from happysad.common.errors import UserError
from happysad.common.tables import read_csv
from happysad.evaluation import intervals

WORKSPACE = "workspace"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("a", metavar="A", help="revision or experiment")
    parser.add_argument("b", metavar="B", nargs="?", default=WORKSPACE, help="default: the workspace")
    parser.add_argument("--test", action="store_true", help="compare on the test pictures, not on validation")
    parser.add_argument("--root", type=Path, default=PROJECT, help="project folder (default: this one)")
    options = parser.parse_args(argv)
    file = "metrics/predictions.csv" if options.test else "metrics/validation.csv"
    try:
        tables = [read_predictions(options.root, file, name) for name in (options.a, options.b)]
        print(compare(*tables, options.a, options.b))
    except UserError as error:
        sys.exit(f"error: {error}")


def read_predictions(root: Path, file: str, revision: str) -> pd.DataFrame:
    """``file`` at ``revision``. Raises UserError if there is none."""
    try:
        content = read(file, repo=str(root), rev=None if revision == WORKSPACE else revision, mode="rb")
    except (DvcException, SCMError, OSError) as error:
        raise UserError(f"{revision}: {str(error).splitlines()[0]}") from None
    return read_csv(BytesIO(content))


def compare(a: pd.DataFrame, b: pd.DataFrame, name_a: str, name_b: str) -> str:
    """The verdict, in a few lines. Raises UserError if the pictures or their labels differ."""
    both = a.merge(b, on=["id", "label"], suffixes=("_a", "_b")).sort_values("id")
    if not len(both) == len(a) == len(b):
        raise UserError(
            f"{name_a} and {name_b} judged different pictures or labels: {len(both)} in common, "
            f"{len(a) - len(both)} only in {name_a}, {len(b) - len(both)} only in {name_b}. "
            f"Run both on the same data"
        )
    labels = both["label"].map(CLASSES.index).to_numpy()
    groups = both.get("group_b", both["id"]).to_numpy()  # train, which writes validation.csv, knows no groups
    score_a, score_b = both["score_a"].to_numpy(), both["score_b"].to_numpy()
    before, after = metrics.compute(labels, score_a), metrics.compute(labels, score_b)
    ends = intervals.difference(labels, score_a, score_b, groups)
    lines = [
        f"{name:18} {before[name]:.3f} -> {after[name]:.3f}  {after[name] - before[name]:+.3f} "
        f"({ends[name]['low']:+.3f} to {ends[name]['high']:+.3f})"
        for name in ("accuracy", "balanced_accuracy", "roc_auc")
    ]
    right_a, right_b = ((both[f"predicted_{x}"] == both["label"]).to_numpy() for x in "ab")
    only_a, only_b = (right_a & ~right_b).sum(), (right_b & ~right_a).sum()
    p = intervals.mcnemar(right_a, right_b)
    verdict = f"The difference between {name_b} and {name_a} is not significant."
    if p < 0.05:
        verdict = (
            f"{name_b} is significantly {'better' if only_b > only_a else 'worse'} than {name_a} on these pictures; "
            f"to tell the settings from a lucky train.seed, repeat both with other seeds."
        )
    right = f"of {len(both)} pictures, only {name_b} is right on {only_b}, only {name_a} on {only_a}"
    return "\n".join([*lines, f"{right}; McNemar's exact p = {p:.2g}", verdict])


if __name__ == "__main__":
    main()
