"""Exported models, run without TensorFlow: ONNX by onnxruntime, TFLite by LiteRT."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np

Score = Callable[[np.ndarray], float]
from happysad.common.errors import UserError


class Classifier(NamedTuple):
    """What an exported file says of itself."""

    score: Score  # uint8 (image_size, image_size, 3) RGB -> probability of happy; any thread may call it
    classes: list[str]
    image_size: int
    threshold: float


def load(path: Path) -> Classifier:
    """Load any model of models/export that is a file. Raises UserError where it is none."""
    if not path.is_file():
        raise UserError(f"no model at {os.path.relpath(path)}: run dvc repro first")
    try:
        score, about = load_tflite(path) if path.suffix == ".tflite" else load_onnx(path)
        return Classifier(
            score, about["classes"].split(","), int(about["image_size"]), float(about["threshold"])
        )
    except Exception as error:  # the runtimes' own exceptions have no other common base
        raise UserError(f"{path} is not a model that stages/export.py wrote: run dvc repro") from error


def load_onnx(path: Path) -> tuple[Score, Mapping[str, str]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # pictures run side by side already
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    [tensor] = session.get_inputs()  # `pictures` of model_batch.onnx, or the one `picture` of model.onnx

    def score(picture: np.ndarray) -> float:
        [scores] = session.run(
            ["scores"], {tensor.name: picture[None] if len(tensor.shape) == 4 else picture}
        )
        return float(scores.ravel()[1])

    return score, session.get_modelmeta().custom_metadata_map


def load_tflite(path: Path) -> tuple[Score, Mapping[str, str]]:
    from zipfile import ZipFile  # both take a while, and ONNX needs neither

    from ai_edge_litert.interpreter import Interpreter

    with ZipFile(path) as attached:  # after the flatbuffer
        about = json.loads(attached.read("metadata.json"))
    run = Interpreter(str(path), num_threads=1).get_signature_runner()
    lock = Lock()  # an interpreter has one set of tensors

    def score(picture: np.ndarray) -> float:
        with lock:
            return float(run(pictures=picture[None])["scores"][0, 1])

    return score, about
