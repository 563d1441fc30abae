"""models/model.keras -> models/export/: ONNX, LiteRT (TFLite), SavedModel, labels.txt and a model card.

Each file is loaded again by its own runtime and must give the scores of the Keras model.
"""

import hashlib
import json
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import happysad  # noqa: F401 - before TensorFlow, which it sets up

# isort: split
import keras
import numpy as np
from PIL import Image

from happysad import CLASSES
from happysad.common import images, params
from happysad.common.cli import PROJECT, run
from happysad.common.errors import UserError
from happysad.common.files import read_json, replacing, write_json
from happysad.data.prepared import read_split
from happysad.export import onnx_model, serving, tflite_model
from happysad.export.model_card import model_card
from happysad.prediction import runtimes
from happysad.training import cnn

REPRESENTATIVE = 200  # training pictures that int8 is calibrated on, at the least where there are as many


def main(root: Path) -> None:
    settings = params.load(root)
    classifier = cnn.load(root / "models/model.keras")
    description = read_json(root / "models/model.json")
    training = sorted((root / "data/prepared/train").glob("*/*.png"))
    validation = read_split(root / "data/prepared/validation").pictures
    metadata = describe(description, training)
    with replacing(root / "models/export") as out:
        write(classifier, metadata, training, out)
        files = compare(classifier, out, validation, description["threshold"])
        metrics = {"pictures": len(validation), "files": files}
        check(metrics, settings.export)
        card = model_card(root, classifier, metadata, metrics)
        (out / "README.md").write_text(card, encoding="utf-8")
    write_json(root / "metrics/export.json", metrics)


def describe(description: dict, training: list[Path]) -> dict[str, str]:
    """What every exported file says about itself.

    ``training`` are the training pictures, <label>/<id>.png: an id being a hash of the raw file, a hash of
    these names stands for pictures and labels.
    """
    size, threshold = description["image_size"], description["threshold"]
    slope, intercept = description["calibration"].values()
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = "".join(f"{file.parent.name}/{file.name}\n" for file in training)
    return {
        "classes": ",".join(CLASSES),
        "image_size": str(size),
        "threshold": repr(threshold),
        "calibration": f"Platt scaling, folded in: slope {slope!r}, intercept {intercept!r}",
        "score": f"probability of {CLASSES[1]}, the second of scores; {CLASSES[1]} where score >= threshold",
        "preprocessing": f"uint8 RGB turned upright by its EXIF tag, resized to {size}x{size} by Pillow BILINEAR",
        "version": project["version"],
        "training_data": f"sha256:{hashlib.sha256(names.encode()).hexdigest()}",
    }


def write(classifier: keras.Model, metadata: dict[str, str], training: list[Path], out: Path) -> None:
    size = int(metadata["image_size"])
    batches = onnx_model.batches(classifier)
    onnx_model.write(batches, metadata, out / "model_batch.onnx")
    resizes = {"preprocessing": f"uint8 RGB turned upright by its EXIF tag; resized to {size}x{size} inside"}
    onnx_model.write(onnx_model.any_size(batches, size), metadata | resizes, out / "model.onnx")

    labels = "".join(f"{name}\n" for name in CLASSES)
    attached = {"labels.txt": labels, "metadata.json": json.dumps(metadata, indent=2) + "\n"}
    sample = training[:: max(1, len(training) // REPRESENTATIVE)]
    representative = np.stack([images.decode(file, size) for file in sample])
    tflite_model.write(tflite_model.float32(classifier), attached, out / "model.tflite")
    tflite_model.write(tflite_model.int8(classifier, representative), attached, out / "model_int8.tflite")

    serving.write_saved_model(classifier, out / "saved_model")
    (out / "labels.txt").write_text(labels)


def compare(classifier: keras.Model, out: Path, pictures: np.ndarray, threshold: float) -> dict[str, dict]:
    """Score ``pictures``, uint8 (n, size, size, 3), with the Keras model and with each file in ``out``.

    Returns for each file its size in bytes, the largest difference in score from the Keras model, and on how
    many pictures the labels differ.
    """
    uneven = list(other_sizes(pictures))
    resized = np.stack([images.squash(Image.fromarray(picture), pictures.shape[1]) for picture in uneven])
    files = {}
    for name, load in runtimes.LOAD.items():
        theirs, ours = (uneven, resized) if name == "model.onnx" else (pictures, pictures)
        score = load(out / name)
        began = time.perf_counter()
        found = score(theirs)[:, 1].astype(float)
        milliseconds = 1000 * (time.perf_counter() - began) / len(pictures)
        expected = cnn.predict(classifier, ours)
        files[name] = {
            "bytes": sum(f.stat().st_size for f in out.rglob("*") if name in f.parts and f.is_file()),
            "largest_difference": float(np.abs(found - expected).max()),
            "label_changes": int(((found >= threshold) != (expected >= threshold)).sum()),
        }
        print(
            f"{name}: {files[name]['bytes'] / 1e6:.2f} MB, {milliseconds:.2f} ms a picture, "
            f"scores within {files[name]['largest_difference']:.1g} of Keras on {len(pictures)} pictures"
        )
    return files


def other_sizes(pictures: np.ndarray) -> Iterator[np.ndarray]:
    """Each picture at a size of its own, uint8 (height, width, 3): a half to four times as high and wide.

    By nearest neighbour, which leaves hard edges: where they are, ways to resize differ most.
    """
    rng = np.random.default_rng(0)
    for picture in pictures:
        width, height = (int(side) for side in pictures.shape[1] * 2 ** rng.uniform(-1, 2, 2))
        yield np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.NEAREST))


def check(metrics: dict, limits: params.Export) -> None:
    """Raises UserError for the first file that differs from the Keras model by more than params.yaml allows."""
    for name, file in metrics["files"].items():
        if name == "model_int8.tflite":
            what, key = "share of other answers", "int8_label_changes"
            found = file["label_changes"] / metrics["pictures"]
        else:
            what, key = "largest difference in score", "tolerance"
            found = file["largest_difference"]
        if name == "model.onnx":
            key = "resize_tolerance"
        allowed = getattr(limits, key)
        if not found <= allowed:  # so that NaN fails too
            raise UserError(
                f"models/export/{name} against models/model.keras: {what} {found:.3g}; "
                f"export.{key} in params.yaml allows {allowed:g}"
            )


if __name__ == "__main__":
    run(main)
