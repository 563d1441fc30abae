"""The model card: its figures, its front matter, its snippet."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT, draw, draw_faces

from happysad.common.files import read_json
from happysad.common.tables import read_csv
from happysad.export import model_card
from happysad.training import cnn


def test_model_card_holds_the_measured_figures(finished):
    card = (finished / "models/export/README.md").read_text()
    test, data = read_json(finished / "metrics/test.json"), read_json(finished / "metrics/data.json")
    settings = yaml.safe_load((finished / "params.yaml").read_text())["prepare"]
    assert "$" not in card
    intervals = read_json(finished / "metrics/test_intervals.json")
    for name, value in test.items():
        low, high = intervals[name].values()
        assert f"| {name} | {value:.3f} | {low:.3f} to {high:.3f} |" in card
    assert "Source: faces drawn by the project itself" in card
    assert f"| test | {data['test']['sad']} | {data['test']['happy']} |" in card
    assert f"{data['rejected']['unreadable']} unreadable" in card
    assert f"In {data['flagged'].get('no_face', 0)} of the {data['kept']} pictures" in card
    assert f"its side {settings['crop_margin']} times" in card
    for file, columns in (
        ("slices", ("slice", "value", "n")),
        ("robustness", ("corruption", "setting", "n")),
    ):
        for row in read_csv(finished / f"metrics/{file}.csv").to_dict("records"):
            start = " | ".join(str(row[column]) for column in columns)
            assert f"| {start} | {row['accuracy']:.3f} | {row['accuracy_ci_low']:.3f} to " in card


def card(finished: Path, metadata: dict[str, str]) -> str:
    """The model card of the finished project, its files with other metadata."""
    blank = dict.fromkeys(
        ("image_size", "crop_margin", "unsure_below", "no_face", "training_data", "version"), ""
    )
    model, metrics = cnn.load(finished / "models/model.keras"), read_json(finished / "metrics/export.json")
    return model_card.model_card(finished, model, blank | {"source": "photos"} | metadata, metrics)


def test_front_matter_is_what_hugging_face_reads(finished):
    text = card(finished, {"source": 'pictures from a folder called of "mine": a & b'})

    front_matter = yaml.safe_load(text.split("---\n")[1])
    [index] = front_matter["model-index"]
    [result] = index["results"]
    assert front_matter["license"] == "mit"
    assert result["task"]["type"] == front_matter["pipeline_tag"] == "image-classification"
    assert result["dataset"]["name"] == 'pictures from a folder called of "mine": a & b'
    test = read_json(finished / "metrics/test.json")
    assert {m["type"]: m["value"] for m in result["metrics"]}.items() <= test.items()


@pytest.mark.parametrize("turn", [0, 90])
def test_the_example_of_the_model_card_gives_the_answer_of_predict(finished, tmp_path, turn):
    shutil.copytree(finished / "models/export", tmp_path, dirs_exist_ok=True)
    [example] = re.findall(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.DOTALL)
    picture = draw_faces(240, 120, (120, 10, 100), (10, 40, 70)).rotate(turn, expand=True)
    picture.save(tmp_path / "photo.jpg", quality=95)
    options = ("--model", "model.onnx", "--json")
    found = json.loads(python(tmp_path, PROJECT / "stages/predict.py", "photo.jpg", *options))
    assert found["face_turned"] == (360 - turn) % 360
    answer = "unsure, more likely {label}:" if found["answer"] == "unsure" else "{label}"
    expected = f"{answer} {{probability:.0%}}\n".format(**found)
    assert python(tmp_path, "-c", example) == expected


def test_a_model_that_refuses_pictures_without_a_face_says_so_in_its_example(finished, tmp_path):
    metadata = {"no_face": "refuse", "crop_margin": "1.1", "unsure_below": "0.666667"}
    shutil.copytree(finished / "models/export", tmp_path, dirs_exist_ok=True)
    example = re.findall(r"```python\n(.*?)```", card(finished, metadata), re.DOTALL)[0]
    draw(3).save(tmp_path / "photo.jpg")
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "no face\n")


def python(folder: Path, *arguments: str | Path) -> str:
    """What Python prints, run in ``folder``."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_make_ends_with_the_figure_and_the_next_command(finished):
    [pattern] = re.findall(r"@sed -n '(.+)' models/export/README\.md", (PROJECT / "Makefile").read_text())
    command = ["sed", "-n", pattern, finished / "models/export/README.md"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    accuracy = read_json(finished / "metrics/test.json")["accuracy"]
    assert printed.startswith(f"Right on {accuracy:.1%} of the ")
    assert printed.endswith("stages/predict.py your_photo.jpg\n")
