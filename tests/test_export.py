"""The exported files of the finished project, loaded by each runtime; and what the export stage refuses."""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from conftest import PROJECT
from PIL import Image

import export
from happysad.common import images, params
from happysad.common.errors import UserError
from happysad.common.files import read_json
from happysad.common.tables import read_csv
from happysad.data import faces
from happysad.prediction import classifier

READ = (
    "params.yaml",
    "data/prepared/train",
    "data/prepared/validation",
    "models/model.keras",
    "models/model.json",
    "metrics/test.json",
    "metrics/test_intervals.json",
    "metrics/robustness.csv",
    "metrics/data.json",
)


@pytest.fixture
def project(finished, tmp_path) -> Path:
    """A new folder with all that the stage reads."""
    for name in READ:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (finished / name).is_dir() else shutil.copy
        copy(finished / name, tmp_path / name)
    return tmp_path


def keras_scores(project: Path, pictures: np.ndarray) -> np.ndarray:
    """float32 (n, 2), like those of the exported files."""
    import keras

    happy = keras.models.load_model(project / "models/model.keras").predict(pictures, verbose=0)
    assert np.ptp(happy) > 0.01  # or comparing them would prove nothing
    return np.concatenate([1 - happy, happy], axis=1)


def onnx_metadata(path: Path) -> dict[str, str]:
    return onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map


def test_files(finished):
    out = finished / "models/export"
    beside = {"README.md", "labels.txt", "face_detector.onnx", "faces.py"}
    assert {file.name for file in out.iterdir()} == {"model.onnx", "model.tflite"} | beside
    assert (out / "labels.txt").read_text() == "sad\nhappy\n"
    assert (out / "face_detector.onnx").read_bytes() == faces.DETECTOR.read_bytes()


def test_model_tflite_gives_the_scores_of_the_keras_model(finished):
    from ai_edge_litert.interpreter import Interpreter

    files = sorted((finished / "data/prepared/validation").glob("*/*.png"))
    pictures = np.stack([np.asarray(Image.open(file)) for file in files])
    run = Interpreter(str(finished / "models/export/model.tflite")).get_signature_runner()
    found = np.concatenate([run(pictures=picture[None])["scores"] for picture in pictures])
    np.testing.assert_allclose(found, keras_scores(finished, pictures), atol=2e-3)  # weights of 16 bits
    metrics = read_json(finished / "metrics/export.json")
    assert metrics["pictures"] == len(pictures)
    for name, file in metrics["files"].items():
        assert file["bytes"] == (finished / "models/export" / name).stat().st_size


def test_any_size_gives_the_scores_of_the_raw_pictures(finished):
    rows = read_csv(finished / "data/prepared/manifest.csv")
    raw = [finished / "data/generated" / path for path in rows["path"][rows["split"] == "validation"]]
    expected = keras_scores(finished, np.stack([images.decode(path, 32, 64) for path in raw]))
    session = onnxruntime.InferenceSession(finished / "models/export/model.onnx")
    for path, scores in zip(raw, expected, strict=True):
        picture = np.asarray(images.read(path, 64)[0])
        np.testing.assert_allclose(session.run(None, {"picture": picture})[0], scores, atol=1e-3)


def test_any_size_resizes_within_one_level(finished):
    graph = onnx.load(finished / "models/export/model.onnx")
    [resized] = [node.output[0] for node in graph.graph.node if node.op_type == "Resize"]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(resized, onnx.TensorProto.UINT8, None))
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for width, height in ((32, 32), (64, 64), (500, 300), (33, 217), (20, 11), (1, 40)):
        picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
        [found] = session.run([resized], {"picture": picture})[0].astype(int)
        difference = np.abs(found - images.squash(Image.fromarray(picture), 32))
        assert difference.max() <= 1
        assert difference.mean() < 0.02  # rounding alone


def test_files_describe_themselves(finished):
    out = finished / "models/export"
    with zipfile.ZipFile(out / "model.tflite") as attached:
        about = json.loads(attached.read("metadata.json"))
        assert attached.read("labels.txt") == (out / "labels.txt").read_bytes()
    assert [about[name] for name in ("classes", "image_size", "max_megapixels")] == ["sad,happy", "32", "64"]
    assert float(about["unsure_below"]) == read_json(finished / "models/model.json")["unsure_below"]
    assert about["no_face"] == "answer"
    assert f'version = "{about["version"]}"' in (PROJECT / "pyproject.toml").read_text()
    assert onnx_metadata(out / "model.onnx") | {"preprocessing": about["preprocessing"]} == about
    digest = hashlib.sha256((out / "face_detector.onnx").read_bytes()).hexdigest()
    crop = [about[name] for name in ("crop", "crop_margin", "detector")]
    assert crop == ["face", "1.1", f"sha256:{digest}"]
    assert "cropped to the largest face" in about["preprocessing"]


def test_pictures_and_labels_identify_the_training_data(finished):
    files = sorted((finished / "data/prepared/train").glob("*/*.png"))
    description, settings = read_json(finished / "models/model.json"), params.load(finished)
    moved = files[-1].parents[1] / "happy" / files[-1].name
    found = [
        export.describe(description, settings, pictures)["training_data"]
        for pictures in (files, files[1:], [*files[:-1], moved])
    ]
    assert found[0] == onnx_metadata(finished / "models/export/model.onnx")["training_data"]
    assert len(set(found)) == 3


def test_a_model_of_whole_pictures_says_so_and_brings_no_detector(project):
    settings = yaml.safe_load((project / "params.yaml").read_text())
    settings["prepare"]["crop"] = "whole"
    (project / "params.yaml").write_text(yaml.safe_dump(settings))
    export.main(project)
    assert not (project / "models/export/face_detector.onnx").exists()
    about = onnx_metadata(project / "models/export/model.onnx")
    assert (about["crop"], about["detector"]) == ("whole", "")
    assert "face" not in about["preprocessing"]
    assert "find the face" not in (project / "models/export/README.md").read_text()


def answer_wrongly(monkeypatch, name: str) -> None:
    """Let the file of this name give no number as its score."""
    load = classifier.load

    def load_wrongly(path: Path) -> classifier.Classifier:
        loaded = load(path)
        return loaded._replace(score=lambda picture: np.nan) if path.name == name else loaded

    monkeypatch.setattr(classifier, "load", load_wrongly)


def test_no_export_without_the_file_that_predict_needs(project, monkeypatch):
    answer_wrongly(monkeypatch, "model.onnx")
    with pytest.raises(UserError, match=r"models/export/model\.onnx does not give the scores"):
        export.main(project)
    assert not list((project / "models").glob("export*"))
    assert not (project / "metrics/export.json").exists()


def test_another_file_with_other_scores_is_left_out(project, monkeypatch, capsys):
    answer_wrongly(monkeypatch, "model.tflite")
    export.main(project)
    assert not (project / "models/export/model.tflite").exists()
    assert "| model.tflite | left out" in (project / "models/export/README.md").read_text()
    assert "model.tflite does not give the scores" in capsys.readouterr().out
