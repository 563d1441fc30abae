"""A training loop that can be interrupted, and distributed over GPUs and machines.

Keras' own fit cannot resume after an interruption and end in the same weights: the state of its callbacks
and of the shuffling is lost. Nor does it run on several machines. Here, all state is in a list of variables and
a history, and each replica processes its share of every batch.
"""

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from happysad.common.params import Augment, Train
from happysad.data.prepared import Split
from happysad.evaluation import metrics
from happysad.training.augmentation import augment, random_values
from happysad.training.checkpoint import fingerprint, restore, store
from happysad.training.cnn import predict, set_precision, train_scores


def make_deterministic(params: Train) -> None:
    """Call before anything is built, so that the same params give the same weights, bit for bit."""
    tf.config.threading.set_intra_op_parallelism_threads(params.threads)
    tf.config.threading.set_inter_op_parallelism_threads(params.threads)
    tf.config.experimental.enable_op_determinism()
    reset(params)


def distribute() -> tf.distribute.Strategy:
    """One replica of the model for each GPU of this machine or, if TF_CONFIG is set, of all machines that it names.

    Without either, a single replica. Call it before anything else of TensorFlow; build and fit models in its
    ``scope()``.
    """
    if "TF_CONFIG" in os.environ:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def is_chief() -> bool:
    """Whether this process writes the results: of several machines, one does."""
    return tf.distribute.get_strategy().extended.should_checkpoint


def reset(params: Train) -> None:
    """Call before each model, so that its initial weights and layer names do not depend on earlier ones."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(params.seed)


def fit(
    model: keras.Model,
    train: Split,
    validation: Split,
    params: Train,
    augmentation: Augment,
    checkpoint: Path,
    report: Callable[[dict], None] = lambda row: None,
) -> list[dict]:
    """Train, and leave ``model`` with the weights of the epoch with the lowest validation loss, the first if several.

    Returns the history, a row per epoch, which ``report`` gets as well. Resumes from ``checkpoint`` if that is of
    a run with the same inputs; the result is the same, bit for bit.
    """
    set_precision(model, precision(params))
    optimizer = make_optimizer(params, steps=len(shuffle(len(train.labels), params, 1)))
    optimizer.build(model.trainable_variables)
    loss = make_loss(params)
    step = make_step(model, optimizer, loss, augmentation)
    variables = [*model.variables, *optimizer.variables]
    key = fingerprint(model, train, validation, params, augmentation)
    history, best = restore(checkpoint, key, variables)
    for row in history:
        report(row)
    for epoch in range(len(history) + 1, params.epochs + 1):
        began = time.perf_counter()
        batches = shuffle(len(train.labels), params, epoch)
        progress = tqdm(batches, f"epoch {epoch}/{params.epochs}", leave=False, unit="batch", disable=None)
        scores = np.concatenate(
            [
                step(
                    train.pictures[batch],
                    train.labels[batch],
                    random_values(len(batch), params.seed, epoch, i),
                )
                for i, batch in enumerate(progress)
            ]
        )
        figures = summary(train.labels[np.concatenate(batches)], scores, loss)
        after = summary(validation.labels, predict(model, validation.pictures), loss)
        row = {
            "epoch": epoch,
            "learning_rate": float(keras.ops.convert_to_numpy(optimizer.learning_rate)),
            **figures,
        }
        row |= {f"validation_{name}": value for name, value in after.items()}
        if not history or row["validation_loss"] < min(r["validation_loss"] for r in history):
            best = model.get_weights()
        history.append(row)
        if is_chief():
            store(checkpoint, key, history, variables, best)
        report(row)
        print(
            f"epoch {epoch}/{params.epochs}: loss {row['loss']:.4f}, validation loss {row['validation_loss']:.4f}, "
            f"validation accuracy {row['validation_accuracy']:.3f}, {time.perf_counter() - began:.1f} s",
            flush=True,
        )
    model.set_weights(best)
    set_precision(model, "float32")
    return history


def precision(params: Train) -> str:
    """The dtype policy to train with: mixed_bfloat16 if ``params`` leave the choice to the hardware and it has bfloat16.

    A processor without such instructions would convert each number to and fro, and be slower.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = map(tf.config.experimental.get_device_details, gpus)
        supported = all(about["compute_capability"] >= (8, 0) for about in details)  # since NVIDIA Ampere
    else:
        cpu = Path("/proc/cpuinfo")  # Linux only; elsewhere float32 it is
        supported = cpu.exists() and not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(
            cpu.read_text().split()
        )
    return "mixed_bfloat16" if params.precision == "auto" and supported else "float32"


