"""compare on two commits of made-up predictions."""

import re
import subprocess
import sys

import pandas as pd
import pytest

import compare
from happysad.common.tables import write_csv


def predictions(wrong: range, n: int = 200) -> pd.DataFrame:
    made = []
    for i in range(n):
        label, other = ("happy", "sad") if i % 2 else ("sad", "happy")
        predicted = other if i in wrong else label
        score = 0.9 if predicted == "happy" else 0.1
        made.append({"id": f"{i}", "label": label, "score": score, "predicted": predicted})
    return pd.DataFrame(made)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A commit that is wrong on 40 of 200 pictures of either split; the tests change the workspace."""
    root = tmp_path_factory.mktemp("compared")
    write_csv(root / "metrics/validation.csv", predictions(range(40)))
    write_csv(root / "metrics/predictions.csv", predictions(range(40)).assign(group="a"))
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"], ["git", "add", "."]):
        subprocess.run(command, cwd=root, check=True)
    subprocess.run(["git", *identity, "commit", "-qm", "a"], cwd=root, check=True)
    return root


@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [
        (range(34), "workspace is significantly better than HEAD"),  # of 6 pictures, 6: p = 2 / 2**6
        (range(35), "The difference between workspace and HEAD is not significant"),  # p = 2 / 2**5
        (range(46), "workspace is significantly worse than HEAD"),
        (range(1, 41), "The difference between workspace and HEAD is not significant"),
    ],
)
def test_verdict(project, capsys, wrong, verdict):
    write_csv(project / "metrics/validation.csv", predictions(wrong))
    compare.main(["--root", str(project), "HEAD"])
    lines = capsys.readouterr().out.splitlines()
    assert verdict in lines[-1]
    for line, name in zip(lines, ("accuracy", "balanced_accuracy", "roc_auc"), strict=False):
        assert line.startswith(name)  # scores of two values: all three are alike
        before, after, change, low, high = map(float, re.findall(r"[+-]?\d\.\d+", line))
        assert (before, after) == pytest.approx((0.8, 1 - len(wrong) / 200), abs=6e-4)
        assert change == pytest.approx(after - before, abs=6e-4)
        # The standard error of a mean difference: few pictures differ, each by 1.
        error = (len(set(wrong) ^ set(range(40))) / 200**2) ** 0.5
        assert (low, high) == pytest.approx((change - 1.96 * error, change + 1.96 * error), abs=0.5 * error)


def test_the_test_pictures_only_on_demand(project, capsys):
    write_csv(project / "metrics/validation.csv", predictions(range(40)))
    test = predictions(range(20)).assign(group=[f"{i // 4}" for i in range(200)])
    write_csv(project / "metrics/predictions.csv", test)
    for option, figures in (([], "0.800 -> 0.800"), (["--test"], "0.800 -> 0.900")):
        compare.main(["--root", str(project), "HEAD", *option])
        assert figures in capsys.readouterr().out


def test_refuses_other_pictures_or_labels(project):
    changed = predictions(range(40))
    changed.loc[3, "label"] = "sad"
    for rows in (predictions(range(40), n=199), changed):
        write_csv(project / "metrics/validation.csv", rows)
        with pytest.raises(SystemExit, match=r"^error: .*199 in common"):
            compare.main(["--root", str(project), "HEAD", "workspace"])


def test_unknown_revision(project):
    with pytest.raises(SystemExit, match=r"^error: nonsense: [^\n]+$"):
        compare.main(["--root", str(project), "nonsense"])
