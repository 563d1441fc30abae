"""Fit the CNN on prepared/train, choose epoch, calibration and threshold on prepared/validation."""

import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # hides notes about absent GPUs; errors come as exceptions

import keras
import numpy as np
import tensorflow as tf

from happysad import CLASSES, baseline, scoring
from happysad.files import write_csv, write_json
from happysad.model import answers, build, open_split, save
from happysad.params import Train, load
from happysad.stage import run


def main(root: Path) -> None:
    params = load(root)
    make_deterministic(params.train)
    train, _ = open_split(root / "data/prepared/train", params.train.batch_size, seed=params.train.seed)
    validation, _ = open_split(root / "data/prepared/validation", params.train.batch_size)
    image_size = train.element_spec[0].shape[1]
    model = build(image_size, params.model)
    history = fit(model, train, validation, params.train, root / "logs" / run_name())
    slope, intercept = calibrate(model, *answers(model, validation))
    labels, scores = answers(model, validation)
    threshold = scoring.best_threshold(labels, scores)

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
            "validation": scoring.metrics(labels, scores, threshold),
            "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
            "threads": params.train.threads,
        },
    )
    write_json(root / "models/baseline.json", baseline.fit(root / "data/prepared/train"))


def make_deterministic(params: Train) -> None:
    keras.utils.set_random_seed(params.seed)
    tf.config.threading.set_intra_op_parallelism_threads(params.threads)
    tf.config.threading.set_inter_op_parallelism_threads(params.threads)
    tf.config.experimental.enable_op_determinism()


def run_name() -> str:
    """In TensorBoard a run is called as its DVC experiment, or else by the time."""
    return os.environ.get("DVC_EXP_NAME") or time.strftime("%Y-%m-%d-%H%M%S")


def fit(
    model: keras.Model, train: tf.data.Dataset, validation: tf.data.Dataset, params: Train, logs: Path
) -> list[dict]:
    """Train, and leave ``model`` with the weights of its best epoch; return the history, a row an epoch."""
    trainer = keras.Model(model.inputs, model.outputs)  # same weights; ``model`` stays free of an optimiser
    trainer.compile(
        optimizer=keras.optimizers.Adam(params.learning_rate),
        loss=keras.losses.BinaryFocalCrossentropy(gamma=params.focal_gamma),
        metrics=[
            keras.metrics.Precision(name="precision"),
            keras.metrics.Recall(name="recall"),
            keras.metrics.BinaryAccuracy(name="accuracy"),
        ],
    )
    # Never stops early: it is here because it keeps the weights of the lowest loss, the earlier of equals.
    best = keras.callbacks.EarlyStopping("val_loss", patience=params.epochs, restore_best_weights=True)
    history = trainer.fit(
        train,
        validation_data=validation,
        epochs=params.epochs,
        shuffle=False,  # the data set does
        callbacks=[best, keras.callbacks.TensorBoard(logs, write_graph=False)],
    )
    columns = {name.replace("val_", "validation_"): values for name, values in history.history.items()}
    return [
        {"epoch": epoch, **dict(zip(columns, values, strict=True))}
        for epoch, values in enumerate(zip(*columns.values(), strict=True), start=1)
    ]


def calibrate(model: keras.Model, labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Fold Platt scaling into the last layer; return its slope and intercept.

    Focal loss pulls scores towards 0.5 (Mukhoti et al. 2020). Platt scaling is linear in the logit, and so
    is the last layer: folded in, whatever runs the model gets probabilities, with nothing to add.
    """
    slope, intercept = scoring.platt(labels, scores)
    layer = model.get_layer("score")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel * slope, bias * slope + intercept])
    return slope, intercept


if __name__ == "__main__":
    run(main)
