"""The command line of predict, as a user types it."""

import csv
import io
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from conftest import PROJECT, draw, draw_faces, with_metadata
from PIL import Image

import predict as stage
from happysad import CLASSES, DRAWN
from happysad.common import images
from happysad.common.tables import read_csv
from happysad.data import faces
from happysad.prediction.classifier import load

PREDICT = PROJECT / "stages/predict.py"
VALUES = ("path", "answer", "label", "probability", "score")
BOX = ("face_left", "face_top", "face_right", "face_bottom")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A face, several, a broken file, no face in a sub-folder, two hidden pictures, and the model: cropped and whole."""
    folder = tmp_path_factory.mktemp("pictures")
    with_metadata(PROJECT / "models/faces/model.onnx", folder / "model.onnx", no_face="answer")
    with_metadata(folder / "model.onnx", folder / "whole.onnx", crop="whole", detector="")
    (folder / "faces/more").mkdir(parents=True)
    draw_faces(150, 100, (60, 10, 80)).save(folder / "faces/a.jpg")
    draw_faces(240, 120, (120, 10, 100), (10, 40, 70)).save(folder / "faces/b é.png")
    draw(3).save(folder / "faces/more/c.webp")
    (folder / "faces/broken.jpg").write_bytes(b"<html>")
    (folder / "faces/.thumbnails").mkdir()
    for name in (".hidden.jpg", ".thumbnails/d.jpg"):
        draw(4).save(folder / "faces" / name)
    return folder


@pytest.fixture
def predict(folder, monkeypatch, capsys):
    """Exit status, lines of stdout and lines of stderr of predict, run in ``folder`` in this process."""
    monkeypatch.chdir(folder)

    def run(*arguments: str | Path, stdin: bytes = b"") -> tuple[int, list[str], list[str]]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            status = stage.main(["--model", "model.onnx", *map(str, arguments)])
        except SystemExit as usage:
            status = usage.code
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return run


@pytest.fixture
def predictions(predict):
    return lambda *arguments, **stdin: [
        json.loads(line) for line in predict("--json", *arguments, **stdin)[1]
    ]


def test_a_broken_file_gets_one_line_and_the_others_are_classified(predict):
    status, out, err = predict("faces/a.jpg", "faces/broken.jpg", "absent.jpg", "faces/b é.png")
    assert status == 1
    assert [line.split("  ")[-1 - ("unsure" in line)] for line in out] == ["faces/a.jpg", "faces/b é.png"]
    assert [line.split(": ")[:2] for line in err] == [
        [n, "unreadable"] for n in ("faces/broken.jpg", "absent.jpg")
    ]


def test_folders_patterns_and_lists(predictions):
    paths = ["faces/a.jpg", "faces/b é.png", "faces/broken.jpg", "faces/more/c.webp"]

    def classified(*arguments: str, **stdin: bytes) -> list[str]:
        return [found["path"] for found in predictions(*arguments, **stdin)]

    assert classified("faces") == paths
    assert classified("faces/*.jpg", "faces/m*") == [paths[0], *paths[2:]]
    assert classified("faces/**") == paths
    assert classified("-", stdin="faces/more/c.webp\r\n\nfaces/b é.png\n".encode()) == [paths[3], paths[1]]
    assert classified("-", stdin="faces/more/c.webp\0faces/b é.png\0".encode()) == [paths[3], paths[1]]
    assert classified("faces/.hidden.jpg") == ["faces/.hidden.jpg"]


def test_json_and_a_score_that_does_not_depend_on_the_files_around(predictions):
    good, bad = predictions("faces/a.jpg", "faces/broken.jpg")
    assert set(good) == {*VALUES, "faces", *BOX, "face_score", "face_turned"}
    assert set(bad) == {"path", "error"}
    assert good["label"] == CLASSES[good["score"] >= 0.5]
    assert good["probability"] == max(good["score"], 1 - good["score"])
    assert predictions("faces")[0] == good


@pytest.mark.parametrize(
    ("score", "answer", "printed"),
    [
        (0.97, "happy", "happy    97%  a.jpg"),
        (0.9999, "happy", "happy    99%  a.jpg"),
        (0.666667, "happy", "happy    67%  a.jpg"),
        (0.6666, "unsure", "unsure   67%  a.jpg  more likely happy"),
        (0.4, "unsure", "unsure   60%  a.jpg  more likely sad"),
        (0.03, "sad", "sad      97%  a.jpg"),
    ],
)
def test_an_answer_is_sure_from_two_to_one(predict, folder, tmp_path, monkeypatch, score, answer, printed):
    draw(1).save(tmp_path / "a.jpg")
    classifier = load(folder / "whole.onnx")._replace(score=lambda picture: score)
    monkeypatch.setattr(stage, "load", lambda path: classifier)
    os.chdir(tmp_path)
    assert predict("a.jpg", "--model", folder / "whole.onnx") == (0, [printed], [])
    status, _, err = predict("a.jpg", "--model", folder / "whole.onnx", "--copy-to", "sorted")
    assert [file.parent.name for file in Path("sorted").glob("*/*")] == [answer]
    assert (status, err) == (0, [f"1 pictures: 1 {answer} -> sorted"])


def test_no_face_no_answer(predict, predictions, folder, tmp_path):
    model = with_metadata(folder / "model.onnx", tmp_path / "refuses.onnx", no_face="refuse")
    status, out, _ = predict("faces/more/c.webp", "--model", model, "--copy-to", tmp_path / "sorted")
    assert (status, out) == (0, ["no face       faces/more/c.webp"])
    assert (tmp_path / "sorted/no_face/c.webp").exists()
    [found] = predictions("faces/more/c.webp", "--model", model)
    assert found == dict.fromkeys(VALUES) | {"path": "faces/more/c.webp", "answer": "no face", "faces": 0}
    status, out, err = predict("faces", "--model", model, "--csv", tmp_path / "a.csv")
    assert (status, out) == (1, [])
    assert re.fullmatch(rf"4 pictures: .*, 1 no face, 1 unreadable -> {tmp_path}/a.csv", err[1])
    assert "faces/more/c.webp,no face,,,,0," in (tmp_path / "a.csv").read_text()
    assert predict("faces/more/c.webp", "--model", model, "--explain", tmp_path / "why.png")[0] == 0
    assert not (tmp_path / "why.png").exists()


def test_a_turned_face_is_judged_upright(predict, predictions, tmp_path):
    upright = draw_faces(200, 200, (50, 50, 100))
    upright.rotate(-90).save(tmp_path / "turned.png")
    upright.save(tmp_path / "upright.png")
    [expected], [found] = (predictions(tmp_path / name) for name in ("upright.png", "turned.png"))
    assert (expected["face_turned"], found["face_turned"]) == (0, 90)
    assert found["score"] == pytest.approx(expected["score"], abs=0.05)
    assert predict(tmp_path / "turned.png")[1][0].endswith("turned.png  turned by 90")


def test_the_largest_face_decides_and_the_others_are_told_on_request(predict, predictions, folder):
    path = "faces/b é.png"
    [largest] = predictions(path)
    first, second = predictions("--every-face", path)
    assert first == largest
    assert first["faces"] == second["faces"] == 2
    assert first["face_right"] - first["face_left"] > second["face_right"] - second["face_left"]
    assert first["face_left"] > 120  # where they were drawn
    assert second["face_right"] < 80

    picture, model = Image.open(folder / path), load(folder / "model.onnx")
    for found in (first, second):
        face = faces.Face(*(found[name] for name in BOX), found["face_score"])
        assert found["score"] == model.score(
            images.squash(faces.square(picture, face, model.crop_margin), 48)
        )

    places = [f"face at {','.join(str(found[x]) for x in BOX)}" for found in (first, second)]
    assert [line.split("  ")[-1] for line in predict("--every-face", path)[1]] == places


def test_a_picture_without_a_face_says_so(predict, predictions):
    for option in ((), ("--every-face",)):
        [found] = predictions("faces/more/c.webp", *option)
        assert set(found) == {*VALUES, "faces"}
        assert found["faces"] == 0
        assert predict("faces/more/c.webp", *option)[1][0].endswith("  no face: whole picture judged")


def test_a_model_of_whole_pictures_looks_for_no_faces(predictions, folder, monkeypatch):
    monkeypatch.setattr(faces, "find", None)
    [found] = predictions("--model", "whole.onnx", "faces/a.jpg")
    assert set(found) == set(VALUES)
    assert found["score"] == load(folder / "whole.onnx").score(images.decode(folder / "faces/a.jpg", 48, 64))


@pytest.mark.parametrize("content", [None, b"another detector"])
def test_without_the_models_detector_nothing_is_judged(predict, tmp_path, monkeypatch, content):
    detector = tmp_path / "face_detector.onnx"
    if content:
        detector.write_bytes(content)
    monkeypatch.setattr(faces, "DETECTOR", detector)
    status, out, err = predict("faces/a.jpg")
    assert (status, out, len(err)) == (2, [], 1)
    assert re.fullmatch(rf"error: {detector} is .* restore it by git checkout.*", err[0])


def test_csv_has_what_json_has_and_is_there_whole_or_not_at_all(predict, folder, tmp_path):
    odd = os.fsencode(tmp_path) + b"/caf\xe9, or\nnot.png"  # neither valid text nor a single line
    shutil.copy(folder / "faces/a.jpg", odd)
    command = [sys.executable, PREDICT, "--model", "model.onnx", "faces", odd]
    plain, as_json, as_csv = (
        subprocess.run([*command, *more], cwd=folder, capture_output=True, check=False)
        for more in ((), ("--json",), ("--csv", tmp_path / "new/a.csv"))
    )
    assert odd.replace(b"\n", b"?") in plain.stdout
    assert (as_csv.returncode, as_csv.stdout, as_csv.stderr.count(b"\n")) == (1, b"", 2)
    expected = [json.loads(line) for line in as_json.stdout.splitlines()]
    with open(tmp_path / "new/a.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]
    assert rows == [{name: str(value) for name, value in row.items()} for row in expected]
    assert predict("-", "--csv", tmp_path / "b.csv")[0] == 2
    assert list(tmp_path.rglob("*.csv")) == [tmp_path / "new/a.csv"]


def test_no_name_in_a_csv_is_a_formula(predict, folder, tmp_path):
    names = ["+1.jpg", "-1.jpg", "=1+1.jpg", "@SUM.jpg", "\t=1.jpg"]
    for name in names:
        draw(1).save(tmp_path / name)
    os.chdir(tmp_path)
    predict("*.jpg", "--model", folder / "model.onnx", "--csv", "a.csv")
    paths = read_csv(tmp_path / "a.csv")["path"]
    assert sorted(paths) == sorted(f"./{name}" for name in names)
    assert all((tmp_path / path).exists() for path in paths)


def test_copies_never_overwrite_a_file_and_are_made_once(predict, folder, tmp_path):
    source = tmp_path / "photos"
    (source / "more").mkdir(parents=True)
    for seed, name in enumerate(("a.jpg", "b.jpg", "more/a.jpg")):
        draw(seed).save(source / name)
    shutil.copy(source / "b.jpg", source / "more/same.jpg")
    (source / "broken.jpg").write_bytes(b"")
    sorted_ = source / "sorted"  # below the source: copies are not copied in turn
    (sorted_ / "unsure").mkdir(parents=True)
    (sorted_ / "unsure/b.jpg").write_text("somebody else's")
    unsure, sure = (
        with_metadata(folder / "model.onnx", tmp_path / f"{x}.onnx", unsure_below=x) for x in ("1.1", "0")
    )

    def tree() -> dict[str, bytes]:
        return {str(f.relative_to(sorted_)): f.read_bytes() for f in sorted_.rglob("*") if f.is_file()}

    for _ in range(2):
        status, out, _ = predict(source, "--copy-to", sorted_, "--model", unsure)
        assert (status, len(out)) == (1, 4)
        assert tree() == {
            "unsure/a.jpg": (source / "a.jpg").read_bytes(),
            "unsure/a-2.jpg": (source / "more/a.jpg").read_bytes(),
            "unsure/b.jpg": b"somebody else's",
            "unsure/b-2.jpg": (source / "b.jpg").read_bytes(),
            "unsure/same.jpg": (source / "b.jpg").read_bytes(),
        }
    predict(source, "--copy-to", sorted_, "--model", sure)
    assert {name.split("/")[0] for name in tree()} - {"happy", "sad"} == {"unsure"} < set(os.listdir(sorted_))


def test_explain_draws_and_leaves_the_picture_alone(predict, folder, tmp_path):
    assert predict("faces/b é.png", "--explain", tmp_path / "new/why.png")[0] == 0
    assert Image.open(tmp_path / "new/why.png").format == "PNG"
    before = (folder / "faces/b é.png").read_bytes()
    status, _, err = predict("faces/b é.png", "--explain", folder / "faces/b é.png")
    assert (status, len(err), (folder / "faces/b é.png").read_bytes()) == (2, 1, before)


def test_a_model_cannot_name_a_folder_to_copy_to(predict, folder, tmp_path):
    model = with_metadata(folder / "model.onnx", tmp_path / "hostile.onnx", classes="../x,../x")
    status, out, err = predict("faces/a.jpg", "--model", model, "--copy-to", tmp_path / "sorted")
    assert (status, out) == (2, [])
    assert "hostile.onnx is not a model that stages/export.py wrote" in err[0]
    assert list(tmp_path.iterdir()) == [model]


def test_the_size_limit_is_the_models(predictions, folder, tmp_path):
    model = with_metadata(folder / "model.onnx", tmp_path / "small.onnx", max_megapixels="0.003")
    [found] = predictions("faces/a.jpg", "--model", model)
    assert found["error"].startswith("too_large: 150 x 100 pixels are more than 0.003 megapixels")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: FILE"),
        (["--csv", "faces/a.jpg", "faces/more/c.webp"], "--csv must name a .csv file, not faces/a.jpg"),
        (["--explain", "faces/a.jpg", "faces/more/c.webp"], "--explain must name a .png file"),
        (["--explain", "why.png", "faces"], "--explain takes one picture"),
        (["--model", "absent.onnx", "faces/a.jpg"], "no model called absent.onnx: --model takes "),
        (["--model", "faces/broken.jpg", "faces/a.jpg"], "faces/broken.jpg is not a model"),
        (["empty"], "no files in empty"),
        (["--model", "whole.onnx", "--every-face", "faces/a.jpg"], "whole.onnx judges whole pictures"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_2(predict, folder, arguments, message):
    (folder / "empty").mkdir(exist_ok=True)
    status, out, err = predict(*arguments)
    assert (status, out, len(err)) == (2, [], 1)
    assert err[0].startswith("error: ") and message in err[0]


@pytest.mark.parametrize(
    ("source", "better", "note"),
    [
        (DRAWN, "true", "trained on drawn faces; on photographs, --model faces"),
        (DRAWN, "false", "no better than chance on its validation pictures: add pictures"),
        ("photos", "true", None),
    ],
)
def test_your_own_model_says_what_it_is_good_for(
    predict, folder, tmp_path, monkeypatch, source, better, note
):
    monkeypatch.setattr(stage, "MODELS", tmp_path)
    status, _, err = predict("faces/a.jpg", "--model", "export")
    assert (status, len(err)) == (2, 1)
    assert "run `dvc repro`, or try --model faces" in err[0]
    (tmp_path / "export").mkdir()
    path = tmp_path / "export/model.onnx"
    with_metadata(folder / "model.onnx", path, better_than_chance=better, source=source)
    status, out, err = predict("faces/a.jpg", "--model", "export", "--json")
    assert (status, len(out)) == (0, 1)
    assert [bool(re.match(f"note: .*{note}", line)) for line in err] == [True] * bool(note)


def test_standard_input_may_be_endless_and_ctrl_c_ends_it_at_once(folder):
    with subprocess.Popen(["yes", "faces/a.jpg"], cwd=folder, stdout=subprocess.PIPE) as endless:
        command = [sys.executable, PREDICT, "--model", "whole.onnx", "-"]
        pipes = {"stdin": endless.stdout, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # If the tests run in the background, they ignore SIGINT, and so would a process that they start.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with subprocess.Popen(command, cwd=folder, **pipes) as run:
            assert all(b"faces/a.jpg" in run.stdout.readline() for _ in range(300))
            run.send_signal(signal.SIGINT)
            _, err = run.communicate(timeout=10)
        endless.kill()
    assert (run.returncode, err) == (130, b"")


def test_a_closed_pipe_is_no_error(folder):
    command = [sys.executable, PREDICT, "--model", "model.onnx", *["faces/a.jpg"] * 600]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        run.stdout.readline()
        run.stdout.close()
        assert run.stderr.read() == b""


def test_a_bar_on_a_terminal_that_would_show_nothing_for_long(folder):
    terminal, stderr = pty.openpty()
    termios.tcsetwinsize(stderr, (24, 80))
    command = [sys.executable, PREDICT, "--model", "whole.onnx", "-"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": stderr, "bufsize": 0}
    with subprocess.Popen(command, cwd=folder, **pipes) as run:
        os.close(stderr)
        run.stdin.write(b"faces/a.jpg\n" * 20)
        run.stdin.flush()
        run.stdout.readline()
        time.sleep(1.1)
        out, _ = run.communicate(b"faces/broken.jpg\nfaces/a.jpg\n")
    printed = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert len(out.splitlines()) == 20
    assert "22 pictures" in printed
    assert "\rfaces/broken.jpg: unreadable" in printed  # at the start of a line, not behind the bar


def test_the_examples_of_help_work_as_printed(folder, tmp_path):
    for name in ("happy/IMG_0001.jpg", "sad/IMG_0009.jpg"):
        file = tmp_path / "data/generated" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "faces/a.jpg", file)
    shutil.copy(folder / "faces/a.jpg", tmp_path / "me.jpg")
    command = [sys.executable, PREDICT, "--help"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    examples = re.findall(r"^  (.*?python stages/predict.py .*?)(?:   .*)?$", printed, re.MULTILINE)
    assert len(examples) == 7
    ours = f"{sys.executable} {PREDICT} --model {folder}/model.onnx"
    for example in examples:
        example = example.replace("python stages/predict.py", ours).replace("--model faces", "")
        done = subprocess.run(example, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert {f.name for f in tmp_path.iterdir()} == {"data", "me.jpg", "predictions.csv", "sorted", "why.png"}


def test_it_needs_neither_the_training_libraries_nor_100_MB(folder):
    code = f"""if True:
        import sys
        sys.path.insert(0, {str(PREDICT.parent)!r})
        import predict
        predict.main(["--model", "model.onnx", "faces/a.jpg"])
        heavy = {{"tensorflow", "keras", "pandas", "ruamel", "tqdm", "dvc", "onnx"}} & sys.modules.keys()
        assert not heavy, heavy
        if sys.platform == "linux":  # its own peak; getrusage would count what pytest held before exec
            [peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
            assert int(peak) < 100_000, f"{{peak}} kB"
    """
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
