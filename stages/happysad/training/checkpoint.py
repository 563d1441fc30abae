"""Interrupted training, on disk: after each epoch, everything that the next one depends on."""

import hashlib
import json
from dataclasses import astuple
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from happysad.common.files import replacing_file
from happysad.common.params import Augment, Train
from happysad.data.prepared import Split


def fingerprint(model: keras.Model, train: Split, validation: Split, *params: Train | Augment) -> str:
    """A hash of all that the result depends on: pictures, params, architecture, initial weights, code, versions."""
    digest = hashlib.sha256(repr((tf.__version__, keras.__version__, *map(astuple, params))).encode())
    digest.update(model.to_json().encode())
    for split in (train, validation):
        digest.update(split.pictures)
        digest.update(split.labels)
    for weights in model.get_weights():
        digest.update(np.ascontiguousarray(weights))
    for file in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def store(path: Path, key: str, history: list[dict], variables: list, best: list[np.ndarray]) -> None:
    """Atomic, so that a kill never leaves half a checkpoint."""
    with replacing_file(path) as partial, open(partial, "wb") as file:
        about = json.dumps({"key": key, "history": history})
        np.savez(
            file,
            about=about,
            **{f"variable_{i}": v.numpy() for i, v in enumerate(variables)},
            **{f"best_{i}": w for i, w in enumerate(best)},
        )


def restore(path: Path, key: str, variables: list) -> tuple[list[dict], list[np.ndarray]]:
    """Assign ``variables`` and return the history and the weights of its best epoch; nothing is done for another key."""
    if not path.exists():
        return [], []
    with np.load(path) as content:
        about = json.loads(str(content["about"]))
        if about["key"] != key:
            return [], []
        for i, variable in enumerate(variables):
            variable.assign(content[f"variable_{i}"])
        best = [content[f"best_{i}"] for i in range(sum(name.startswith("best_") for name in content))]
    print(f"resuming after epoch {len(about['history'])}")
    return about["history"], best
