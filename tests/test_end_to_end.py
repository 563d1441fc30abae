"""What the README promises, run as its readers run it: git, dvc and predict in a small copy of this project."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT, SMALL, make_project
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from happysad.common.files import read_json
from happysad.common.tables import read_csv

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("TF_")},  # that conftest set
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,  # no hooks or signatures of whoever runs the tests
    **{f"GIT_{role}_NAME": "test" for role in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{role}_EMAIL": "test@example.com" for role in ("AUTHOR", "COMMITTER")},
}


def sh(folder: Path, command: str, **environment: str) -> str:
    """What the command, which must succeed, prints on stdout."""
    done = subprocess.run(
        command.split(),
        cwd=folder,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """This project with small settings, in which `dvc repro` has run; the results are committed and pushed."""
    root = tmp_path_factory.mktemp("end to end") / "project"
    for name in sh(PROJECT, "git ls-files --cached --others --exclude-standard").splitlines():
        if (PROJECT / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, root / name)
    make_project(root, **SMALL)
    sh(root, "git init --quiet --initial-branch=main")
    sh(root, "dvc remote add --quiet --default storage ../storage")
    sh(root, "git add .")
    sh(root, "git commit --quiet --message=project")
    sh(root, "dvc repro", PYTHONHASHSEED="1")
    sh(root, "git commit --quiet --all --message=results")
    sh(root, "dvc push --quiet")
    return root


@pytest.fixture(scope="module")
def elsewhere(project) -> Path:
    """A clone on another machine, with what the remote has."""
    sh(project.parent, "git clone --quiet project elsewhere")
    sh(project.with_name("elsewhere"), "dvc pull --quiet")
    return project.with_name("elsewhere")


def test_stages_write_what_dvc_yaml_declares_and_nothing_else(project):
    stages = yaml.safe_load((project / "dvc.yaml").read_text())["stages"].values()
    outs = [out for stage in stages for out in (*stage["outs"], *stage.get("metrics", []))]
    declared = [path for out in outs for path in ([out] if isinstance(out, str) else out)]
    known = (*declared, "logs", ".dvc")
    untracked = sh(project, "git ls-files --others").splitlines()
    undeclared = [f for f in map(Path, untracked) if not any(f.is_relative_to(path) for path in known)]
    assert [f for f in undeclared if "__pycache__" not in f.parts] == []
    assert sh(project, "git status --porcelain") == ""
    assert all((project / path).exists() for path in declared)


def test_repro_again_ends_in_the_same_bytes(project):
    assert sh(project, "dvc status") == "Data and pipelines are up to date.\n"
    lock = (project / "dvc.lock").read_bytes()
    sh(project, "dvc repro --force", PYTHONHASHSEED="2")  # the order of sets is another
    assert (project / "dvc.lock").read_bytes() == lock
    assert sh(project, "git status --porcelain") == ""


def test_no_exported_file_names_a_folder_of_this_machine(project):
    files = [file for file in (project / "models/export").rglob("*") if file.is_file()]
    assert len(files) > 5
    assert not [file for file in files if str(project.parent).encode() in file.read_bytes()]


def test_predict_in_another_clone_without_training(project, elsewhere):
    assert sh(elsewhere, "dvc status") == "Data and pipelines are up to date.\n"
    rows = read_csv(project / "metrics/predictions.csv").to_dict("records")
    files = " ".join(f"data/generated/{row['path']}" for row in rows)
    lines = sh(elsewhere, f"python stages/predict.py --json {files}").splitlines()
    for row, answer in zip(rows, map(json.loads, lines), strict=True):
        assert answer["score"] == pytest.approx(float(row["score"]), abs=1e-5)
        assert answer["label"] == row["predicted"]
    assert not (elsewhere / "logs").exists()


def test_an_experiment_shows_what_changed(project, tmp_path):
    root = shutil.copytree(project, tmp_path / "project", symlinks=True)
    sh(root, "dvc exp run --name reseeded -S train.seed=2")
    params = json.loads(sh(root, "dvc params diff --json"))
    assert params == {"params.yaml": {"train.seed": {"old": 1, "new": 2, "diff": 1}}}
    before, after = (read_json(folder / "metrics/test.json") for folder in (project, root))
    diff = json.loads(sh(root, "dvc metrics diff --json"))["metrics/test.json"]
    assert {name: values["new"] for name, values in diff.items()}.items() <= after.items()
    assert {name for name in after if after[name] != before[name]} == set(diff)
    assert (root / "logs/reseeded/train").is_dir()
    assert "reseeded" in sh(root, "dvc exp show --csv")
    assert "reseeded" in sh(root, "python stages/compare.py main reseeded")


def test_tensorboard_shows_curves_graph_histograms_and_settings(project):
    history = read_csv(project / "metrics/history.csv")
    run = min((project / "logs").iterdir())
    for split, prefix in (("train", ""), ("validation", "validation_")):
        events = EventAccumulator(str(run / split), size_guidance={"tensors": 0}).Reload()
        for name in ("loss", "accuracy", "precision", "recall"):
            curve = [float(make_ndarray(event.tensor_proto)) for event in events.Tensors(f"epoch_{name}")]
            assert curve == pytest.approx(list(history[prefix + name]), abs=1e-5)
        if split == "train":
            assert "keras" in events.Tags()["tensors"]  # the model's graph
            assert any(tag.endswith("kernel/histogram") for tag in events.Tags()["tensors"])
    settings = EventAccumulator(str(run)).Reload().PluginTagToContent("hparams")
    assert b"learning_rate" in settings["_hparams_/session_start_info"]


def test_the_model_is_fetched_by_name(project):
    sh(project, "git tag --message=first happysad@v1.0.0")
    sh(project.parent, "dvc artifacts get --quiet project happysad --out fetched.onnx")
    exported = project / "models/export/model.onnx"
    assert (project.parent / "fetched.onnx").read_bytes() == exported.read_bytes()
