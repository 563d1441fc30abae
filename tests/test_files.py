"""Writing whole or not at all."""

import errno
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import PROJECT

from happysad.common import tables
from happysad.common.cli import in_words
from happysad.common.files import all_or_nothing, read_json, replacing, replacing_file, write_json


def listing(folder: Path) -> dict[str, str]:
    return {f.relative_to(folder).as_posix(): f.read_text() for f in folder.rglob("*") if f.is_file()}


def write_all(root: Path, text: str) -> None:
    write_json(root / "metrics/a.json", {"text": text})
    tables.write_csv(root / "metrics/a.csv", pd.DataFrame([{"text": text}]))
    with replacing(root / "folder") as folder:
        (folder / f"{text}.txt").write_text(text)
        write_json(folder / "inside.json", {"text": text})


def test_replaced_together_or_not_at_all(tmp_path):
    with all_or_nothing():
        write_all(tmp_path, "old")
    old = listing(tmp_path)
    assert set(old) == {"metrics/a.json", "metrics/a.csv", "folder/old.txt", "folder/inside.json"}
    with pytest.raises(ZeroDivisionError), all_or_nothing():
        write_all(tmp_path, "new")
        assert {name: listing(tmp_path)[name] for name in old} == old
        raise ZeroDivisionError
    assert listing(tmp_path) == old
    with all_or_nothing():
        write_all(tmp_path, "new")
    assert set(listing(tmp_path)) == {name.replace("old.txt", "new.txt") for name in old}
    write_all(tmp_path, "newer")  # without all_or_nothing, at once
    assert "newer" in listing(tmp_path)["metrics/a.json"]


@pytest.mark.parametrize("write", [write_json, tables.write_csv])
def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path, write):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(Exception):  # noqa: B017 - whatever it is that such content makes each of them raise
        write(path, object())
    assert listing(tmp_path) == {"a": "old"}


def test_an_error_that_names_no_file_gets_the_name_of_what_was_written(tmp_path):
    for context in (replacing, replacing_file):
        with pytest.raises(OSError) as error, context(tmp_path / "out"):
            raise OSError(errno.ENOSPC, "No space left on device")
        assert (
            in_words(error.value)
            == f"{tmp_path}/out: No space left on device: free some space and run it again"
        )
        with pytest.raises(OSError, match="other"), context(tmp_path / "out"):
            raise OSError(errno.ENOSPC, "No space left on device", "other")
    assert listing(tmp_path) == {}


RUN = """if True:
    import sys
    from happysad.common.cli import run
    from happysad.common.errors import UserError
    def main(root):
        raise {}
    run(main)
"""


@pytest.mark.parametrize(
    ("error", "traceback"),
    [
        ("UserError('params.yaml: mend it')", False),
        ("OSError(28, 'No space left on device', 'models')", False),
        ("ValueError('operands could not be broadcast together')", True),
    ],
)
def test_only_what_the_user_can_mend_is_one_line(error, traceback):
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(error)],
        cwd=PROJECT / "stages",
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert ("Traceback" in done.stderr) == traceback
    assert traceback or (done.stderr.startswith("error: ") and done.stderr.count("\n") == 1)


def test_make_clean_removes_what_was_made_and_nothing_that_git_has(tmp_path):
    made = [
        *(
            "data/generated/a.png",
            "data/prepared/a.png",
            "data/generated_truth.csv",
            "data/prepared.partial/a.png",
        ),
        *("models/model.keras", "models/model.json", "models/baseline.json"),
        *(
            "data/failed/manifest.csv",
            "metrics/crossvalidation.csv",
            "models/export/model.onnx",
            "models/.model.json.partial",
        ),
        *(
            "metrics/plots/test/roc.png",
            "metrics/report.html",
            "metrics/label_errors.jpg",
            "metrics/.a.csv.partial",
        ),
        *("logs/run/train/events", "dvc_plots/index.html"),
    ]
    kept = [
        *("data/README.md", "data/corrections.csv", "data/photos/happy/1.jpg", "models/README.md"),
        *("models/faces/model.onnx", "metrics/test.json", "metrics/history.csv", "params.yaml"),
    ]
    for name in made + kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "Makefile").write_text((PROJECT / "Makefile").read_text())
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert set(listing(tmp_path)) == {*kept, "Makefile"}


def test_json_never_holds_nan(tmp_path):
    file = tmp_path / "metrics.json"
    write_json(file, {"accuracy": 0.5})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(file, {"accuracy": float("nan")})
    assert read_json(file) == {"accuracy": 0.5}
