"""Fitting: random changes to the pictures, the learning rate's course, and a loop that can be interrupted.

Keras' own fit cannot go on after an interruption and end in the same weights: what its callbacks have
seen and how far the shuffle has come are lost. Here all state is in a list of variables and a history.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from happysad import scoring
from happysad.model import Split, predict
from happysad.params import Augment, Train


def make_deterministic(params: Train) -> None:
    """Before anything is built: the same params give the same bits."""
    tf.config.threading.set_intra_op_parallelism_threads(params.threads)
    tf.config.threading.set_inter_op_parallelism_threads(params.threads)
    tf.config.experimental.enable_op_determinism()
    start_afresh(params)


def start_afresh(params: Train) -> None:
    """Before each model: its first weights and the names of its layers depend on no other."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(params.seed)


def fit(
    model: keras.Model,
    train: Split,
    validation: Split,
    params: Train,
    augment: Augment,
    checkpoint: Path,
    report: Callable[[dict], None] = lambda row: None,
) -> list[dict]:
    """Train, and leave ``model`` with the weights of its epoch of lowest validation loss, the earlier of equals.

    Returns the history, a row an epoch, each handed to ``report`` as well. What ``checkpoint`` holds of a
    run with the same inputs is not done again, and the result is the same to the bit.
    """
    steps = len(shuffle(len(train.labels), params, 1))
    optimizer = make_optimizer(params, steps)
    optimizer.build(model.trainable_variables)
    focal = keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=True,
        alpha=params.focal_alpha,
        gamma=params.focal_gamma,
        label_smoothing=params.label_smoothing,
    )

    def loss(labels: np.ndarray | tf.Tensor, scores: np.ndarray | tf.Tensor) -> tf.Tensor:
        return 2 * focal(labels[:, None], scores[:, None])  # with alpha 0.5, the loss without alpha

    @tf.function(reduce_retracing=True)
    def step(pictures: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        pictures = change(pictures, augment, step_seed(params, optimizer.iterations))
        with tf.GradientTape() as tape:
            scores = model(pictures, training=True)[:, 0]
            value = loss(labels, scores)
        optimizer.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
        return scores

    variables = [*model.variables, *optimizer.variables]
    key = fingerprint(model, train, validation, params, augment)
    history, best = restore(checkpoint, key, variables)
    for row in history:
        report(row)
    for epoch in range(len(history) + 1, params.epochs + 1):
        began = time.perf_counter()
        batches = shuffle(len(train.labels), params, epoch)
        shown = tqdm(batches, f"epoch {epoch}/{params.epochs}", leave=False, unit="batch", disable=None)
        scores = np.concatenate([step(train.pictures[batch], train.labels[batch]) for batch in shown])
        figures = summary(train.labels[np.concatenate(batches)], scores, loss)
        after = summary(validation.labels, predict(model, validation.pictures), loss)
        row = {"epoch": epoch, "learning_rate": float(optimizer.learning_rate), **figures}
        row |= {f"validation_{name}": value for name, value in after.items()}
        if not history or row["validation_loss"] < min(r["validation_loss"] for r in history):
            best = model.get_weights()
        history.append(row)
        store(checkpoint, key, history, variables, best)
        report(row)
        print(
            f"epoch {epoch}/{params.epochs}: loss {row['loss']:.4f}, validation loss {row['validation_loss']:.4f}, "
            f"validation accuracy {row['validation_accuracy']:.3f}, {time.perf_counter() - began:.1f} s",
            flush=True,
        )
    model.set_weights(best)
    return history


def shuffle(n: int, params: Train, epoch: int) -> list[np.ndarray]:
    """All of 0 to n - 1 in a new order each epoch, in batches that differ by one at most: no small last one."""
    order = np.random.default_rng((params.seed, epoch)).permutation(n)
    return np.array_split(order, math.ceil(n / params.batch_size))


def make_optimizer(params: Train, steps: int) -> keras.optimizers.Optimizer:
    rate = params.learning_rate
    if params.schedule == "cosine":  # Loshchilov and Hutter, 2017, without restarts
        warmup = round(params.warmup_epochs * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else rate,
            decay_steps=max(1, params.epochs * steps - warmup),
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    return keras.optimizers.Adam(rate, weight_decay=params.weight_decay or None)  # with decay: AdamW


def step_seed(params: Train, step: int | tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.constant(params.seed, tf.int64), tf.cast(step, tf.int64)])


def change(pictures: tf.Tensor, params: Augment, seed: tf.Tensor) -> tf.Tensor:
    """uint8 pictures (batch, side, side, 3) -> the same, each changed at random; ``seed`` is two ints.

    One affine map does what Keras' RandomFlip, RandomRotation, RandomZoom and RandomTranslation do: pictures
    are interpolated once and not three times, at a third of the cost. Without state, a seed says it all.
    """
    if not any(astuple(params)):
        return pictures
    batch, side = tf.shape(pictures)[0], pictures.shape[1]
    draw = tf.random.stateless_uniform((7, batch), seed, -1, 1)
    flip = tf.where(draw[0] < 0, -1.0, 1.0) if params.mirror else 1.0
    angle = draw[1] * params.rotation * math.pi / 180
    zoom = 1 + draw[2] * params.zoom
    # where in the picture each pixel of the changed picture comes from, about the centre
    xx, xy = flip * zoom * tf.cos(angle), -flip * zoom * tf.sin(angle)
    yx, yy = zoom * tf.sin(angle), zoom * tf.cos(angle)
    centre = (side - 1) / 2
    x = centre - centre * (xx + xy) + draw[3] * params.shift * side
    y = centre - centre * (yx + yy) + draw[4] * params.shift * side
    zero = tf.zeros(batch)
    changed = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(pictures, tf.float32),
        transforms=tf.stack([xx, xy, x, yx, yy, y, zero, zero], axis=1),
        output_shape=[side, side],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    gain, offset = 1 + draw[5] * params.contrast, draw[6] * params.brightness * 255
    mean = tf.reduce_mean(changed, axis=(1, 2, 3))
    shape = (-1, 1, 1, 1)
    changed = changed * tf.reshape(gain, shape) + tf.reshape(mean * (1 - gain) + offset, shape)
    return tf.cast(tf.round(tf.clip_by_value(changed, 0, 255)), tf.uint8)


def summary(labels: np.ndarray, scores: np.ndarray, loss: Callable) -> dict[str, float]:
    """What Keras would log: the loss, and precision, recall and accuracy at threshold 0.5."""
    figures = scoring.metrics(labels, scores, 0.5)
    names = ("accuracy", "precision", "recall")
    return {"loss": float(loss(labels, scores)), **{name: figures[name] for name in names}}


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


# Checkpoint
def fingerprint(model: keras.Model, train: Split, validation: Split, *params: Train | Augment) -> str:
    """A hash of all that the result depends on: pictures, params, architecture, first weights, code, versions."""
    digest = hashlib.sha256(repr((tf.__version__, keras.__version__, *map(astuple, params))).encode())
    digest.update(model.to_json().encode())
    for split in (train, validation):
        digest.update(split.pictures)
        digest.update(split.labels)
    for weights in model.get_weights():
        digest.update(np.ascontiguousarray(weights))
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def store(path: Path, key: str, history: list[dict], variables: list, best: list[np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as file:
        about = json.dumps({"key": key, "history": history})
        np.savez(
            file,
            about=about,
            **{f"variable_{i}": v.numpy() for i, v in enumerate(variables)},
            **{f"best_{i}": w for i, w in enumerate(best)},
        )
    partial.replace(path)  # at once, so that no kill leaves half a checkpoint


def restore(path: Path, key: str, variables: list) -> tuple[list[dict], list[np.ndarray]]:
    """The history so far and the weights of its best epoch, with ``variables`` set; nothing for another key."""
    if not path.exists():
        return [], []
    with np.load(path) as content:
        about = json.loads(str(content["about"]))
        if about["key"] != key:
            return [], []
        for i, variable in enumerate(variables):
            variable.assign(content[f"variable_{i}"])
        best = [content[f"best_{i}"] for i in range(sum(name.startswith("best_") for name in content))]
    print(f"going on after epoch {len(about['history'])}")
    return about["history"], best
