"""Each exported file, run by its own runtime, against the Keras model that it was made from."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from happysad.common import images
from happysad.common.errors import UserError
from happysad.export.serving import load_saved_model
from happysad.prediction import classifier
from happysad.training import cnn

# Each file, and by how much its scores may differ from the Keras model's: model.onnx resizes pictures itself.
TOLERANCE = {
    "model.onnx": 0.05,
    "model_batch.onnx": 1e-4,
    "model.tflite": 1e-4,
    "model_int8.tflite": 0.2,
    "saved_model": 1e-4,
}


def compare(model: keras.Model, out: Path, pictures: np.ndarray) -> dict[str, dict]:
    """Score ``pictures``, uint8 (n, size, size, 3), with the Keras model and with each file in ``out``.

    Returns for each file its size in bytes, the largest difference in score, and label_changes, the fraction
    of pictures whose label differs. model.onnx gets the pictures at other sizes, since it resizes by itself.
    """
    rescaled = list(other_sizes(pictures))
    resized = np.stack([images.squash(Image.fromarray(p), pictures.shape[1]) for p in rescaled])
    scores, resized_scores = cnn.predict(model, pictures), cnn.predict(model, resized)
    files = {}
    for name in TOLERANCE:
        inputs, expected = (rescaled, resized_scores) if name == "model.onnx" else (pictures, scores)
        path = out / name
        score = load_saved_model(path) if path.is_dir() else classifier.load(path).score
        began = time.perf_counter()
        found = np.array([score(picture) for picture in inputs])
        milliseconds = 1000 * (time.perf_counter() - began) / len(pictures)
        parts = path.rglob("*") if path.is_dir() else [path]
        files[name] = {
            "bytes": sum(part.stat().st_size for part in parts if part.is_file()),
            "largest_difference": float(np.abs(found - expected).max()),
            "label_changes": float(((found >= 0.5) != (expected >= 0.5)).mean()),
        }
        print(
            f"{name}: {files[name]['bytes'] / 1e6:.2f} MB, {milliseconds:.2f} ms per picture, "
            f"scores within {files[name]['largest_difference']:.1g} of Keras on {len(pictures)} pictures"
        )
    return files


def other_sizes(pictures: np.ndarray) -> Iterator[np.ndarray]:
    """Each picture at a random size, uint8 (height, width, 3): half to four times its height and its width.

    Nearest neighbour leaves hard edges, where two implementations of resizing differ most.
    """
    rng = np.random.default_rng(0)
    for picture in pictures:
        width, height = (int(side) for side in pictures.shape[1] * 2 ** rng.uniform(-1, 2, 2))
        yield np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.NEAREST))


def leave_out(files: dict[str, dict], out: Path) -> None:
    """Remove the files of ``out`` that do not match the Keras model, and mark them so in ``files``.

    Raises UserError if it is model.onnx, which predict runs.
    """
    for name, file in files.items():
        file["matches"] = file["largest_difference"] <= TOLERANCE[name]  # not of NaN
        if file["matches"]:
            continue
        fault = (
            f"its scores differ from those of models/model.keras by up to {file['largest_difference']:.3g}"
        )
        if name == "model.onnx":
            raise UserError(f"models/export/{name}: {fault}: install the versions in requirements.lock")
        print(f"{name} is left out: {fault}")
        shutil.rmtree(out / name) if (out / name).is_dir() else (out / name).unlink()
