"""Fitting the CNN with Keras: the order of the pictures, optimizer, loss, callbacks."""

import itertools
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from tensorboard.plugins.hparams.api import KerasCallback

from happysad.common.errors import UserError
from happysad.common.params import Params, Train
from happysad.data.prepared import Split
from happysad.training.augmentation import RANDOM_VALUES, augment, random_values
from happysad.training.calibration import platt
from happysad.training.cnn import build, predict, start_from, with_mirror_image

MIN_STEPS = 50  # of an epoch: a smaller data set is gone through several times, augmented anew each time


def make_deterministic(params: Train) -> None:
    """The same params give the same weights, bit for bit, if this is called before TensorFlow computes anything."""
    tf.config.threading.set_intra_op_parallelism_threads(params.threads)
    tf.config.threading.set_inter_op_parallelism_threads(params.threads)
    tf.config.experimental.enable_op_determinism()
    keras.backend.clear_session()  # or the names of layers would depend on earlier models
    keras.utils.set_random_seed(params.seed)


def fit(
    train: Split, validation: Split, params: Params, root: Path, logs: Path | None = None
) -> tuple[keras.Model, pd.DataFrame, dict[str, float]]:
    """Train a CNN on the GPUs of this machine, if any, and calibrate it on ``validation``; ``root`` is the project's folder,
    ``logs`` a new one for TensorBoard.

    Returns the model of the epoch with the lowest validation loss, which takes the mean over a picture and its mirror
    image; a table with a row of figures per epoch; slope and intercept of the calibration. Raises UserError if training
    diverges.
    """
    settings = params.train
    make_deterministic(settings)
    steps = len(shuffle(len(train.labels), settings, epoch=1))
    callbacks = [
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.EarlyStopping("val_loss", patience=settings.epochs, restore_best_weights=True),
    ]
    if logs:
        hparams = asdict(params.model) | asdict(params.augment) | asdict(settings)
        hparams = {name: str(value) for name, value in hparams.items()}
        callbacks += [keras.callbacks.TensorBoard(logs, histogram_freq=1), KerasCallback(str(logs), hparams)]
    with strategy().scope():
        cnn = build(train.pictures.shape[1], params.model)
        if settings.start:
            start_from(cnn, root / settings.start)
        rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.epochs * steps)
        loss = keras.losses.BinaryFocalCrossentropy(
            apply_class_balancing=True,
            alpha=1 - train.labels.mean(),  # both classes weigh the same, whatever their numbers
            gamma=settings.focal_gamma,
            label_smoothing=settings.label_smoothing,
        )
        metrics = [
            keras.metrics.Precision(name="precision"),
            keras.metrics.Recall(name="recall"),
            keras.metrics.BinaryAccuracy(name="accuracy"),
        ]
        adam = keras.optimizers.Adam(rate, weight_decay=settings.weight_decay or None)
        cnn.compile(adam, loss, metrics=metrics, jit_compile=False)
        history = cnn.fit(
            batches(train, params),
            epochs=settings.epochs,
            steps_per_epoch=steps,
            validation_data=(validation.pictures, validation.labels),
            validation_batch_size=256,
            callbacks=callbacks,
            shuffle=False,
            verbose=1 if sys.stdout.isatty() else 2,
        )
        model = with_mirror_image(cnn)
        # For evaluate(); this optimizer has no state to save.
        model.compile("sgd", loss, metrics=metrics, jit_compile=False)
    table = pd.DataFrame(history.history).rename(columns=lambda name: name.replace("val_", "validation_"))
    table.insert(0, "epoch", np.arange(1, len(table) + 1))
    if not np.isfinite(table).all(axis=None):
        raise UserError(f"training diverged in epoch {len(table)}: lower train.learning_rate in params.yaml")
    slope, intercept = platt(validation.labels, predict(model, validation.pictures))
    score = model.layers[-1]  # with the calibration in its weights, every exported file has it
    kernel, bias = score.get_weights()
    score.set_weights([kernel * slope, bias * slope + intercept])
    return model, table, {"slope": slope, "intercept": intercept}


def strategy() -> tf.distribute.Strategy:
    """A replica of the model for each GPU, which share every batch."""
    several = len(tf.config.list_physical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


def batches(split: Split, params: Params) -> tf.data.Dataset:
    """Batches of augmented pictures, uint8 (batch, side, side, 3), and labels, int (batch,), epoch after epoch."""
    seed, side = params.train.seed, split.pictures.shape[1]

    def all_epochs() -> Iterator[tuple]:
        for epoch in itertools.count(1):
            for step, batch in enumerate(shuffle(len(split.labels), params.train, epoch)):
                yield split.pictures[batch], split.labels[batch], random_values(len(batch), seed, epoch, step)

    signature = (
        tf.TensorSpec((None, side, side, 3), tf.uint8),
        tf.TensorSpec((None,), tf.int64),
        tf.TensorSpec((None, RANDOM_VALUES), tf.float32),
    )
    data = tf.data.Dataset.from_generator(all_epochs, output_signature=signature)
    return data.map(
        lambda pictures, labels, values: (augment(pictures, values, params.augment), labels)
    ).prefetch(2)


def shuffle(n: int, params: Train, epoch: int) -> list[np.ndarray]:
    """The batches of an epoch: each of 0 to n - 1 equally often, in an order that follows from seed and epoch.

    Their sizes differ by one at most: no small last one.
    """
    rng = np.random.default_rng((params.seed, epoch))
    passes = math.ceil(MIN_STEPS * params.batch_size / n)
    order = np.concatenate([rng.permutation(n) for _ in range(passes)])
    return np.array_split(order, math.ceil(len(order) / params.batch_size))
