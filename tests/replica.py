"""One process of a training that several share: python tests/replica.py OUT.npz DEVICES"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf
from conftest import PROJECT, draw

from happysad.common.params import load
from happysad.data.prepared import Split
from happysad.training import cnn, fit


def main(out: Path, devices: int) -> None:
    """Fit a small CNN for two epochs; leave its weights and losses in ``out``."""
    params = load(PROJECT)
    train = replace(params.train, epochs=2, batch_size=7)
    augment = replace(params.augment, mirror=True, rotation=10.0, contrast=0.2)
    fit.make_deterministic(train)
    strategy = fit.distribute()
    if devices > 1:  # parts of the CPU, as if they were GPUs
        parts = [tf.config.LogicalDeviceConfiguration()] * devices
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
        strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(devices)])
    pictures = np.stack([np.asarray(draw(seed, 32, 32)) for seed in range(20)])
    split = Split(pictures, np.arange(20) % 2, [])
    with strategy.scope():
        small = replace(params.model, filters=(4, 4), batch_norm=False, dense_units=8, dropout=0.0)
        model = cnn.build(32, small)
        before = model.get_weights()[-1]
        history = fit.fit(model, split, split, train, augment, out.with_suffix(".checkpoint"))
    assert np.abs(model.get_weights()[-1] - before).max() > 0.001
    losses = [[row["loss"], row["validation_loss"]] for row in history]
    np.savez(out, *model.get_weights(), losses, [strategy.num_replicas_in_sync])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
