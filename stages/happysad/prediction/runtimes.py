"""Each exported file in its own runtime, on the CPU."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

BATCH = 64  # pictures a call, where a call takes several

Score = Callable[[Sequence[np.ndarray]], np.ndarray]  # n uint8 pictures -> float32 (n, 2)


def load_any_size_onnx(path: Path) -> Score:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda pictures: np.stack([session.run(["scores"], {"picture": p})[0] for p in pictures])


def load_batch_onnx(path: Path) -> Score:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return in_batches(lambda pictures: session.run(["scores"], {"pictures": pictures})[0])


def load_tflite(path: Path) -> Score:
    run = Interpreter(str(path)).get_signature_runner()
    return lambda pictures: np.concatenate([run(pictures=p[None])["scores"] for p in pictures])


def load_saved_model(path: Path) -> Score:
    serve = tf.saved_model.load(path).signatures["serving_default"]
    return in_batches(lambda pictures: serve(pictures=tf.constant(pictures))["scores"].numpy())


def in_batches(score: Score) -> Score:
    return lambda pictures: np.concatenate(
        [score(pictures[start : start + BATCH]) for start in range(0, len(pictures), BATCH)]
    )


LOAD: dict[str, Callable[[Path], Score]] = {
    "model.onnx": load_any_size_onnx,
    "model_batch.onnx": load_batch_onnx,
    "model.tflite": load_tflite,
    "model_int8.tflite": load_tflite,
    "saved_model": load_saved_model,
}
