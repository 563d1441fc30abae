"""The command line of predict, as a user types it."""

import csv
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from conftest import PROJECT, draw, draw_faces, with_metadata
from PIL import Image

import predict as stage
from happysad import CLASSES
from happysad.common import images
from happysad.common.tables import read_csv
from happysad.data import faces
from happysad.prediction.classifier import load

PREDICT = PROJECT / "stages/predict.py"
VALUES = ("path", "answer", "label", "probability", "score")
BOX = ("face_left", "face_top", "face_right", "face_bottom")


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory) -> Path:
    """A face, several, a broken file, no face in a sub-folder, two hidden pictures, and the model: cropped and whole."""
    folder = tmp_path_factory.mktemp("pictures")
    with_metadata(finished / "models/export/model.onnx", folder / "model.onnx", better_than_chance="true")
    (folder / "faces/more").mkdir(parents=True)
    draw_faces(150, 100, (60, 10, 80)).save(folder / "faces/a.jpg")
    draw_faces(240, 120, (120, 10, 100), (10, 40, 70)).save(folder / "faces/b é.png")
    draw(3).save(folder / "faces/more/c.webp")
    (folder / "faces/broken.jpg").write_bytes(b"<html>")
    (folder / "faces/.thumbnails").mkdir()
    for name in (".hidden.jpg", ".thumbnails/d.jpg"):
        draw(4).save(folder / "faces" / name)
    with_metadata(folder / "model.onnx", folder / "whole.onnx", crop="whole", detector="")
    return folder


