"""Is B better than A? Both are git revisions or DVC experiments, evaluated on the same test pictures.

python stages/compare.py main fiery-moth      an experiment (named by dvc exp show) against a branch
python stages/compare.py HEAD                 the workspace against the last commit
"""

import argparse
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from dvc.api import read
from dvc.exceptions import DvcException
from dvc.scm import SCMError

from happysad import CLASSES
from happysad.common.cli import PROJECT
from happysad.common.errors import UserError
from happysad.common.tables import read_csv
from happysad.evaluation import metrics

WORKSPACE = "workspace"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("a", metavar="A", help="revision or experiment")
    parser.add_argument("b", metavar="B", nargs="?", default=WORKSPACE, help="default: the workspace")
    parser.add_argument("--root", type=Path, default=PROJECT, help="project folder (default: this one)")
    options = parser.parse_args(argv)
    try:
        tables = [read_predictions(options.root, name) for name in (options.a, options.b)]
        print(compare(*tables, options.a, options.b))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def read_predictions(root: Path, revision: str) -> pd.DataFrame:
    """metrics/predictions.csv at ``revision``. Raises UserError if there is none, or one of an older format."""
    try:
        rev = None if revision == WORKSPACE else revision
        content = read("metrics/predictions.csv", repo=str(root), rev=rev, mode="rb")
    except (DvcException, SCMError, OSError) as error:
        raise UserError(f"{revision}: {str(error).splitlines()[0]}") from None
    table = read_csv(BytesIO(content))
    if "id" not in table:
        raise UserError(
            f"{revision}: metrics/predictions.csv is of an older version: run dvc repro evaluate there"
        )
    return table


def compare(a: pd.DataFrame, b: pd.DataFrame, name_a: str, name_b: str) -> str:
    """The verdict, in a few lines. Raises UserError if the test pictures or their labels differ."""
    both = a.merge(b, on=["id", "label"], suffixes=("_a", "_b")).sort_values("id")
    if not len(both) == len(a) == len(b):
        raise UserError(
            f"{name_a} and {name_b} were tested on different pictures or labels: {len(both)} in common, "
            f"{len(a) - len(both)} only in {name_a}, {len(b) - len(both)} only in {name_b}. "
            f"Run both on the same data"
        )
    labels = both["label"].map(CLASSES.index).to_numpy()
    right_a, right_b = ((both[f"predicted_{x}"] == both["label"]).to_numpy() for x in "ab")
    score_a, score_b = (both[f"score_{x}"].to_numpy() for x in "ab")
    differences = [
        (
            right_b[i].mean() - right_a[i].mean(),
            metrics.roc_auc(labels[i], score_b[i]) - metrics.roc_auc(labels[i], score_a[i]),
        )
        for i in metrics.resamples(labels)
    ]
    (low, high), (auc_low, auc_high) = (metrics.percentiles(values) for values in np.array(differences).T)
    gain, p = right_b.mean() - right_a.mean(), metrics.mcnemar(right_a, right_b)
    auc_a, auc_b = metrics.roc_auc(labels, score_a), metrics.roc_auc(labels, score_b)
    if p >= 0.05:
        verdict = f"The difference between {name_b} and {name_a} is not significant."
    else:
        verdict = (
            f"{name_b} is significantly {'better' if gain > 0 else 'worse'} than {name_a} on these pictures; "
            f"to tell the settings from a lucky train.seed, repeat both with other seeds."
        )
    return (
        f"accuracy  {right_a.mean():.3f} -> {right_b.mean():.3f}  {gain:+.3f} ({low:+.3f} to {high:+.3f})\n"
        f"roc_auc   {auc_a:.3f} -> {auc_b:.3f}  {auc_b - auc_a:+.3f} ({auc_low:+.3f} to {auc_high:+.3f})\n"
        f"of {len(both)} test pictures, only {name_b} is right on {(right_b & ~right_a).sum()}, "
        f"only {name_a} on {(right_a & ~right_b).sum()}; McNemar's exact p = {p:.2g}\n{verdict}"
    )


if __name__ == "__main__":
    sys.exit(main())
