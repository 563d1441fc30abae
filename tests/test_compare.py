"""compare on two commits of a made-up predictions.csv."""

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
        row = {"path": f"{label}/{i}.jpg", "label": label, "split": "test", "group": f"{i}", "id": f"{i}"}
        made.append(row | {"score": score, "predicted": predicted})
    return pd.DataFrame(made)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A commit that is wrong on 40 of 200 pictures; the tests change the workspace."""
    root = tmp_path_factory.mktemp("compared")
    write_csv(root / "metrics/predictions.csv", predictions(range(40)))
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"], ["git", "add", "."]):
        subprocess.run(command, cwd=root, check=True)
    subprocess.run(["git", *identity, "commit", "-qm", "a"], cwd=root, check=True)
    return root


@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [
        (range(20), "workspace is significantly better than HEAD"),
        (range(70), "workspace is significantly worse than HEAD"),
        (range(1, 41), "The difference between workspace and HEAD is not significant"),
    ],
)
def test_verdict(project, capsys, wrong, verdict):
    write_csv(project / "metrics/predictions.csv", predictions(wrong))
    assert compare.main(["--root", str(project), "HEAD"]) == 0
    out = capsys.readouterr().out
    assert verdict in out.splitlines()[-1]
    assert f"0.800 -> {1 - len(wrong) / 200:.3f}" in out


def test_refuses_other_pictures_or_labels(project, capsys):
    changed = predictions(range(40))
    changed.loc[3, "label"] = "sad"
    for rows in (predictions(range(40), n=199), changed):
        write_csv(project / "metrics/predictions.csv", rows)
        assert compare.main(["--root", str(project), "HEAD", "workspace"]) == 1
        assert "199 in common" in capsys.readouterr().err


def test_refuses_predictions_of_an_older_version(project, capsys):
    write_csv(project / "metrics/predictions.csv", predictions(range(40)).drop(columns="id"))
    assert compare.main(["--root", str(project), "HEAD"]) == 1
    assert "workspace: metrics/predictions.csv is of an older version" in capsys.readouterr().err


def test_unknown_revision(project, capsys):
    assert compare.main(["--root", str(project), "nonsense"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: nonsense: ")
    assert len(error.splitlines()) == 1
