"""The model card: its figures, its front matter, its snippet."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from conftest import PROJECT, draw_faces

from happysad.common.files import read_json
from happysad.common.tables import read_csv
from happysad.export import model_card
from happysad.training import cnn


def test_model_card_holds_the_measured_figures(finished):
    card = (finished / "models/export/README.md").read_text()
    test, data = read_json(finished / "metrics/test.json"), read_json(finished / "metrics/data.json")
    settings = yaml.safe_load((finished / "params.yaml").read_text())["prepare"]
    assert "$" not in card
    for name, value in test.items():
        if f"{name}_ci_low" in test:
            low, high = test[f"{name}_ci_low"], test[f"{name}_ci_high"]
            assert f"| {name} | {value:.3f} | {low:.3f} to {high:.3f} |" in card
        elif "_ci_" not in name:
            assert f"| {name} | {value if name == 'n' else format(value, '.3f')} |" in card
    assert "Source: faces drawn by the project itself" in card
    assert f"| test | {data['test']['sad']} | {data['test']['happy']} |" in card
    assert f"{data['rejected']['unreadable']} unreadable" in card
    assert f"In {data['flagged'].get('no_face', 0)} of the {data['kept']} pictures" in card
    assert f"round({settings['crop_margin']} * max" in card
    for file, columns in (("slices", ("slice", "value", "n")), ("robustness", ("corruption", "setting"))):
        for row in read_csv(finished / f"metrics/{file}.csv").to_dict("records"):
            start = " | ".join(str(row[column]) for column in columns)
            assert f"| {start} | {row['accuracy']:.3f} | {row['accuracy_ci_low']:.3f} to " in card


def test_front_matter_is_what_hugging_face_reads(finished, tmp_path):
    shutil.copytree(finished / "metrics", tmp_path / "metrics")
    (tmp_path / "models").mkdir()
    shutil.copy(finished / "models/model.json", tmp_path / "models")
    shutil.copy(finished / "params.yaml", tmp_path)
    metadata = dict.fromkeys(("image_size", "crop_margin", "threshold", "training_data", "version"), "")
    metadata["source"] = 'pictures from a folder called of "mine": a & b'
    classifier = cnn.load(finished / "models/model.keras")
    text = model_card.model_card(tmp_path, classifier, metadata, read_json(tmp_path / "metrics/export.json"))

    front_matter = yaml.safe_load(text.split("---\n")[1])
    [index] = front_matter["model-index"]
    [result] = index["results"]
    assert front_matter["license"] == "mit"
    assert result["task"]["type"] == front_matter["pipeline_tag"] == "image-classification"
    assert result["dataset"]["name"] == 'pictures from a folder called of "mine": a & b'
    test = read_json(finished / "metrics/test.json")
    assert {m["type"]: m["value"] for m in result["metrics"]}.items() <= test.items()


def test_snippets_of_the_model_card_give_the_scores_of_predict(finished, tmp_path):
    shutil.copytree(finished / "models/export", tmp_path, dirs_exist_ok=True)
    crop, classify = re.findall(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.DOTALL)
    draw_faces(240, 120, (120, 10, 100), (10, 40, 70)).save(tmp_path / "photo.png")
    options = ("--model", "model_batch.onnx", "--json")
    found = json.loads(python(tmp_path, PROJECT / "stages/predict.py", "photo.png", *options))
    box = [found[f"face_{side}"] for side in ("left", "top", "right", "bottom")]
    save = f"from PIL import Image\ncrop(Image.open('photo.png'), *{box}).save('face.jpg', 'PNG')"
    python(tmp_path, "-c", f"{crop}\n{save}")
    assert python(tmp_path, "-c", classify) == f"{found['label']} (score {found['score']:.2f})\n"


def python(folder: Path, *arguments: str | Path) -> str:
    """What Python prints, run in ``folder``."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_make_prints_its_table_of_metrics(finished):
    [pattern] = re.findall(r"@sed -n '(.+)' models/export/README\.md", (PROJECT / "Makefile").read_text())
    command = ["sed", "-n", pattern.replace("$$", "$"), finished / "models/export/README.md"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.startswith("| metric ")
    assert "| accuracy | 0." in printed
