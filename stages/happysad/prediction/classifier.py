"""Exported models, run without TensorFlow: ONNX by onnxruntime, TFLite by LiteRT."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np

from happysad import CLASSES
from happysad.common.errors import UserError
from happysad.data import faces

Score = Callable[[np.ndarray], float]  # uint8 picture (height, width, 3) RGB -> probability of happy


class Classifier(NamedTuple):
    """An exported model and its metadata."""

    score: Score  # thread-safe
    image_size: int  # pixels; model.onnx takes pictures of any other size too
    max_megapixels: float
    crop: str  # face or whole, and the margin of a face: what faces.view takes
    crop_margin: float
    unsure_below: float  # probability of the label
    no_face: str  # what to do with a picture in which no face is found: answer or refuse
    better_than_chance: bool  # on the pictures that training chose by
    source: str  # what it was trained on, in words


def load(path: Path) -> Classifier:
    """Load an .onnx or .tflite file.

    Raises UserError if stages/export.py did not write it, or if its face detector is not the one in faces.py.
    """
    try:
        score, metadata = load_tflite(path) if path.suffix == ".tflite" else load_onnx(path)
        if metadata["classes"] != ",".join(CLASSES):  # labels become folder names
            raise ValueError(metadata["classes"])
        classifier = Classifier(
            score,
            image_size=int(metadata["image_size"]),
            max_megapixels=float(metadata["max_megapixels"]),
            crop=metadata["crop"],
            crop_margin=float(metadata["crop_margin"]),
            unsure_below=float(metadata["unsure_below"]),
            no_face=metadata["no_face"],
            better_than_chance=metadata["better_than_chance"] == "true",
            source=metadata["source"],
        )
    except Exception as error:  # the runtimes' own exceptions have no other common base
        raise UserError(f"{path} is not a model that stages/export.py wrote: run `dvc repro`") from error
    if classifier.crop == "face" and metadata["detector"] != faces.fingerprint():
        raise UserError(
            f"{faces.DETECTOR} is not the face detector of {path}: restore it by git checkout, or run `dvc repro`"
        )
    return classifier


def load_onnx(path: Path) -> tuple[Score, Mapping[str, str]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # several pictures are scored in parallel instead
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def score(picture: np.ndarray) -> float:
        return float(session.run(["scores"], {"picture": picture})[0][1])

    return score, session.get_modelmeta().custom_metadata_map


def load_tflite(path: Path) -> tuple[Score, Mapping[str, str]]:
    from zipfile import ZipFile  # here, as all runtimes: only one is needed, and they are slow to import

    from ai_edge_litert.interpreter import Interpreter

    with ZipFile(path) as attached:  # appended to the flatbuffer
        metadata = json.loads(attached.read("metadata.json"))
    run = Interpreter(str(path), num_threads=1).get_signature_runner()
    lock = Lock()  # an interpreter has a single set of tensors

    def score(picture: np.ndarray) -> float:
        with lock:
            return float(run(pictures=picture[None])["scores"][0, 1])

    return score, metadata
