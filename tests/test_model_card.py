"""The model card: its figures, its front matter, its example."""

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
from happysad.export.model_card import model_card
from happysad.prediction.classifier import load_onnx


def test_it_holds_the_measured_figures(finished):
    card = (finished / "models/export/README.md").read_text()
    test, intervals, data = (
        read_json(finished / f"metrics/{name}.json") for name in ("test", "test_intervals", "data")
    )
    for name, value in test.items():
        low, high = intervals[name].values()
        assert f"| {name} | {value:.3f} | {low:.3f} to {high:.3f} |" in card
    for row in read_csv(finished / "metrics/robustness.csv").itertuples():
        ends = f"{row.accuracy_ci_low:.3f} to {row.accuracy_ci_high:.3f}"
        assert f"| {row.corruption} | {row.setting} | {row.accuracy:.3f} | {ends} |" in card
    assert "Source: faces drawn by the project itself" in card
    assert f"| test | {data['test']['sad']} | {data['test']['happy']} |" in card
    assert f"unreadable {data['rejected']['unreadable']}" in card
    assert "its side 1.1 times" in card


def card(finished: Path, **metadata: str) -> str:
    """The model card of the finished project, its files with other metadata."""
    _, about = load_onnx(finished / "models/export/model.onnx")
    return model_card(finished, about | metadata, read_json(finished / "metrics/export.json"))


def test_front_matter_is_what_hugging_face_reads(finished):
    source = 'pictures from a folder called of "mine": {a} & b'
    front_matter = yaml.safe_load(card(finished, source=source).split("---\n")[1])
    [index] = front_matter["model-index"]
    [result] = index["results"]
    assert front_matter["license"] == "mit"
    assert result["task"]["type"] == front_matter["pipeline_tag"] == "image-classification"
    assert result["dataset"]["name"] == source
    test = read_json(finished / "metrics/test.json")
    assert {m["type"]: m["value"] for m in result["metrics"]}.items() <= test.items()


def example(card: str) -> str:
    return re.findall(r"```python\n(.*?)```", card, re.DOTALL)[0]


@pytest.mark.parametrize("turn", [0, 90])
def test_the_example_gives_the_answer_of_predict(finished, tmp_path, turn):
    shutil.copytree(finished / "models/export", tmp_path, dirs_exist_ok=True)
    picture = draw_faces(240, 120, (120, 10, 100), (10, 40, 70)).rotate(turn, expand=True)
    picture.save(tmp_path / "photo.jpg", quality=95)
    predict = [sys.executable, PROJECT / "stages/predict.py", "photo.jpg", "--model", "model.onnx", "--json"]
    commands = predict, [sys.executable, "-c", example((tmp_path / "README.md").read_text())]
    found, printed = (
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
        for command in commands
    )
    found = json.loads(found)
    assert found["face_turned"] == (360 - turn) % 360
    answer = "unsure, more likely {label}:" if found["answer"] == "unsure" else "{label}"
    assert printed == f"{answer} {{probability:.0%}}\n".format(**found)


def test_a_model_that_refuses_pictures_without_a_face_says_so_in_its_example(finished, tmp_path):
    shutil.copytree(finished / "models/export", tmp_path, dirs_exist_ok=True)
    draw(3).save(tmp_path / "photo.jpg")
    command = [sys.executable, "-c", example(card(finished, no_face="refuse"))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "no face\n")


def test_make_ends_with_the_figure_and_the_next_command(finished):
    [pattern] = re.findall(r"@sed -n '(.+)' models/export/README\.md", (PROJECT / "Makefile").read_text())
    command = ["sed", "-n", pattern, finished / "models/export/README.md"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    accuracy = read_json(finished / "metrics/test.json")["accuracy"]
    assert printed.startswith(f"Right on {accuracy:.1%} of the ")
    assert printed.endswith("stages/predict.py your_photo.jpg\n")
