"""dvc.yaml against the code, and what the stages leave against each other."""

import ast
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import PROJECT, make_project

from happysad import CLASSES
from happysad.common.tables import read_csv

STAGES = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
LOCAL = PROJECT / "stages"


def imported(file: Path) -> set[Path]:
    """The project's own files that ``file`` imports, and what those import."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    paths = [LOCAL / name.replace(".", "/") for name in names]
    files = {path.with_suffix(".py") for path in paths} | {path / "__init__.py" for path in paths}
    files |= {LOCAL / "happysad/__init__.py"}
    files = {f for f in files if f.exists() and f != file}
    return files.union(*(imported(f) for f in files if f.name != "__init__.py"))


@pytest.mark.parametrize("stage", STAGES)
def test_deps_cover_every_imported_module(stage):
    deps = STAGES[stage]["deps"]
    listed = [PROJECT / dep for dep in deps if dep.startswith("stages/") and not dep.endswith(".onnx")]
    script = LOCAL / f"{stage}.py"
    needed = {script} | imported(script)
    assert {f for f in needed if not any(f.is_relative_to(dep) for dep in listed)} == set()
    assert {dep for dep in listed if not any(f.is_relative_to(dep) for f in needed)} == set()


def test_only_evaluate_may_open_the_test_split():
    readers = {stage for stage, s in STAGES.items() if any("prepared/test" in dep for dep in s["deps"])}
    assert readers == {"evaluate"}
    assert not any(dep in ("data/prepared", "data") for s in STAGES.values() for dep in s["deps"])


def test_a_change_of_what_evaluates_retrains_nothing():
    assert not any("evaluation" in dep for dep in STAGES["train"]["deps"])


def test_no_stage_reads_the_truth():
    assert not any("truth" in dep for s in STAGES.values() for dep in s["deps"])


def test_predictions_are_the_test_split(finished):
    manifest = read_csv(finished / "data/prepared/manifest.csv")
    predictions = read_csv(finished / "metrics/predictions.csv")
    expected = manifest.loc[manifest["split"] == "test", ["path", "label"]]
    assert sorted(predictions[["path", "label"]].values.tolist()) == sorted(expected.values.tolist())
    assert list(predictions["predicted"]) == [CLASSES[score >= 0.5] for score in predictions["score"]]


def test_the_planted_faults_are_found(finished):
    """Of the built-in set: what is no picture is rejected, copies are grouped, good pictures are kept."""
    truth = read_csv(finished / "data/generated_truth.csv").set_index("path").to_dict("index")
    rows = read_csv(finished / "data/prepared/manifest.csv").set_index("path").to_dict("index")
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


@pytest.mark.parametrize("stage", STAGES)
def test_an_error_is_one_line(stage, tmp_path, monkeypatch):
    """SystemExit with a text: Python prints it and ends with status 1."""
    make_project(tmp_path, train={"epochs": -1})
    monkeypatch.setattr(sys, "argv", [f"{stage}.py", "--root", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"^error: [^\n]+$"):
        runpy.run_path(str(LOCAL / f"{stage}.py"), run_name="__main__")
