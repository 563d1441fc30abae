"""models/faces, the model in git: its files, its card and its metadata agree with each other."""

import json
import re
import zipfile

import keras
import numpy as np
import onnxruntime
import pytest
from conftest import PROJECT, draw, make_project, recipe

from happysad.common import params
from happysad.data import faces
from happysad.prediction import classifier
from happysad.training import cnn, fit

FOLDER = PROJECT / "models/faces"
CARD = (FOLDER / "README.md").read_text(encoding="utf-8")
fit.make_deterministic(
    params.load(PROJECT).train
)  # before TensorFlow starts; later no test could set its threads


@pytest.fixture(scope="module")
def metadata() -> dict[str, str]:
    return onnxruntime.InferenceSession(FOLDER / "model.onnx").get_modelmeta().custom_metadata_map


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return cnn.load(FOLDER / "model.keras")


def test_every_file_gives_the_same_scores(model):
    pictures = np.stack([np.asarray(draw(seed, 48, 48)) for seed in range(20)])
    expected = cnn.predict(model, pictures)
    assert np.ptp(expected) > 0.2  # or comparing them would prove nothing
    for name, tolerance in {"model.onnx": 1e-5, "model.tflite": 0.01}.items():
        score = classifier.load(FOLDER / name).score
        assert np.allclose([score(picture) for picture in pictures], expected, atol=tolerance)


def test_the_recipe_builds_the_model(model, metadata, tmp_path):
    settings = params.load(make_project(tmp_path, **recipe("faces")))
    built = cnn.with_mirror_image(cnn.build(settings.prepare.image_size, settings.model))
    assert [w.shape for w in built.get_weights()] == [w.shape for w in model.get_weights()]
    assert metadata["image_size"] == str(settings.prepare.image_size)
    assert (metadata["crop"], metadata["crop_margin"]) == ("face", repr(settings.prepare.crop_margin))
    assert metadata["detector"] == faces.fingerprint()


def test_the_card_says_what_the_files_say(metadata):
    with zipfile.ZipFile(FOLDER / "model.tflite") as attached:
        in_tflite = json.loads(attached.read("metadata.json"))
    assert (
        in_tflite | {"preprocessing": metadata["preprocessing"]} == metadata
    )  # model.onnx resizes pictures itself
    assert f"Fingerprint of the training split: `{metadata['training_data']}`" in CARD
    assert f"Call an answer with a probability below {float(metadata['unsure_below']):.0%}" in CARD
    assert metadata["no_face"] == "refuse"
    assert (FOLDER / "labels.txt").read_text().split() == metadata["classes"].split(",")
    assert CARD.endswith((FOLDER / "fer2013.md").read_text(encoding="utf-8"))


def test_the_card_lists_the_files_that_are_there():
    sizes = dict(re.findall(r"^\| (model\S+) \| (\d+) \|", CARD, re.MULTILINE))
    assert sizes == {name: str((FOLDER / name).stat().st_size) for name in ("model.onnx", "model.tflite")}
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 6e6
