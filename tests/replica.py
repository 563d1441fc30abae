"""A small training in a process of its own: python tests/replica.py OUT.npy DEVICES"""

import sys
from dataclasses import replace

import numpy as np
from conftest import PROJECT, draw

from happysad.common.params import load
from happysad.data.prepared import Split
from happysad.training import fit

# isort: split
import tensorflow as tf

params = load(PROJECT)
params = replace(
    params,
    model=replace(params.model, filters=(4, 4), dense_units=8, dropout=0.0),
    train=replace(params.train, epochs=2, batch_size=8),
)
devices = int(sys.argv[2])
fit.make_deterministic(params.train)
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * devices
)
if devices > 1:
    fit.strategy = lambda: tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(devices)])
split = Split(np.stack([np.asarray(draw(seed, 32, 32)) for seed in range(20)]), np.arange(20) % 2, [])
model, history, _ = fit.fit(split, split, params, PROJECT)
np.save(sys.argv[1], np.concatenate([history["validation_loss"], *map(np.ravel, model.get_weights())]))
