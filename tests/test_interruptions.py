"""Stages that are killed, that run out of space, and whose source changes meanwhile: nothing lost or half written."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT, SMALL, draw, draw_folder, make_project

import prepare
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


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("stage", ["generate", "prepare"])
def test_killed_at_some_moment_and_run_again(finished, copy, stage, seed):
    """The stage alone, or with its workers, which are in a session of their own."""
    rng = np.random.default_rng(seed)
    running = subprocess.Popen(command(stage, copy), start_new_session=True, stderr=subprocess.DEVNULL)
    partial = copy / f"data/{'generated' if stage == 'generate' else 'prepared'}.partial"
    while not partial.exists() and running.poll() is None:
        time.sleep(0.005)
    time.sleep(rng.uniform(0, 0.5))
    os.kill(running.pid, signal.SIGKILL) if seed % 2 else os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    before = contents(finished)
    after = contents(copy)
    assert {name: after[name] for name in before if name in after} == before
    subprocess.run(command(stage, copy), check=True, capture_output=True)
    assert contents(copy) == before


def workers(stage: subprocess.Popen) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{stage.pid}/task/{stage.pid}/children").read_text().split()]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"  # a zombie only waits to be reaped
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds workers in /proc")
def test_workers_end_when_their_stage_is_killed(copy):
    running = subprocess.Popen(command("prepare", copy), stderr=subprocess.DEVNULL)
    while not any((copy / "data/prepared.partial").glob("*.png")):
        time.sleep(0.005)
    children = workers(running)
    running.kill()
    running.wait()
    assert children
    until = time.monotonic() + 10
    while any(map(runs, children)):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds workers in /proc")
def test_a_killed_worker_changes_nothing(finished, copy):
    running = subprocess.Popen(command("prepare", copy), stdout=subprocess.DEVNULL)
    killed = 0
    while running.poll() is None and not killed:
        if any((copy / "data/prepared.partial").glob("*.png")):
            os.kill(workers(running)[0], signal.SIGKILL)
            killed += 1
    assert running.wait() == 0
    assert killed
    assert contents(copy) == contents(finished)


def bounded(size: int):
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that write() fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize(
    ("stage", "size"),
    [("generate", 1000), ("prepare", 1000), ("train", 20_000), ("evaluate", 5000), ("export", 20_000)],
)
def test_without_space_nothing_changes_and_one_line_says_where(copy, stage, size):
    before = contents(copy)
    done = subprocess.run(
        command(stage, copy), preexec_fn=bounded(size), check=False, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith(f"error: {copy}/"), done.stderr
    assert line.endswith("File too large: raise the limit on file sizes (ulimit -f) and run it again")
    assert "Traceback" not in done.stderr
    assert contents(copy) == before


def test_space_for_the_mapped_pictures_is_reserved(finished, monkeypatch):
    """Where it is not, the kernel kills the process with SIGBUS once the disk is full."""
    reserved = []
    monkeypatch.setattr(os, "posix_fallocate", lambda file, start, size: reserved.append((start, size)))
    split = prepared.read_split(finished / "data/prepared/train")
    assert reserved == [(0, split.pictures.nbytes)]


def test_a_file_where_the_output_folder_should_be(copy):
    shutil.rmtree(copy / "models/export")
    shutil.rmtree(copy / "metrics/plots")
    (copy / "metrics/plots").write_text("in the way")
    done = subprocess.run(command("prepare", copy), check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {copy}/metrics/plots")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(copy):
    (copy / "data").chmod(0o500)
    done = subprocess.run(command("prepare", copy), check=False, capture_output=True, text=True)
    (copy / "data").chmod(0o700)
    assert done.returncode == 1
    assert done.stderr.endswith("Permission denied: make it writable for you and run it again\n")


@pytest.mark.parametrize("change", ["deleted", "changed", "added"])
def test_a_source_that_changes_meanwhile_is_an_error(tmp_path, monkeypatch, change):
    draw_folder(tmp_path / "photos/happy", range(25))
    draw_folder(tmp_path / "photos/sad", range(100, 125))
    root = make_project(tmp_path, source="photos", prepare=SMALL["prepare"])
    prepare.main(root)
    before = contents(root)
    listed = prepare.correct

    def then_change(*args) -> None:
        listed(*args)
        file = root / "photos/happy/3.jpg"
        if change == "deleted":
            file.unlink()
        else:
            draw(999).save(file if change == "changed" else file.with_name("new.jpg"))

    monkeypatch.setattr(prepare, "correct", then_change)
    with pytest.raises(UserError, match=r"photos/happy/(3|new)\.jpg changed while prepare was running"):
        prepare.main(root)
    assert contents(root) == before
