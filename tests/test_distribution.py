"""One training shared among replicas: two machines, which two processes stand for, or two devices of one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import replica
from conftest import PROJECT


def start(out: Path, devices: int = 1, **environment: str) -> subprocess.Popen:
    command = [sys.executable, PROJECT / "tests/replica.py", out, str(devices)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "stages"), **environment}
    return subprocess.Popen(
        command, env=environment, text=True, stderr=subprocess.STDOUT, stdout=subprocess.PIPE
    )


def finish(run: subprocess.Popen) -> None:
    said = run.communicate()[0]
    assert run.returncode == 0, said


def read(file: Path, replicas: int) -> np.ndarray:
    """Weights and losses, as one row of numbers."""
    with np.load(file) as content:
        *values, count = (content[name].ravel() for name in content)
    assert count == replicas
    return np.concatenate(values)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> np.ndarray:
    out = tmp_path_factory.mktemp("alone") / "0.npz"
    replica.main(out, devices=1)
    return read(out, 1)


def free_address() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def test_two_machines_fit_what_one_fits(tmp_path, alone):
    cluster = {"worker": [free_address(), free_address()]}
    tasks = [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}}) for i in (0, 1)]
    for run in [start(tmp_path / f"{i}.npz", TF_CONFIG=task) for i, task in enumerate(tasks)]:
        finish(run)
    first, second = (read(tmp_path / f"{i}.npz", 2) for i in (0, 1))
    assert np.array_equal(first, second)
    assert np.allclose(first, alone, atol=1e-5)
    assert not (tmp_path / "1.checkpoint").exists()  # the first alone writes


def test_two_devices_fit_what_one_fits(tmp_path, alone):
    finish(start(tmp_path / "0.npz", devices=2))
    assert np.allclose(read(tmp_path / "0.npz", 2), alone, atol=1e-5)
