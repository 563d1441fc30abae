"""dvc.yaml against the code, and what the stages leave against each other."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import PROJECT, make_project

from happysad.common.files import read_csv, read_json
from happysad.evaluation import metrics

PIPELINES = ("dvc.yaml", "experiments/crossvalidation/dvc.yaml")
STAGES = {
    k: v for file in PIPELINES for k, v in yaml.safe_load((PROJECT / file).read_text())["stages"].items()
}
LOCAL = PROJECT / "stages"


def imported(file: Path) -> set[Path]:
    """The project's own files that ``file`` imports, and what those import."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    files = {LOCAL / (name.replace(".", "/") + ".py") for name in names}
    files |= {LOCAL / name / "__init__.py" for name in names} | {LOCAL / "happysad/__init__.py"}
    files = {f for f in files if f.exists() and f != file}
    return files.union(*(imported(f) for f in files if f.name != "__init__.py"))


@pytest.mark.parametrize("stage", STAGES)
def test_deps_cover_every_imported_module(stage):
    listed = [PROJECT / dep for dep in STAGES[stage]["deps"] if dep.startswith("stages/")]
    script = LOCAL / f"{stage}.py"
    needed = {script} | imported(script)
    assert {f for f in needed if not any(f.is_relative_to(dep) for dep in listed)} == set()
    assert {dep for dep in listed if not any(f.is_relative_to(dep) for f in needed)} == set()
    assert STAGES[stage]["desc"]


def test_only_evaluate_may_open_the_test_split():
    readers = {stage for stage, s in STAGES.items() if any("prepared/test" in dep for dep in s["deps"])}
    assert readers == {"evaluate"}
    assert not any(dep in ("data/prepared", "data") for s in STAGES.values() for dep in s["deps"])


def test_no_stage_reads_the_truth():
    assert not any("truth" in dep for s in STAGES.values() for dep in s["deps"])


def test_figures_follow_from_predictions(finished):
    rows = read_csv(finished / "metrics/predictions.csv")
    labels = np.array([row["label"] == "happy" for row in rows], int)
    scores = np.array([float(row["score"]) for row in rows])
    threshold = read_json(finished / "models/model.json")["threshold"]
    figures = read_json(finished / "metrics/test.json")
    assert {name: figures[name] for name in metrics.compute(labels, scores, threshold)} == pytest.approx(
        metrics.compute(labels, scores, threshold), abs=1e-12
    )
    assert [row["predicted"] == "happy" for row in rows] == list(scores >= threshold)


def test_predictions_are_the_test_split(finished):
    kept = {r["path"]: r for r in read_csv(finished / "data/prepared/manifest.csv") if r["split"] == "test"}
    rows = read_csv(finished / "metrics/predictions.csv")
    assert {r["path"]: r["label"] for r in rows} == {path: r["label"] for path, r in kept.items()}


def test_predict_agrees_with_evaluate(finished):
    rows = read_csv(finished / "metrics/predictions.csv")[:5]
    files = [str(finished / "data/generated" / row["path"]) for row in rows]
    command = [
        sys.executable,
        LOCAL / "predict.py",
        "--json",
        "--model",
        finished / "models/export/model_batch.onnx",
    ]
    lines = subprocess.run([*command, *files], capture_output=True, text=True, check=True).stdout.splitlines()
    for row, line in zip(rows, map(json.loads, lines), strict=True):
        assert line["score"] == pytest.approx(float(row["score"]), abs=1e-5)
        assert line["label"] == row["predicted"]


def test_the_planted_faults_are_found(finished):
    """Of the built-in set: what is no picture is rejected, copies are grouped, good pictures are kept."""
    truth = {r["path"]: r for r in read_csv(finished / "data/generated_truth.csv")}
    rows = {r["path"]: r for r in read_csv(finished / "data/prepared/manifest.csv")}
    assert set(truth) == set(rows)
    expected = {"truncated": "unreadable", "text": "unreadable", "html": "unreadable", "empty": "unreadable"}
    expected |= {"tiny": "too_small", "blank": "blank"}
    grouped = {"exact": [], "near": []}
    for path, true in truth.items():
        if true["fault"] in expected:
            assert rows[path]["reason"] == expected[true["fault"]], path
        elif true["of"]:
            kind = true["fault"].split("_")[0]
            grouped[kind].append(rows[path]["group"] == rows[true["of"]]["group"])
        elif not any(t["of"] == path for t in truth.values()):
            assert rows[path]["status"] == "kept", path
    assert all(grouped["exact"])
    assert np.mean(grouped["near"]) > 0.7  # a pale face, brightened, is white paper


def test_an_error_is_one_line(tmp_path):
    make_project(tmp_path, train={"epochs": -1})
    for stage in ("generate", "prepare", "train"):  # the others end by the same stage.run
        done = subprocess.run(
            [sys.executable, LOCAL / f"{stage}.py", "--root", tmp_path],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        line = done.stderr.strip().splitlines()[-1]
        assert line.startswith("error: ")
        assert "Traceback" not in done.stderr
