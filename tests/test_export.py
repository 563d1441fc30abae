"""What the export stage left in the finished project, loaded by each runtime, and what it refuses to leave."""

import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import PROJECT
from PIL import Image
from ruamel.yaml import YAML

from happysad.files import read_json

READ = ("params.yaml", "models/model.keras", "models/model.json", "metrics/test.json", "metrics/data.json")


@pytest.fixture
def project(finished, tmp_path) -> Path:
    """A folder of its own with all that the stage reads."""
    shutil.copytree(finished / "data/prepared/validation", tmp_path / "data/prepared/validation")
    for file in READ:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(finished / file, tmp_path / file)
    return tmp_path


def digests(root: Path) -> dict[str, str]:
    files = [root / "metrics/export.json", *(root / "models/export").rglob("*")]
    return {str(f.relative_to(root)): sha256(f.read_bytes()).hexdigest() for f in files if f.is_file()}


def test_files(finished):
    out = finished / "models/export"
    assert {f.name for f in out.iterdir()} == {
        "README.md",
        "labels.txt",
        "model.onnx",
        "model.tflite",
        "saved_model",
    }
    assert (out / "labels.txt").read_text() == "sad\nhappy\n"


def test_each_file_gives_the_scores_of_the_keras_model(finished):
    import keras
    from ai_edge_litert.interpreter import Interpreter

    out = finished / "models/export"
    files = sorted((finished / "data/prepared/validation").glob("*/*.png"))
    pictures = np.stack([np.asarray(Image.open(file)) for file in files])
    expected = keras.models.load_model(finished / "models/model.keras").predict(pictures, verbose=0)[:, 0]
    assert np.ptp(expected) > 0.01  # or the comparison would say nothing

    session = onnxruntime.InferenceSession(out / "model.onnx")
    saved_model = keras.layers.TFSMLayer(out / "saved_model", call_endpoint="serving_default")
    interpreter = Interpreter(str(out / "model.tflite")).get_signature_runner()
    np.testing.assert_allclose(session.run(None, {"pictures": pictures})[0], expected, atol=1e-5)
    np.testing.assert_allclose(saved_model(pictures)["score"], expected, atol=1e-5)
    for picture, score in zip(pictures, expected, strict=True):
        np.testing.assert_allclose(interpreter(pictures=picture[None])["score"], [score], atol=1e-5)

    metrics = read_json(finished / "metrics/export.json")
    assert metrics["pictures"] == len(pictures)
    for name in ("model.onnx", "model.tflite"):
        assert metrics["files"][name]["bytes"] == (out / name).stat().st_size
    assert metrics["files"]["saved_model"]["bytes"] > 100_000
    assert [file["label_flips"] for file in metrics["files"].values()] == [0, 0, 0]


def test_onnx_describes_itself(finished):
    session = onnxruntime.InferenceSession(finished / "models/export/model.onnx")
    about = session.get_modelmeta().custom_metadata_map
    assert (about["classes"], about["image_size"]) == ("sad,happy", "32")
    assert float(about["threshold"]) == read_json(finished / "models/model.json")["threshold"]
    tensors = [(t.name, t.type, t.shape) for t in (*session.get_inputs(), *session.get_outputs())]
    assert tensors == [
        ("pictures", "tensor(uint8)", ["batch", 32, 32, 3]),
        ("score", "tensor(float)", ["batch"]),
    ]


def test_two_processes_write_the_same_bytes(project):
    command = [sys.executable, PROJECT / "stages/export.py", "--root"]
    twin = shutil.copytree(project, project / "elsewhere")
    runs = [
        subprocess.Popen([*command, root], env=os.environ | {"PYTHONHASHSEED": seed}, stderr=subprocess.PIPE)
        for root, seed in ((project, "1"), (twin, "2"))  # order sets in two ways
    ]
    for run in runs:
        errors = run.communicate()[1]
        assert run.returncode == 0, errors
    assert digests(project) == digests(twin)
    for file in (project / "models/export").rglob("*"):
        if file.is_file():
            assert str(project).encode() not in file.read_bytes()
            assert str(PROJECT).encode() not in file.read_bytes()


def test_other_scores_fail_and_leave_the_old_export(project, monkeypatch):
    import export

    (project / "models/export").mkdir()
    monkeypatch.setattr(export, "load_tflite", lambda path: lambda pictures: np.full(len(pictures), np.nan))
    with pytest.raises(ValueError, match=r"models/export/model\.tflite.*nan.*export\.tolerance"):
        export.main(project)
    assert list((project / "models").glob("export*")) == [project / "models/export"]
    assert not (project / "metrics/export.json").exists()


@pytest.mark.parametrize("difference", [1.1e-5, np.nan])
def test_check_names_the_file(difference):
    import export

    files = {"model.onnx": {"largest_difference": 1e-5}, "saved_model": {"largest_difference": difference}}
    with pytest.raises(ValueError, match=r"models/export/saved_model.*1e-05"):
        export.check(files, tolerance=1e-5)
    export.check({"model.onnx": files["model.onnx"]}, tolerance=1e-5)


def test_model_card_holds_the_measured_figures(finished):
    card = (finished / "models/export/README.md").read_text()
    test, data = read_json(finished / "metrics/test.json"), read_json(finished / "metrics/data.json")
    assert "$" not in card
    for name, value in test.items():
        if f"{name}_ci_low" in test:
            low, high = test[f"{name}_ci_low"], test[f"{name}_ci_high"]
            assert f"| {name} | {value:.3f} | {low:.3f} to {high:.3f} |" in card
        elif "_ci_" not in name:
            assert f"| {name} | {value if name == 'n' else format(value, '.3f')} |" in card
    assert f"| test | {data['test']['sad']} | {data['test']['happy']} |" in card
    assert f"{data['rejected']['unreadable']} unreadable" in card
    front_matter = YAML(typ="safe").load(card.split("---\n")[1])
    figures = front_matter["model-index"][0]["results"][0]["metrics"]
    assert figures == [{"type": "accuracy", "value": test["accuracy"]}]


def test_snippet_of_the_model_card_runs_as_printed(finished, tmp_path):
    shutil.copytree(finished / "models/export", tmp_path, dirs_exist_ok=True)
    Image.new("RGB", (50, 40), "orange").save(tmp_path / "face.jpg")
    snippet = re.search(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.DOTALL)[1]
    commands = (
        [sys.executable, "-c", snippet],
        [sys.executable, PROJECT / "stages/predict.py", "--model", "model.onnx", "face.jpg"],
    )
    printed, predicted = (
        subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for command in commands
    )
    assert predicted == f"face.jpg: {printed}"
