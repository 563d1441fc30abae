"""Is experiment B better than A? Both are git revisions or DVC experiments, measured on the same test pictures.

python stages/compare.py main fiery-moth      an experiment (dvc exp show names them) against a branch
python stages/compare.py HEAD                 the files as they are now against the last commit
"""

import argparse
import csv
import io
import sys
from pathlib import Path

import numpy as np
from dvc.api import read
from dvc.exceptions import DvcException
from dvc.scm import SCMError

from happysad.common.cli import PROJECT
from happysad.common.errors import UserError
from happysad.evaluation import metrics

WORKSPACE = "workspace"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("a", metavar="A", help="revision or experiment")
    parser.add_argument(
        "b", metavar="B", nargs="?", default=WORKSPACE, help="default: the files as they are now"
    )
    parser.add_argument("--root", type=Path, default=PROJECT, help="project folder (default: this one)")
    options = parser.parse_args(argv)
    try:
        rows = [predictions(options.root, name) for name in (options.a, options.b)]
        print(comparison(*rows, options.a, options.b))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def predictions(root: Path, revision: str) -> list[dict]:
    """The rows of metrics/predictions.csv at ``revision``, sorted by id. Raises UserError where it has none."""
    try:
        rev = None if revision == WORKSPACE else revision
        content = read("metrics/predictions.csv", repo=str(root), rev=rev, mode="rb")
    except (DvcException, SCMError, OSError) as error:
        raise UserError(f"{revision}: {str(error).splitlines()[0]}") from None
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8", "surrogateescape"), newline="")))
    if not rows or "id" not in rows[0]:
        raise UserError(f"{revision}: an older version wrote its metrics/predictions.csv: run evaluate there")
    return sorted(rows, key=lambda row: row["id"])


def comparison(a: list[dict], b: list[dict], name_a: str, name_b: str) -> str:
    """The verdict, some lines. Raises UserError where the test pictures or their labels differ."""
    test_a, test_b = ({(row["id"], row["label"]) for row in rows} for rows in (a, b))
    if test_a != test_b:
        raise UserError(
            f"{name_a} and {name_b} were tested on different pictures or labels: {len(test_a & test_b)} in common, "
            f"{len(test_a - test_b)} of {name_a} alone, {len(test_b - test_a)} of {name_b} alone. "
            f"Run both on the same data"
        )
    labels = np.array([row["label"] == "happy" for row in a], int)
    groups = np.array([row["group"] for row in a])
    right_a, right_b = (np.array([row["predicted"] == row["label"] for row in rows]) for rows in (a, b))
    score_a, score_b = (np.array([float(row["score"]) for row in rows]) for rows in (a, b))
    draws = [
        (
            right_b[i].mean() - right_a[i].mean(),
            metrics.roc_auc(labels[i], score_b[i]) - metrics.roc_auc(labels[i], score_a[i]),
        )
        for i in metrics.resamples(labels, groups)
    ]
    (low, high), (auc_low, auc_high) = (metrics.percentiles(values) for values in np.array(draws).T)
    gain, p = right_b.mean() - right_a.mean(), metrics.mcnemar(right_a, right_b)
    auc_a, auc_b = metrics.roc_auc(labels, score_a), metrics.roc_auc(labels, score_b)
    if p >= 0.05:
        verdict = f"Not decided: {name_b} may be better or worse than {name_a}, or the same."
    else:
        verdict = (
            f"{name_b} is {'better' if gain > 0 else 'worse'} than {name_a}, beyond chance in the choice of pictures; "
            f"whether the recipe or a lucky train.seed made it so, a run with another seed tells."
        )
    return (
        f"accuracy  {right_a.mean():.3f} -> {right_b.mean():.3f}  {gain:+.3f} ({low:+.3f} to {high:+.3f})\n"
        f"roc_auc   {auc_a:.3f} -> {auc_b:.3f}  {auc_b - auc_a:+.3f} ({auc_low:+.3f} to {auc_high:+.3f})\n"
        f"of {len(a)} test pictures {name_b} alone has {(right_b & ~right_a).sum()} right, "
        f"{name_a} alone {(right_a & ~right_b).sum()}; McNemar's exact p = {p:.2g}\n{verdict}"
    )


if __name__ == "__main__":
    sys.exit(main())
