"""The model card: model_card.md, and for a model of faces face_crop.md, filled in with what was measured."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from string import Template

import keras
import pandas as pd

from happysad import CLASSES
from happysad.common import params
from happysad.common.caveats import caveats
from happysad.common.files import read_json
from happysad.common.tables import read_csv

PACKAGES = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "numpy", "pillow")
FRONT_MATTER = ("accuracy", "precision", "recall", "f1", "roc_auc")  # Hugging Face uses the same names


def model_card(root: Path, model: keras.Model, metadata: dict[str, str], metrics: dict) -> str:
    """Every figure comes from params.yaml, models/model.json, ``model``, or a file in metrics/.

    ``metadata`` is that of the exported files, ``metrics`` the content of metrics/export.json.
    """
    settings = params.load(root)
    description = read_json(root / "models/model.json")
    test = read_json(root / "metrics/test.json")
    intervals = read_json(root / "metrics/test_intervals.json")
    data = read_json(root / "metrics/data.json")
    slices = read_csv(root / "metrics/slices.csv")
    robustness = read_csv(root / "metrics/robustness.csv")
    unsure, right = (description["validation"][name] for name in ("unsure", "accuracy_when_sure"))
    face_crop, import_faces, view = "", "", "view = picture"
    if settings.prepare.crop == "face":
        refuse = metadata["no_face"] == "refuse"
        face_crop = fill(
            "face_crop.md",
            metadata | {"no_face": data["flagged"].get("no_face", 0)},
            kept=data["kept"],
            no_face_advice="nothing" if refuse else "the whole picture",
        )
        import_faces = "import faces  # faces.py, beside this card\n"
        view = f'view, found = faces.view(picture, "face", {metadata["crop_margin"]})'
        view += (
            '\nif not found:\n    raise SystemExit("no face")'
            if refuse
            else "  # or the whole, without a face"
        )
    return fill(
        "model_card.md",
        metadata,  # image_size, source, training_data, unsure_below, version
        face_crop=face_crop,
        import_faces=import_faces,
        view=view,
        caveats="".join(f"\n**{caveat}**\n" for caveat in caveats(data, description)),
        accuracy=f"{test['accuracy']:.1%}",
        n=f"{intervals['n']:,}",
        low=f"{intervals['accuracy']['low']:.1%}",
        high=f"{intervals['accuracy']['high']:.1%}",
        unsure_fraction=f"{unsure:.0%}",
        accuracy_when_sure="none" if right is None else f"{right:.0%}",
        negative=CLASSES[0],
        positive=CLASSES[1],
        dataset=json.dumps(
            metadata["source"], ensure_ascii=False
        ),  # valid YAML, whatever the folder is called
        front_matter_metrics="\n".join(
            f"    - {{type: {name}, value: {test[name]}}}" for name in FRONT_MATTER
        ),
        raw=data["raw"],
        kept=data["kept"],
        rejected=", ".join(f"{count} {reason}" for reason, count in data["rejected"].items()) or "none",
        splits=table(
            (name, *(data[name][label] for label in CLASSES)) for name in ("train", "validation", "test")
        ),
        layers=", ".join(
            type(operation).__name__ for operation in model.get_layer("features").operations[1:]
        ),
        weights=f"{model.count_params():,}",
        training=", ".join(f"{name} {value}" for name, value in asdict(settings.train).items()),
        augmentation=", ".join(f"{name} {value}" for name, value in asdict(settings.augment).items()),
        epoch=description["epoch"],
        slope=f"{description['calibration']['slope']:.3f}",
        intercept=f"{description['calibration']['intercept']:.3f}",
        figures=table(
            (name, value, f"{intervals[name]['low']:.3f} to {intervals[name]['high']:.3f}")
            for name, value in test.items()
        ),
        majority=f"{intervals['majority']['accuracy']:.3f}",
        logistic=f"{intervals['logistic']['accuracy']:.3f}",
        slices=table(columns(slices, "slice", "value", "n", "accuracy", "interval", "worse")),
        robustness=table(
            columns(robustness, "corruption", "setting", "n", "accuracy", "interval", "label_changes")
        ),
        pictures=metrics["pictures"],
        files=table(
            (
                name,
                file["bytes"] if file["matches"] else "left out, since it does not match",
                f"{file['largest_difference']:.1g}",
            )
            for name, file in metrics["files"].items()
        ),
        versions=", ".join(f"{package} {version(package)}" for package in PACKAGES),
    )


def fill(name: str, metadata: dict[str, str], **values: object) -> str:
    """The template ``name``, beside this file, with all its placeholders filled in."""
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    return Template(text).substitute(metadata, **values)


def columns(metrics: pd.DataFrame, *names: str) -> Iterable[tuple]:
    """The columns ``names``, of which ``interval`` is that of accuracy."""
    low, high = (metrics[f"accuracy_ci_{end}"].map("{:.3f}".format) for end in ("low", "high"))
    return metrics.assign(interval=low + " to " + high)[[*names]].itertuples(index=False)


def table(rows: Iterable[tuple]) -> str:
    """Lines of Markdown."""
    cells = ([f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
