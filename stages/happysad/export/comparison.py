"""Each exported file, run by its own runtime, against the Keras model that it was made from."""

from pathlib import Path

import keras
import numpy as np
from PIL import Image

from happysad.common import images
from happysad.common.errors import UserError
from happysad.prediction import classifier
from happysad.training import cnn

# By how much the scores of each file may differ from those of the Keras model; model.onnx resizes
# pictures by itself, model.tflite has weights of 16 bits.
TOLERANCE = {"model.onnx": 0.05, "model.tflite": 0.01}


def compare(model: keras.Model, out: Path, pictures: np.ndarray) -> dict[str, dict]:
    """Score ``pictures``, uint8 (n, size, size, 3), with the Keras model and with each file in ``out``.

    model.onnx gets the pictures at other sizes: half to four times their height and their width. Returns for each
    file its size in bytes, the largest difference in score, and whether that is tolerable. A file that is not is
    removed. Raises UserError if it is model.onnx, which predict runs.
    """
    side = pictures.shape[1]
    sizes = (side * 2 ** np.random.default_rng(0).uniform(-1, 2, (len(pictures), 2))).astype(int).tolist()
    # Nearest neighbour leaves hard edges, where two implementations of resizing differ most.
    rescaled = [
        np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.NEAREST))
        for picture, size in zip(pictures, sizes, strict=True)
    ]
    resized = np.stack([images.squash(Image.fromarray(picture), side) for picture in rescaled])
    inputs = {"model.onnx": (rescaled, resized), "model.tflite": (pictures, pictures)}
    files = {}
    for name, (given, seen) in inputs.items():
        score = classifier.load(out / name).score
        differences = np.abs([score(picture) for picture in given] - cnn.predict(model, seen))
        difference = np.nan_to_num(differences, nan=1.0).max()
        matches = bool(difference <= TOLERANCE[name])
        size = (out / name).stat().st_size
        files[name] = {"bytes": size, "largest_difference": difference, "matches": matches}
        print(
            f"{name}: {size / 1e6:.2f} MB, scores within {difference:.1g} of Keras on {len(pictures)} pictures"
        )
        if not matches:
            problem = f"{name} does not give the scores of models/model.keras"
            if name == "model.onnx":
                raise UserError(f"models/export/{problem}: install the versions in requirements.lock")
            print(f"{problem}: left out")
            (out / name).unlink()
    return files
