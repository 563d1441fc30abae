"""The model card: a template filled with what was measured."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from string import Template

import keras

from happysad import CLASSES, params
from happysad.files import read_json
from happysad.stage import PROJECT

PACKAGES = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "numpy", "pillow")


def write(
    root: Path, settings: params.Params, classifier: keras.Model, description: dict, metrics: dict
) -> str:
    """model_card.md filled in: each figure comes from params.yaml, the model, or a file under metrics/."""
    test = read_json(root / "metrics/test.json")
    data = read_json(root / "metrics/data.json")
    return Template((PROJECT / "stages/model_card.md").read_text(encoding="utf-8")).substitute(
        negative=CLASSES[0],
        positive=CLASSES[1],
        image_size=description["image_size"],
        threshold=description["threshold"],
        source="faces drawn by the project itself, no photographs"
        if settings.source == "data/generated"
        else f"pictures from a folder called {Path(settings.source).name}",
        raw=data["raw"],
        kept=data["kept"],
        rejected=", ".join(f"{count} {reason}" for reason, count in data["rejected"].items()) or "none",
        splits=table(
            (name, *(data[name][label] for label in CLASSES)) for name in ("train", "validation", "test")
        ),
        layers=", ".join(type(layer).__name__ for layer in classifier.layers[1:]),
        weights=f"{classifier.count_params():,}",
        training=", ".join(f"{name} {value}" for name, value in asdict(settings.train).items()),
        epoch=description["epoch"],
        accuracy=test["accuracy"],
        figures=table(figures(test)),
        pictures=metrics["pictures"],
        files=table((name, *file.values()) for name, file in metrics["files"].items()),
        versions=", ".join(f"{package} {version(package)}" for package in PACKAGES),
    )


def figures(test: dict) -> Iterator[tuple]:
    """Name, value and interval of each figure in test.json."""
    for name, value in test.items():
        if f"{name}_ci_low" in test:
            yield name, f"{value:.3f}", f"{test[f'{name}_ci_low']:.3f} to {test[f'{name}_ci_high']:.3f}"
        elif not name.endswith(("_ci_low", "_ci_high")):
            yield name, value if isinstance(value, int) else f"{value:.3f}", ""


def table(rows: Iterable[tuple]) -> str:
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)
