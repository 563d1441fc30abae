"""What TensorBoard shows of a run: params, learning curves, and pictures worth looking at."""

import os
import time
from pathlib import Path

import numpy as np
import tensorflow as tf


class RunLog:
    """Writes to ``logs``/<run>/train and .../validation; a run is named after its DVC experiment, or the time."""

    def __init__(self, logs: Path) -> None:
        run = logs / (os.environ.get("DVC_EXP_NAME") or time.strftime("%Y-%m-%d-%H%M%S"))
        self.writers = {
            name: tf.summary.create_file_writer(str(run / name)) for name in ("train", "validation")
        }

    def text(self, name: str, content: str) -> None:
        with self.writers["train"].as_default(step=0):
            tf.summary.text(name, f"```\n{content}\n```")

    def pictures(self, split: str, name: str, pictures: np.ndarray) -> None:
        """Show the first 64 of uint8 pictures (n, side, side, 3), in rows of 8."""
        rows, side = -(-len(pictures[:64]) // 8), pictures.shape[1]
        grid = np.zeros((8 * rows, side, side, 3), np.uint8)
        grid[: len(pictures)] = pictures[:64]
        grid = grid.reshape(rows, 8, side, side, 3).swapaxes(1, 2).reshape(1, rows * side, 8 * side, 3)
        with self.writers[split].as_default(step=0):
            tf.summary.image(name, grid)

    def epoch(self, row: dict) -> None:
        """Log a row of the history; its columns validation_... go to the validation curves."""
        for name, value in row.items():
            split = "validation" if name.startswith("validation_") else "train"
            with self.writers[split].as_default(step=row["epoch"]):
                tf.summary.scalar(name.removeprefix("validation_"), value)
        for writer in self.writers.values():
            writer.flush()