def predict(folder: Path, *arguments: str | Path, stdin: str = "") -> tuple[int, list[str], list[str]]:
    """Exit status, lines of stdout, lines of stderr."""
    command = [sys.executable, PREDICT, "--model", "model.onnx", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def predictions(folder: Path, *arguments: str | Path, stdin: str = "") -> list[dict]:
    return [json.loads(line) for line in predict(folder, "--json", *arguments, stdin=stdin)[1]]


def line(found: dict, *notes: str) -> str:
    """What is printed of a result, up to the notes that its answer does not imply."""
    unsure = [f"more likely {found['label']}"] if found["answer"] == "unsure" else []
    certainty = f"{found['probability']:.0%}"
    return "  ".join([f"{found['answer']:<7}", f"{certainty:>3}", found["path"], *unsure, *notes])


def test_one_picture(folder):
    status, out, err = predict(folder, "faces/a.jpg")
    [found] = predictions(folder, "faces/a.jpg")
    assert (status, err) == (0, [])
    assert out == [line(found)]
    assert re.match(r"(happy  |sad    |unsure )  \d\d%  faces/a\.jpg", out[0])


def test_a_broken_file_gets_one_line_and_the_others_are_classified(folder):
    status, out, err = predict(folder, "faces/a.jpg", "faces/broken.jpg", "absent.jpg", "faces/b é.png")
    assert status == 1
    assert [re.search("faces/.*?(?=  |$)", line)[0] for line in out] == ["faces/a.jpg", "faces/b é.png"]
    assert [line.split(": ")[:2] for line in err] == [
        ["faces/broken.jpg", "unreadable"],
        ["absent.jpg", "unreadable"],
    ]


def test_folders_patterns_and_lists(folder):
    paths = ["faces/a.jpg", "faces/b é.png", "faces/broken.jpg", "faces/more/c.webp"]

    def classified(*arguments: str, **options) -> list[str]:
        return [found["path"] for found in predictions(folder, *arguments, **options)]

    assert classified("faces") == paths
    assert classified("faces/*.jpg", "faces/m*") == [paths[0], *paths[2:]]
    assert classified("faces/**") == paths
    assert classified("-", stdin="faces/more/c.webp\r\n\nfaces/b é.png\n") == [paths[3], paths[1]]
    assert classified("-", stdin="faces/more/c.webp\0faces/b é.png\0") == [paths[3], paths[1]]  # find -print0
    assert classified("faces/.hidden.jpg") == ["faces/.hidden.jpg"]


def test_json(folder):
    good, bad = predictions(folder, "faces/a.jpg", "faces/broken.jpg")
    assert set(good) == {*VALUES, "faces", *BOX, "face_score", "face_turned"}
    assert set(bad) == {"path", "error"}
    assert good["label"] == CLASSES[good["score"] >= 0.5]
    assert good["probability"] == max(good["score"], 1 - good["score"])


@pytest.mark.parametrize(
    ("score", "answer", "shown"),
    [
        (0.97, "happy", "happy    97%  a.jpg"),
        (0.9999, "happy", "happy    99%  a.jpg"),
        (0.666667, "happy", "happy    67%  a.jpg"),
        (0.6666, "unsure", "unsure   67%  a.jpg  more likely happy"),
        (0.4, "unsure", "unsure   60%  a.jpg  more likely sad"),
        (0.03, "sad", "sad      97%  a.jpg"),
    ],
)
def test_an_answer_is_sure_from_two_to_one(folder, tmp_path, monkeypatch, capsys, score, answer, shown):
    draw(1).save(tmp_path / "a.jpg")
    monkeypatch.chdir(tmp_path)
    classifier = load(folder / "whole.onnx")._replace(score=lambda picture: score)
    monkeypatch.setattr(stage, "load", lambda path: classifier)
    assert stage.main(["--model", str(folder / "whole.onnx"), "a.jpg"]) == 0
    assert capsys.readouterr().out == f"{shown}\n"
    assert stage.main(["--model", str(folder / "whole.onnx"), "--copy-to", "sorted", "a.jpg"]) == 0
    assert [file.parent.name for file in Path("sorted").glob("*/*")] == [answer]
    assert capsys.readouterr().err == f"1 pictures: 1 {answer} -> sorted\n"


def test_no_face_no_answer(folder, tmp_path):
    model = with_metadata(folder / "model.onnx", tmp_path / "refuses.onnx", no_face="refuse")
    status, out, err = predict(
        folder, "faces/a.jpg", "faces/more/c.webp", "--model", model, "--copy-to", tmp_path / "sorted"
    )
    assert (status, out[1]) == (0, "no face       faces/more/c.webp")
    assert (tmp_path / "sorted/no_face/c.webp").exists()
    [found] = predictions(folder, "faces/more/c.webp", "--model", model)
    assert found == dict.fromkeys(VALUES) | {"path": "faces/more/c.webp", "answer": "no face", "faces": 0}
    status, out, err = predict(folder, "faces", "--model", model, "--csv", tmp_path / "a.csv")
    assert (status, out) == (1, [])
    assert re.fullmatch(rf"4 pictures: .*, 1 no face, 1 unreadable -> {tmp_path}/a.csv", err[1])
    rows = read_csv(tmp_path / "a.csv").set_index("path").astype(str).loc["faces/more/c.webp"]
    assert [rows[name] for name in VALUES[1:]] == ["no face", "", "", ""]
    status, out, err = predict(
        folder, "faces/more/c.webp", "--model", model, "--explain", tmp_path / "why.png"
    )
    assert (status, (tmp_path / "why.png").exists()) == (0, False)


def test_a_turned_face_is_judged_upright(folder, tmp_path):
    upright = draw_faces(200, 200, (50, 50, 100))
    upright.rotate(-90).save(tmp_path / "turned.png")
    upright.save(tmp_path / "upright.png")
    [expected], [found] = (predictions(folder, tmp_path / name) for name in ("upright.png", "turned.png"))
    assert (expected["face_turned"], found["face_turned"]) == (0, 90)
    assert found["score"] == pytest.approx(expected["score"], abs=0.05)
    assert predict(folder, tmp_path / "turned.png")[1] == [line(found, "turned by 90")]


def test_the_largest_face_decides_and_the_others_are_told_on_request(folder):
    path = "faces/b é.png"
    [largest] = predictions(folder, path)
    first, second = predictions(folder, "--every-face", path)
    assert first == largest
    assert first["faces"] == second["faces"] == 2
    assert first["face_right"] - first["face_left"] > second["face_right"] - second["face_left"]
    assert first["face_left"] > 120  # where they were drawn
    assert second["face_right"] < 80

    picture, model = Image.open(folder / path), load(folder / "model.onnx")
    for found in (first, second):
        face = faces.Face(*(found[name] for name in BOX), found["face_score"])
        assert found["score"] == model.score(images.squash(faces.square(picture, face, 1.1), 32))

    assert predict(folder, "--every-face", path)[1] == [
        line(found, f"face at {','.join(str(found[x]) for x in BOX)}") for found in (first, second)
    ]


def test_a_picture_without_a_face_says_so(folder):
    for option in ((), ("--every-face",)):
        [found] = predictions(folder, "faces/more/c.webp", *option)
        assert set(found) == {*VALUES, "faces"}
        assert found["faces"] == 0
        assert predict(folder, "faces/more/c.webp", *option)[1] == [
            line(found, "no face: whole picture judged")
        ]


def test_a_model_of_whole_pictures_looks_for_no_faces(folder, monkeypatch, capsys):
    model = folder / "whole.onnx"
    monkeypatch.setattr(faces, "find", None)
    assert stage.main(["--model", str(model), "--json", str(folder / "faces/a.jpg")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == set(VALUES)
    picture = images.decode(folder / "faces/a.jpg", 32, 64)
    assert found["score"] == load(model).score(picture)


@pytest.mark.parametrize("content", [None, b"another detector"])
def test_without_the_models_detector_nothing_is_judged(folder, tmp_path, monkeypatch, capsys, content):
    detector = tmp_path / "face_detector.onnx"
    if content:
        detector.write_bytes(content)
    monkeypatch.setattr(faces, "DETECTOR", detector)
    assert stage.main(["--model", str(folder / "model.onnx"), str(folder / "faces/a.jpg")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"error: {detector} is .* restore it by git checkout.*\n", err)


def test_csv_has_what_json_has_and_is_there_whole_or_not_at_all(folder, tmp_path):
    odd = folder / os.fsdecode(b"faces/caf\xe9, or\nnot.png")  # neither valid text nor a single line
    shutil.copy(folder / "faces/a.jpg", odd)
    try:
        assert predict(folder, odd)[1][0].count(os.fsdecode(b"faces/caf\xe9, or?not.png"))
        status, out, err = predict(folder, "faces", "--csv", tmp_path / "new/a.csv")
        expected = predictions(folder, "faces")
    finally:
        odd.unlink()
    assert (status, out, len(err)) == (1, [], 2)
    with open(tmp_path / "new/a.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]
    assert rows == [{name: str(value) for name, value in row.items()} for row in expected]
    assert predict(folder, "-", "--csv", tmp_path / "b.csv")[0] == 2
    assert list(tmp_path.rglob("*.*")) == [tmp_path / "new/a.csv"]


def test_no_name_in_a_csv_is_a_formula(folder, tmp_path):
    names = ["+1.jpg", "-1.jpg", "=1+1.jpg", "@SUM.jpg", "\t=1.jpg"]
    for name in names:
        draw(1).save(tmp_path / name)
    predict(tmp_path, "*.jpg", "--model", folder / "model.onnx", "--csv", "a.csv")
    paths = read_csv(tmp_path / "a.csv")["path"]
    assert sorted(paths) == sorted(f"./{name}" for name in names)
    assert all((tmp_path / path).exists() for path in paths)


def test_copies_never_overwrite_a_file_and_are_made_once(folder, tmp_path):
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
        status, out, _ = predict(folder, source, "--copy-to", sorted_, "--model", unsure)
        assert (status, len(out)) == (1, 4)
        assert tree() == {
            "unsure/a.jpg": (source / "a.jpg").read_bytes(),
            "unsure/a-2.jpg": (source / "more/a.jpg").read_bytes(),
            "unsure/b.jpg": b"somebody else's",
            "unsure/b-2.jpg": (source / "b.jpg").read_bytes(),
            "unsure/same.jpg": (source / "b.jpg").read_bytes(),
        }
    predict(folder, source, "--copy-to", sorted_, "--model", sure)
    assert {name.split("/")[0] for name in tree()} - {"happy", "sad"} == {"unsure"} < set(os.listdir(sorted_))


def test_explain_draws_and_leaves_the_picture_alone(folder, tmp_path):
    assert predict(folder, "faces/a.jpg", "--explain", tmp_path / "new/why.png")[0] == 0
    page = Image.open(tmp_path / "new/why.png")
    assert page.width > 2 * page.height * 0.8  # two pictures side by side

    picture = tmp_path / "a.png"
    draw(1).save(picture)
    before = picture.read_bytes()
    status, _, err = predict(folder, picture, "--explain", picture)
    assert (status, len(err), picture.read_bytes()) == (2, 1, before)


def test_a_model_cannot_name_a_folder_to_copy_to(folder, tmp_path):
    model = with_metadata(folder / "model.onnx", tmp_path / "hostile.onnx", classes="../x,../x")
    status, out, err = predict(folder, "faces/a.jpg", "--model", model, "--copy-to", tmp_path / "sorted")
    assert (status, out) == (2, [])
    assert "hostile.onnx is not a model that stages/export.py wrote" in err[0]
    assert list(tmp_path.iterdir()) == [model]


def test_the_size_limit_is_the_models(folder, tmp_path):
    model = with_metadata(folder / "model.onnx", tmp_path / "small.onnx", max_megapixels="0.003")
    [found] = predictions(folder, "faces/a.jpg", "--model", model)
    assert found["error"].startswith(
        "too_large: 150 x 100 pixels are more than 0.003 megapixels: make it smaller"
    )


def test_every_exported_file_gives_the_same_scores(folder, finished):
    expected = [found.get("score") for found in predictions(folder, "faces")]
    for name, tolerance in {"model.onnx": 1e-6, "model.tflite": 0.01}.items():
        rows = predictions(folder, "faces", "--model", finished / "models/export" / name)
        assert [row.get("score") for row in rows] == pytest.approx(expected, abs=tolerance)


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
def test_what_cannot_be_done_is_one_line_and_status_2(folder, arguments, message):
    (folder / "empty").mkdir(exist_ok=True)
    status, out, err = predict(folder, *arguments)
    assert (status, out, len(err)) == (2, [], 1)
    assert err[0].startswith("error: ") and message in err[0]


def test_without_a_model_of_your_own_it_names_the_one_for_faces(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stage, "MODELS", tmp_path)
    assert stage.main(["a.jpg"]) == 2
    assert (
        "you have not trained a model yet: run `dvc repro`, or try --model faces" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("better", "note"),
    [
        ("true", "trained on drawn faces; on photographs, --model faces"),
        ("false", "no better than chance on its validation pictures: add pictures"),
    ],
)
def test_a_model_of_drawn_faces_or_no_use_says_so(folder, tmp_path, monkeypatch, capsys, better, note):
    (tmp_path / "export").mkdir()
    with_metadata(folder / "model.onnx", tmp_path / "export/model.onnx", better_than_chance=better)
    monkeypatch.setattr(stage, "MODELS", tmp_path)
    picture = str(folder / "faces/a.jpg")
    assert stage.main(["--json", picture]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["path"] == picture
    assert re.fullmatch(rf"note: .*{note}.*\n", err)
    assert stage.main(["--model", str(tmp_path / "export/model.onnx"), picture]) == 0
    assert (capsys.readouterr().err == "") == (
        better == "true"
    )  # whoever names a file knows what it was trained on


def test_a_score_does_not_depend_on_the_files_around_it(folder):
    together = {found["path"]: found for found in predictions(folder, "faces")}
    assert predictions(folder, "faces/more/c.webp") == [together["faces/more/c.webp"]]


def test_a_closed_pipe_is_no_error(folder):
    many = ["faces/a.jpg"] * 600
    command = [sys.executable, PREDICT, "--model", "model.onnx", *many]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        run.stdout.readline()
        run.stdout.close()
        assert run.stderr.read() == b""


def test_a_bar_on_a_terminal_and_nowhere_else(folder):
    arguments = ["--model", "whole.onnx", *["faces/a.jpg"] * 300, "faces/broken.jpg"]
    assert "301/301" not in "".join(predict(folder, *arguments)[2])

    terminal, stderr = pty.openpty()
    termios.tcsetwinsize(stderr, (24, 80))
    command = [sys.executable, PREDICT, *arguments]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=stderr, text=True, check=False)
    os.close(stderr)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert len(done.stdout.splitlines()) == 300
    assert "301/301" in shown
    assert "\rfaces/broken.jpg: unreadable" in shown  # at the start of a line, not behind the bar


def test_the_examples_of_help_work_as_printed(finished, tmp_path):
    shutil.copytree(finished / "data/generated", tmp_path / "data/generated")
    shown = subprocess.run(
        [sys.executable, PREDICT, "--help"], capture_output=True, text=True, check=True
    ).stdout
    commands = re.findall(r"^  (.*?python stages/predict.py .*?)(?:   .*)?$", shown, re.MULTILINE)
    assert len(commands) == 9
    ours = f"{sys.executable} {PREDICT} --model {finished}/models/export/model.onnx"
    draw_faces(150, 100, (60, 10, 80)).save(tmp_path / "me.jpg")
    for command in commands:
        command = command.replace(
            "python stages/predict.py --model faces", f"{sys.executable} {PREDICT} --model faces"
        )
        command = command.replace("python stages/predict.py", ours)
        done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stderr  # a broken file is planted among the faces
        assert "No such file" not in done.stderr
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
