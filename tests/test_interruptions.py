"""Stages that are killed, that run out of space, and whose source changes meanwhile: nothing lost or half written."""

import importlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT, SMALL, draw, draw_folder, make_project

import prepare
from happysad.common.cli import in_words
from happysad.common.errors import UserError
from happysad.data import prepared

OUTPUTS = ("data", "models", "metrics")


def command(stage: str, root: Path) -> list:
    return [sys.executable, PROJECT / f"stages/{stage}.py", "--root", root]


def contents(root: Path) -> dict[str, bytes]:
    files = (f for name in OUTPUTS for f in (root / name).rglob("*") if f.is_file())
    return {f.relative_to(root).as_posix(): f.read_bytes() for f in files}


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """The finished project, to be harmed."""
    shutil.copytree(finished, tmp_path / "copy", ignore=shutil.ignore_patterns("logs"))
    return tmp_path / "copy"


@pytest.mark.parametrize(
    ("stage", "with_workers"), [("generate", True), ("prepare", True), ("prepare", False)]
)
def test_killed_at_some_moment_and_run_again(finished, copy, stage, with_workers):
    running = subprocess.Popen(command(stage, copy), start_new_session=True, stderr=subprocess.DEVNULL)
    partial = copy / f"data/{'generated' if stage == 'generate' else 'prepared'}.partial"
    while not any(partial.rglob("*.*")):
        assert running.poll() is None
        time.sleep(0.005)
    time.sleep(np.random.default_rng().uniform(0, 0.5))
    children = workers(running)
    os.killpg(running.pid, signal.SIGKILL) if with_workers else running.kill()
    running.wait()
    until = time.monotonic() + 10
    while any(map(runs, children)):
        assert time.monotonic() < until, "workers outlive their stage"
        time.sleep(0.05)
    before = contents(finished)
    after = contents(copy)
    assert {name: after[name] for name in before if name in after} == before
    subprocess.run(command(stage, copy), check=True, capture_output=True)
    assert contents(copy) == before


def workers(stage: subprocess.Popen) -> list[int]:
    children = Path(f"/proc/{stage.pid}/task/{stage.pid}/children")  # on Linux
    return [int(pid) for pid in children.read_text().split()] if children.exists() else []


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"  # a zombie only waits to be reaped
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("stage", ["generate", "prepare"])
def test_without_space_nothing_changes_and_one_line_says_where(copy, stage):
    """A limit on the size of files makes write() fail, as a full disk does."""
    before = contents(copy)
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (1000, 1000))
    done = subprocess.run(command(stage, copy), preexec_fn=limit, check=False, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith(f"error: {copy}/"), done.stderr
    assert line.endswith("File too large: raise the limit on file sizes (ulimit -f) and run it again")
    assert "Traceback" not in done.stderr
    assert contents(copy) == before


@pytest.mark.parametrize(("stage", "size"), [("train", 20_000), ("evaluate", 5000), ("export", 20_000)])
def test_without_space_nothing_changes_in_this_process(copy, stage, size):
    """The same of the stages for which TensorFlow, which takes seconds to import, would have to be loaded again."""
    before = contents(copy)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, unlimited[1]))
    try:
        with pytest.raises(OSError, match="File too large") as error:
            importlib.import_module(stage).main(copy)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert in_words(error.value).startswith(f"{copy}/")
    assert contents(copy) == before


def test_space_for_the_mapped_pictures_is_reserved(finished, monkeypatch):
    """Where it is not, the kernel kills the process with SIGBUS once the disk is full."""
    reserved = []
    monkeypatch.setattr(os, "posix_fallocate", lambda file, start, size: reserved.append((start, size)))
    split = prepared.read_split(finished / "data/prepared/train")
    assert reserved == [(0, split.pictures.nbytes)]


def test_an_output_that_cannot_be_written_is_one_line(copy):
    shutil.rmtree(copy / "metrics/plots")
    (copy / "metrics/plots").write_text("in the way")
    done = subprocess.run(command("prepare", copy), check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {copy}/metrics/plots")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("change", ["changed", "added"])
def test_a_source_that_changes_meanwhile_is_an_error(tmp_path, monkeypatch, change):
    draw_folder(tmp_path / "photos/happy", range(15))
    draw_folder(tmp_path / "photos/sad", range(100, 115))
    root = make_project(tmp_path, source="photos", prepare={**SMALL["prepare"], "crop": "whole"})
    prepare.main(root)
    before = contents(root)
    listed = prepare.correct

    def then_change(*args) -> None:
        listed(*args)
        draw(999).save(root / f"photos/happy/{'3' if change == 'changed' else 'new'}.jpg")

    monkeypatch.setattr(prepare, "correct", then_change)
    with pytest.raises(UserError, match=r"photos/happy/(3|new)\.jpg changed while prepare was running"):
        prepare.main(root)
    assert contents(root) == before
