"""models/model.keras -> models/export/: ONNX, LiteRT (TFLite), labels.txt and a model card.

Each exported file is loaded by its own runtime, and must give the scores of the Keras model.
"""

import hashlib
import json
import shutil
import tomllib
from pathlib import Path

from happysad import CLASSES, DRAWN
from happysad.common import params
from happysad.common.cli import PROJECT, run
from happysad.common.files import all_or_nothing, read_json, replacing, write_json
from happysad.data import faces
from happysad.data.prepared import read_split
from happysad.export import comparison, onnx_model, tflite_model
from happysad.export.model_card import model_card
from happysad.training import cnn, quiet

COMPARED = 200  # validation pictures, about; all of them where there are fewer


def main(root: Path) -> None:
    settings = params.load(root)
    model = cnn.load(root / "models/model.keras")
    description = read_json(root / "models/model.json")
    pictures = read_split(root / "data/prepared/validation").pictures
    pictures = pictures[:: max(1, len(pictures) // COMPARED)]
    metadata = describe(description, settings, sorted((root / "data/prepared/train").glob("*/*.png")))
    labels = "".join(f"{name}\n" for name in CLASSES)
    with all_or_nothing(), replacing(root / "models/export") as out, quiet():
        onnx_model.write(model, metadata, out)
        attached = {"labels.txt": labels, "metadata.json": json.dumps(metadata, indent=2) + "\n"}
        tflite_model.write(model, attached, out)
        (out / "labels.txt").write_text(labels)
        if settings.prepare.crop == "face":
            shutil.copyfile(faces.DETECTOR, out / "face_detector.onnx")
            shutil.copyfile(faces.__file__, out / "faces.py")
        metrics = {"pictures": len(pictures), "files": comparison.compare(model, out, pictures)}
        (out / "README.md").write_text(model_card(root, metadata, metrics), encoding="utf-8")
        write_json(root / "metrics/export.json", metrics)


def describe(description: dict, settings: params.Params, training: list[Path]) -> dict[str, str]:
    """The metadata of every exported file: all that a program needs in order to use it.

    ``description`` is models/model.json, ``training`` the training pictures, .../<label>/<id>.png. An id is a
    hash of the raw pixels, so a hash of these names identifies pictures and labels.
    """
    prepare = settings.prepare
    size = description["image_size"]
    slope, intercept = description["calibration"].values()
    crop = "cropped to the largest face if there is one, " if prepare.crop == "face" else ""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = "".join("/".join(file.parts[-2:]) + "\n" for file in training)
    return {
        "classes": ",".join(CLASSES),
        "image_size": str(size),
        "max_megapixels": f"{prepare.max_megapixels:g}",
        "crop": prepare.crop,
        "crop_margin": repr(prepare.crop_margin),
        "detector": faces.fingerprint() if prepare.crop == "face" else "",
        "no_face": "refuse" if prepare.crop == "face" and "no_face" in settings.quality.reject else "answer",
        "unsure_below": repr(description["unsure_below"]),
        "better_than_chance": json.dumps(description["better_than_chance"]),
        "calibration": f"Platt scaling, folded in: slope {slope!r}, intercept {intercept!r}",
        "score": f"probability of {CLASSES[1]} at even odds, the second of scores; {CLASSES[1]} where score >= 0.5",
        "preprocessing": (
            f"uint8 RGB, EXIF orientation applied, {crop}resized to {size}x{size} by Pillow's BILINEAR"
        ),
        "version": project["version"],
        "source": DRAWN
        if settings.source_is_built_in
        else f"pictures from a folder called {Path(settings.source).name}",
        "training_data": f"sha256:{hashlib.sha256(names.encode()).hexdigest()}",
    }


if __name__ == "__main__":
    run(main)
