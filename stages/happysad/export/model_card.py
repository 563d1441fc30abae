"""The model card: stages/model_card.md, filled with what was measured."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from string import Template

import keras

from happysad import CLASSES
from happysad.common import params
from happysad.common.files import read_csv, read_json

PACKAGES = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "numpy", "pillow")
FRONT_MATTER = ("accuracy", "precision", "recall", "f1", "roc_auc")  # by the names of Hugging Face, and ours


def model_card(root: Path, classifier: keras.Model, metadata: dict[str, str], metrics: dict) -> str:
    """Each figure comes from params.yaml, models/model.json, ``classifier``, or a file under metrics/.

    ``metadata`` is what the exported files say about themselves, ``metrics`` what metrics/export.json holds.
    """
    settings = params.load(root)
    description = read_json(root / "models/model.json")
    test = read_json(root / "metrics/test.json")
    data = read_json(root / "metrics/data.json")
    source = (
        "faces drawn by the project itself, no photographs"
        if settings.source == "data/generated"
        else f"pictures from a folder called {Path(settings.source).name}"
    )
    return Template(
        Path(__file__).with_name("model_card.md").read_text(encoding="utf-8")
    ).substitute(
        metadata,  # image_size, threshold, training_data, version
        negative=CLASSES[0],
        positive=CLASSES[1],
        source=source,
        dataset=json.dumps(source, ensure_ascii=False),  # which is YAML, whatever the folder is called
        front_matter_metrics="\n".join(
            f"    - {{type: {name}, value: {test[name]}}}" for name in FRONT_MATTER
        ),
        raw=data["raw"],
        kept=data["kept"],
        rejected=", ".join(f"{count} {reason}" for reason, count in data["rejected"].items()) or "none",
        splits=table(
            (name, *(data[name][label] for label in CLASSES)) for name in ("train", "validation", "test")
        ),
        layers=", ".join(type(layer).__name__ for layer in classifier.layers[1:]),
        weights=f"{classifier.count_params():,}",
        training=", ".join(f"{name} {value}" for name, value in asdict(settings.train).items()),
        augmentation=", ".join(f"{name} {value}" for name, value in asdict(settings.augment).items()),
        epoch=description["epoch"],
        about_threshold=f"{description['threshold']:.3f}",
        slope=f"{description['calibration']['slope']:.3f}",
        intercept=f"{description['calibration']['intercept']:.3f}",
        figures=table(figures(test)),
        slices=table(
            (row["slice"], row["value"], row["n"], *accuracy(row), row["worse"])
            for row in read_csv(root / "metrics/slices.csv")
        ),
        robustness=table(
            (row["corruption"], row["setting"], *accuracy(row), f"{float(row['label_changes']):.3f}")
            for row in read_csv(root / "metrics/robustness.csv")
        ),
        pictures=metrics["pictures"],
        files=table(
            (name, file["bytes"], f"{file['largest_difference']:.1g}", file["label_changes"])
            for name, file in metrics["files"].items()
        ),
        versions=", ".join(f"{package} {version(package)}" for package in PACKAGES),
    )


def figures(test: dict) -> Iterator[tuple]:
    """Name, value and interval of each figure in test.json."""
    for name, value in test.items():
        if f"{name}_ci_low" in test:
            yield name, f"{value:.3f}", f"{test[f'{name}_ci_low']:.3f} to {test[f'{name}_ci_high']:.3f}"
        elif not name.endswith(("_ci_low", "_ci_high")):
            yield name, value if isinstance(value, int) else f"{value:.3f}", ""


def accuracy(row: dict[str, str]) -> tuple[str, str]:
    """Value and interval, of a row of a CSV."""
    value, low, high = (float(row[f"accuracy{end}"]) for end in ("", "_ci_low", "_ci_high"))
    return f"{value:.3f}", f"{low:.3f} to {high:.3f}"


def table(rows: Iterable[tuple]) -> str:
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)
