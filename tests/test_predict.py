"""The command line of predict, as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT, draw

from happysad import CLASSES

PREDICT = PROJECT / "stages/predict.py"


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory) -> Path:
    """Two pictures, one file that is none, one picture in a sub-folder, and the model."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "model.onnx").symlink_to(finished / "models/export/model_batch.onnx")
    (folder / "faces/more").mkdir(parents=True)
    draw(1).save(folder / "faces/a.jpg")
    draw(2).save(folder / "faces/b é.png")
    draw(3).save(folder / "faces/more/c.webp")
    (folder / "faces/broken.jpg").write_bytes(b"<html>")
    return folder


def predict(folder: Path, *arguments: str) -> tuple[int, list[str], list[str]]:
    """Exit status, lines of stdout, lines of stderr."""
    command = [sys.executable, PREDICT, "--model", "model.onnx", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def answers(folder: Path, *arguments: str) -> list[dict]:
    return [json.loads(line) for line in predict(folder, "--json", *arguments)[1]]


def test_one_picture(folder):
    status, out, err = predict(folder, "faces/a.jpg")
    [answer] = answers(folder, "faces/a.jpg")
    assert (status, err) == (0, [])
    assert out == [f"faces/a.jpg: {answer['label']} (score {answer['score']:.2f})"]


def test_a_broken_file_costs_one_line_and_the_others_are_answered(folder):
    status, out, err = predict(folder, "faces/a.jpg", "faces/broken.jpg", "absent.jpg", "faces/b é.png")
    assert status == 1
    assert [line.split(": ")[0] for line in out] == ["faces/a.jpg", "faces/b é.png"]
    assert [line.split(": ")[:2] for line in err] == [
        ["faces/broken.jpg", "unreadable"],
        ["absent.jpg", "unreadable"],
    ]


def test_folders_and_patterns(folder):
    paths = ["faces/a.jpg", "faces/b é.png", "faces/broken.jpg", "faces/more/c.webp"]
    assert [answer["path"] for answer in answers(folder, "faces")] == paths
    assert [answer["path"] for answer in answers(folder, "faces/*.jpg", "faces/m*")] == [paths[0], *paths[2:]]


def test_json(folder):
    good, bad = answers(folder, "faces/a.jpg", "faces/broken.jpg")
    assert set(good) == {"path", "label", "score", "threshold"}
    assert set(bad) == {"path", "error"}
    assert good["label"] == CLASSES[good["score"] >= good["threshold"]]


def test_threshold(folder):
    assert [answers(folder, "faces/a.jpg", "--threshold", x)[0]["label"] for x in "01"] == ["happy", "sad"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: FILE"),
        (["--threshold", "2", "faces/a.jpg"], "--threshold must lie between 0 and 1"),
        (["--model", "absent.onnx", "faces/a.jpg"], "no model at absent.onnx: run dvc repro first"),
        (["--model", "faces/broken.jpg", "faces/a.jpg"], "faces/broken.jpg is not a model"),
        (["empty"], "no files in empty"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_2(folder, arguments, message):
    (folder / "empty").mkdir(exist_ok=True)
    status, out, err = predict(folder, *arguments)
    assert (status, out, len(err)) == (2, [], 1)
    assert message in err[0]


def test_a_score_does_not_depend_on_the_files_around_it(folder):
    together = {answer["path"]: answer for answer in answers(folder, "faces")}
    assert answers(folder, "faces/more/c.webp") == [together["faces/more/c.webp"]]


def test_a_reader_that_leaves_is_no_error(folder):
    many = ["faces/a.jpg"] * 600
    command = [sys.executable, PREDICT, "--model", "model.onnx", *many]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        run.stdout.readline()
        run.stdout.close()
        assert run.stderr.read() == b""


def test_it_starts_without_the_training_libraries(folder):
    code = f"""if True:
        import sys
        sys.path.insert(0, {str(PREDICT.parent)!r})
        import predict
        predict.main(["--model", "model.onnx", "faces/a.jpg"])
        heavy = {{"tensorflow", "keras", "pandas", "ruamel", "tqdm", "dvc", "onnx"}} & sys.modules.keys()
        assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
