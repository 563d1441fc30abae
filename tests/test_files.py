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
from happysad.common.files import all_or_nothing, replacing, replacing_file, write_json


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
        with all_or_nothing():
            write_json(tmp_path / "evidence.json", {})
        raise ZeroDivisionError
    assert listing(tmp_path) == old | {"evidence.json": "{}\n"}
    write_all(tmp_path, "new")  # without all_or_nothing, at once
    assert set(listing(tmp_path)) - {"evidence.json"} == {name.replace("old.txt", "new.txt") for name in old}


@pytest.mark.parametrize(
    ("write", "content"),
    [(write_json, object()), (write_json, {"accuracy": float("nan")}), (tables.write_csv, object())],
)
def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path, write, content):
    (tmp_path / "a").write_text("old")
    with pytest.raises(Exception):  # noqa: B017 - whatever it is that such content makes each of them raise
        write(tmp_path / "a", content)
    assert listing(tmp_path) == {"a": "old"}


def test_an_error_that_names_no_file_gets_the_name_of_what_was_written(tmp_path):
    for context in (replacing, replacing_file):
        with pytest.raises(OSError) as error, context(tmp_path / "out"):
            raise OSError(errno.ENOSPC, "No space left on device")
        what = "No space left on device: free some space and run it again"
        assert in_words(error.value) == f"{tmp_path}/out: {what}"
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


MADE = """data/generated/a.png data/prepared/a.png data/generated_truth.csv data/prepared.partial/a.png
    data/failed/manifest.csv models/model.keras models/.model.json.partial models/export/model.onnx
    metrics/plots/test/roc.png metrics/report.html metrics/.a.csv.partial logs/run/train/events"""
KEPT = """data/README.md data/corrections.csv data/photos/happy/1.jpg models/README.md models/faces/model.onnx
    metrics/test.json params.yaml"""


def test_make_clean_removes_what_was_made_and_nothing_that_git_has(tmp_path):
    for name in [*MADE.split(), *KEPT.split()]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "Makefile").write_text((PROJECT / "Makefile").read_text())
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert set(listing(tmp_path)) == {*KEPT.split(), "Makefile"}
