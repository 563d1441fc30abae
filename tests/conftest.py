"""What several tests need: a project folder with small settings, and one that the stages have run in."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from hypothesis import settings
from PIL import Image

from happysad.common.cli import PROJECT  # sets TensorFlow up, before any test imports it
from happysad.drawing.render import render
from happysad.drawing.sampling import sample_face

settings.register_profile("steady", deadline=None)  # a busy machine is no failure
settings.load_profile("steady")
SMALL = {  # as little as teaches something: otherwise, the calibration makes all scores 0.5
    "generate": {"pictures_per_class": 50, "size": 48},
    "prepare": {"image_size": 32, "test_fraction": 0.25, "validation_fraction": 0.25},
    "model": {"filters": [8, 16], "dense_units": 32},
    "train": {"epochs": 2, "batch_size": 16, "learning_rate": 0.005},
}


def make_project(root: Path, **changes) -> Path:
    """``root`` with the project's params.yaml, each group updated by ``changes``."""
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    for key, value in changes.items():
        params[key] = {**params[key], **value} if isinstance(value, dict) else value
    (root / "data").mkdir(parents=True, exist_ok=True)
    (root / "data/corrections.csv").write_text("path,label\n")
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return root


def recipe(name: str) -> dict[str, dict]:
    """What experiments/``name`` changes, for ``make_project``."""
    words = (PROJECT / "experiments" / name).read_text().split()
    assert set(words[::2]) <= {"-S"}
    changes = {}
    for word in words[1::2]:
        key, value = word.split("=")
        group, setting = key.split(".")
        changes.setdefault(group, {})[setting] = yaml.safe_load(value)
    return changes


def draw(seed: int, width: int = 64, height: int = 48) -> Image.Image:
    """A picture unlike that of any other seed: smooth blobs of colour."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def draw_folder(folder: Path, seeds: range) -> None:
    folder.mkdir(parents=True)
    for seed in seeds:
        draw(seed).save(folder / f"{seed}.jpg", quality=92)


def draw_faces(width: int, height: int, *boxes: tuple[int, int, int]) -> Image.Image:
    """Drawn faces on smooth blobs of colour; a box is the left and top of a face's drawing and its side, in pixels."""
    picture = draw(width + height, width, height)
    for seed, (left, top, side) in enumerate(boxes):
        label, rng = ("sad", "happy")[seed % 2], np.random.default_rng(seed)
        face = sample_face(label, rng, pose=0)
        picture.paste(render(face, side), (left, top))
    return picture


def with_metadata(original: Path, path: Path, **metadata: str) -> Path:
    """``path``, to which the ONNX model is saved with other metadata."""
    model = onnx.load(original)
    onnx.helper.set_model_props(model, {entry.key: entry.value for entry in model.metadata_props} | metadata)
    onnx.save(model, path)
    return path


def on_each_processor(script: str) -> list[bytes]:
    """What ``script`` prints with the instruction sets of NumPy and OpenBLAS that this machine has, fewest first."""
    sets = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    if not sets:
        pytest.skip("NumPy has a single instruction set for this processor")
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "stages")}
    kernels = [{"OPENBLAS_CORETYPE": "Prescott"}, {"OPENBLAS_CORETYPE": "Haswell"}] + [{}] * len(sets)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            env=environment | {"NPY_DISABLE_CPU_FEATURES": " ".join(sets[enabled:])} | kernels[enabled],
        )
        for enabled in range(len(sets) + 1)
    ]
    outputs = [process.communicate()[0] for process in processes]
    assert outputs[0]
    return outputs


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A small project in which all stages have run, in this process."""
    import evaluate  # here, since TensorFlow takes seconds
    import export
    import generate
    import prepare
    import train

    root = make_project(tmp_path_factory.mktemp("finished"), **SMALL)
    for stage in (generate, prepare, train, evaluate, export):
        stage.main(root)
    return root
