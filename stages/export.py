"""models/model.keras -> models/export/: ONNX, LiteRT (TFLite), SavedModel, labels.txt and a model card.

Each file is loaded again by its own runtime and must give the scores of the Keras model.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from string import Template

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # hides notes about absent GPUs; errors come as exceptions

import keras
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx
from ai_edge_litert.interpreter import Interpreter
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from happysad import CLASSES, images, model, params
from happysad.files import read_json, replacing, write_json
from happysad.stage import run

BATCH = 64  # pictures held in memory at a time
OPSET = 18  # of ONNX; every onnxruntime since 1.14 runs it
PACKAGES = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "numpy", "pillow")

Score = Callable[[np.ndarray], np.ndarray]  # uint8 (n, size, size, 3) -> float32 (n,), probability of happy


def main(root: Path) -> None:
    settings = params.load(root)
    classifier = model.load(root / "models/model.keras")
    description = read_json(root / "models/model.json")
    pictures = sorted((root / "data/prepared/validation").glob("*/*.png"))
    with replacing(root / "models/export") as out:
        write_saved_model(classifier, out / "saved_model")
        write_tflite(classifier, out / "model.tflite")
        write_onnx(classifier, description, out / "model.onnx")
        (out / "labels.txt").write_text("".join(f"{name}\n" for name in CLASSES))
        metrics = compare(classifier, out, pictures, description)
        check(metrics["files"], settings.export.tolerance)
        (out / "README.md").write_text(
            model_card(root, settings, classifier, description, metrics), encoding="utf-8"
        )
    write_json(root / "metrics/export.json", metrics)


def inference(classifier: keras.Model, batch: int | None) -> tf.types.experimental.PolymorphicFunction:
    """``pictures`` uint8 (batch, size, size, 3) -> {"score": float32 (batch,)}, the weights as constants.

    With constants, a saved file holds neither the state of augmentation layers nor anything else that
    differs between processes.
    """
    signature = [tf.TensorSpec((batch, *classifier.input_shape[1:]), tf.uint8, name="pictures")]
    score = tf.function(lambda pictures: tf.squeeze(classifier(pictures, training=False), 1), signature)
    frozen = convert_variables_to_constants_v2(score.get_concrete_function())
    return tf.function(lambda pictures: {"score": frozen(pictures)[0]}, signature)


def write_saved_model(classifier: keras.Model, path: Path) -> None:
    module = tf.Module()
    module.serve = inference(classifier, None)
    tf.saved_model.save(module, path, signatures=module.serve)
    (path / "fingerprint.pb").unlink()  # a random number; nothing needs it to load the model


def write_tflite(classifier: keras.Model, path: Path) -> None:
    # One picture a call: with a batch of any size, Flatten becomes shape arithmetic that not every
    # accelerator runs.
    one = inference(classifier, 1).get_concrete_function()
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([one], tf.Module()).convert())


def write_onnx(classifier: keras.Model, description: dict, path: Path) -> None:
    """Write the graph and, as its metadata, all that predict must know."""
    serve = inference(classifier, None)
    proto, _ = tf2onnx.convert.from_function(serve, serve.input_signature, opset=OPSET)
    name_tensors(proto.graph)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    size = description["image_size"]
    metadata = {
        "classes": ",".join(CLASSES),
        "image_size": str(size),
        "threshold": repr(description["threshold"]),
        "score": f"probability of {CLASSES[1]}; {CLASSES[1]} where score >= threshold",
        "preprocessing": f"uint8 RGB turned upright by its EXIF tag, resized to {size}x{size} by Pillow BILINEAR",
    }
    onnx.helper.set_model_props(proto, metadata)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def name_tensors(graph: onnx.GraphProto) -> None:
    """Name tensors after their node: tf2onnx numbers them in the order of a set, new in each process."""
    names = {tensor.name: tensor.name for tensor in (*graph.input, *graph.output)}
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"
        for i, name in enumerate(node.input):
            names.setdefault(name, f"{node.name}_input_{i}")
        for i, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}_output_{i}")
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    graph.initializer.sort(key=lambda tensor: tensor.name)
    del graph.value_info[:]  # shapes under the old names


def load_onnx(path: Path) -> Score:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda pictures: session.run(["score"], {"pictures": pictures})[0]


def load_tflite(path: Path) -> Score:
    run = Interpreter(str(path)).get_signature_runner()
    return lambda pictures: np.concatenate([run(pictures=picture[None])["score"] for picture in pictures])


def load_saved_model(path: Path) -> Score:
    serve = tf.saved_model.load(path).signatures["serving_default"]
    return lambda pictures: serve(pictures=tf.constant(pictures))["score"].numpy()


def compare(classifier: keras.Model, out: Path, pictures: list[Path], description: dict) -> dict:
    """Score ``pictures`` with the Keras model and, each in its own runtime, the files in ``out``.

    Returns what metrics/export.json holds: the number of pictures and, for each file, its size in bytes,
    the largest difference in score from the Keras model, and on how many pictures the labels differ.
    """
    runtimes: dict[str, Score] = {
        "model.keras": lambda batch: classifier(batch, training=False).numpy()[:, 0],
        "model.onnx": load_onnx(out / "model.onnx"),
        "model.tflite": load_tflite(out / "model.tflite"),
        "saved_model": load_saved_model(out / "saved_model"),
    }
    scores = {name: [] for name in runtimes}
    seconds = dict.fromkeys(runtimes, 0.0)
    for start in range(0, len(pictures), BATCH):
        paths = pictures[start : start + BATCH]
        batch = np.stack([images.decode(path, description["image_size"]) for path in paths])
        for name, score in runtimes.items():
            began = time.perf_counter()
            scores[name].append(score(batch))
            seconds[name] += time.perf_counter() - began

    keras_score, *others = (np.concatenate(batches) for batches in scores.values())
    keras_happy = keras_score >= description["threshold"]
    files = {}
    for name, score in zip(list(runtimes)[1:], others, strict=True):
        files[name] = {
            "bytes": sum(f.stat().st_size for f in out.rglob("*") if name in f.parts and f.is_file()),
            "largest_difference": float(np.abs(score - keras_score).max()),
            "label_flips": int(((score >= description["threshold"]) != keras_happy).sum()),
        }
        print(
            f"{name}: {files[name]['bytes'] / 1e6:.2f} MB, {1000 * seconds[name] / len(pictures):.2f} ms a picture, "
            f"scores within {files[name]['largest_difference']:.1g} of Keras on {len(pictures)} pictures"
        )
    return {"pictures": len(pictures), "files": files}


def check(files: dict[str, dict], tolerance: float) -> None:
    """Raises ValueError for the first file whose scores differ by more than ``tolerance``."""
    for name, file in files.items():
        if not file["largest_difference"] <= tolerance:  # so that NaN fails too
            raise ValueError(
                f"models/export/{name}: scores differ from those of models/model.keras by up to "
                f"{file['largest_difference']:.3g}; export.tolerance in params.yaml allows {tolerance:g}"
            )


def model_card(
    root: Path, settings: params.Params, classifier: keras.Model, description: dict, metrics: dict
) -> str:
    """model_card.md filled in: each figure comes from params.yaml, the model, or a file under metrics/."""
    test = read_json(root / "metrics/test.json")
    data = read_json(root / "metrics/data.json")
    return Template((Path(__file__).parent / "model_card.md").read_text(encoding="utf-8")).substitute(
        negative=CLASSES[0],
        positive=CLASSES[1],
        image_size=description["image_size"],
        threshold=description["threshold"],
        source="faces drawn by the project itself, no photographs"
        if settings.source == "data/generated"
        else f"pictures from a folder called {Path(settings.source).name}",
        raw=data["raw"],
        kept=data["kept"],
        rejected=", ".join(f"{count} {reason}" for reason, count in data["rejected"].items()) or "none",
        splits=table(
            (name, *(data[name][label] for label in CLASSES)) for name in ("train", "validation", "test")
        ),
        layers=", ".join(type(layer).__name__ for layer in classifier.layers[1:]),
        weights=f"{classifier.count_params():,}",
        training=", ".join(f"{name} {value}" for name, value in asdict(settings.train).items()),
        epoch=description["epoch"],
        accuracy=test["accuracy"],
        figures=table(figures(test)),
        pictures=metrics["pictures"],
        files=table((name, *file.values()) for name, file in metrics["files"].items()),
        versions=", ".join(f"{package} {version(package)}" for package in PACKAGES),
    )


def figures(test: dict) -> Iterator[tuple]:
    """Name, value and interval of each figure in test.json."""
    for name, value in test.items():
        if f"{name}_ci_low" in test:
            yield name, f"{value:.3f}", f"{test[f'{name}_ci_low']:.3f} to {test[f'{name}_ci_high']:.3f}"
        elif not name.endswith(("_ci_low", "_ci_high")):
            yield name, value if isinstance(value, int) else f"{value:.3f}", ""


def table(rows: Iterable[tuple]) -> str:
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


if __name__ == "__main__":
    run(main)
