"""Fit the CNN on prepared/train, choose epoch, calibration and threshold on prepared/validation."""

import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # hides notes about absent GPUs; errors come as exceptions

import keras
import numpy as np
import tensorflow as tf
import yaml

from happysad import CLASSES, scoring
from happysad.files import write_csv, write_json
from happysad.fitting import calibrate, change, fit, make_deterministic
from happysad.model import Split, build, predict, read_split, save
from happysad.params import Train, load
from happysad.stage import run


def main(root: Path) -> None:
    params = load(root)
    make_deterministic(params.train)
    train = read_split(root / "data/prepared/train")
    validation = read_split(root / "data/prepared/validation")
    image_size = train.pictures.shape[1]
    model = build(image_size, params.model)
    checkpoint = root / "models/checkpoint.npz"
    logs = root / "logs" / run_name()
    history = fit(model, train, validation, params.train, params.augment, checkpoint, epoch_logger(logs))
    slope, intercept = calibrate(model, validation.labels, predict(model, validation.pictures))
    scores = predict(model, validation.pictures)
    threshold = scoring.best_threshold(validation.labels, scores)

    write_csv(root / "metrics/history.csv", history)
    save(model, root / "models/model.keras")
    with open(root / "models/summary.txt", "w", encoding="utf-8") as file:
        model.summary(line_length=80, print_fn=lambda text: file.write(text + "\n"))
    write_json(
        root / "models/model.json",
        {
            "classes": CLASSES,
            "image_size": image_size,
            "threshold": threshold,
            "calibration": {"slope": slope, "intercept": intercept},
            "epoch": min(history, key=lambda row: row["validation_loss"])["epoch"],
            "validation": scoring.metrics(validation.labels, scores, threshold),
            "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
            "threads": params.train.threads,
        },
    )
    checkpoint.unlink()


def run_name() -> str:
    """In TensorBoard a run is called as its DVC experiment, or else by the time."""
    return os.environ.get("DVC_EXP_NAME") or time.strftime("%Y-%m-%d-%H%M%S")


def epoch_logger(logs: Path) -> Callable[[dict], None]:
    """A function that writes a row of the history to ``logs``/train and ``logs``/validation."""
    writers = {name: tf.summary.create_file_writer(str(logs / name)) for name in ("train", "validation")}

    def write(row: dict) -> None:
        for name, value in row.items():
            split = "validation" if name.startswith("validation_") else "train"
            with writers[split].as_default(step=row["epoch"]):
                tf.summary.scalar(name.removeprefix("validation_"), value)
                tf.summary.flush()

    return write


if __name__ == "__main__":
    run(main)