def make_step(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, loss: Callable, augmentation: Augment
) -> Callable:
    """A function that trains on one batch of pictures, labels and random values, and returns its scores (batch,)."""
    strategy = tf.distribute.get_strategy()

    def replica_step(pictures: tf.Tensor, labels: tf.Tensor, values: tf.Tensor, n: tf.Tensor) -> tf.Tensor:
        pictures = augment(pictures, values, augmentation)
        with tf.GradientTape() as tape:
            scores = train_scores(model, pictures)
            value = loss(labels, scores) / n
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)  # sums those of all replicas first
        return tf.distribute.get_replica_context().all_gather(scores, axis=0)

    @tf.function(reduce_retracing=True)
    def replicas_step(*args: tf.Tensor) -> tf.Tensor:
        return strategy.run(replica_step, args)

    def replica_part(values: np.ndarray) -> tf.Tensor:
        parts = np.array_split(values, strategy.num_replicas_in_sync)
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )

    def step(*batch: np.ndarray) -> np.ndarray:
        n = tf.constant(len(batch[0]), tf.float32)
        scores = replicas_step(*map(replica_part, batch), n)
        return strategy.experimental_local_results(scores)[0].numpy()

    return step


def make_loss(params: Train) -> Callable[[np.ndarray | tf.Tensor, np.ndarray | tf.Tensor], tf.Tensor]:
    """A function from labels (n,) and scores (n,) to the sum of their losses."""
    focal = keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=True,
        alpha=params.focal_alpha,
        gamma=params.focal_gamma,
        label_smoothing=params.label_smoothing,
        reduction="sum",
    )
    return lambda labels, scores: (
        2 * focal(labels[:, None], scores[:, None])
    )  # so that alpha 0.5 equals no alpha


def shuffle(n: int, params: Train, epoch: int) -> list[np.ndarray]:
    """0 to n - 1 in a new order each epoch, in batches whose sizes differ by one at most: no small last one."""
    order = np.random.default_rng((params.seed, epoch)).permutation(n)
    return np.array_split(order, math.ceil(n / params.batch_size))


def make_optimizer(params: Train, steps: int) -> keras.optimizers.Optimizer:
    rate = params.learning_rate
    if params.schedule == "cosine":  # Loshchilov and Hutter 2017, without restarts
        warmup = round(params.warmup_epochs * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else rate,
            decay_steps=max(1, params.epochs * steps - warmup),
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    return keras.optimizers.Adam(rate, weight_decay=params.weight_decay or None)  # with decay: AdamW


def summary(labels: np.ndarray, scores: np.ndarray, loss: Callable) -> dict[str, float]:
    """What Keras would log: the loss, and accuracy, precision and recall at threshold 0.5."""
    figures = metrics.compute(labels, scores, 0.5)
    names = ("accuracy", "precision", "recall")
    return {"loss": float(loss(labels, scores)) / len(labels), **{name: figures[name] for name in names}}


def calibrate(model: keras.Model, labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Fold Platt scaling into the last layer and return its slope and intercept.

    Focal loss pulls scores towards 0.5 (Mukhoti et al. 2020). Platt scaling is linear in the logit, as is the
    last layer: once it is folded in, every exported file gives probabilities without further steps.
    """
    slope, intercept = metrics.platt(labels, scores)
    layer = model.get_layer("score")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel * slope, bias * slope + intercept])
    return slope, intercept
