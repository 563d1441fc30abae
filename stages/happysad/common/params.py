"""params.yaml as one frozen dataclass per group; what each value does is said in params.yaml."""

from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from math import inf
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml

from happysad.common.errors import UserError


def between(low: float, high: float) -> Any:
    """A field whose number, or each of whose numbers, lies in [low, high]."""
    return field(metadata={"low": low, "high": high})


def one_of(*choices: str | None) -> Any:
    """A field whose text, or each of whose texts, is one of these; None stands for no text."""
    return field(metadata={"choices": choices})


SEED = (0, 2**32 - 1)
QUALITIES = ("dark", "light", "blurry", "low_information", "odd_aspect_ratio", "too_small")
FLAGS = (*QUALITIES, "no_face", "several_faces")


@dataclass(frozen=True)
class Generate:
    seed: int = between(*SEED)
    pictures_per_class: int = between(20, 100_000)
    size: int = between(32, 1024)
    pose: float = between(0, 2)
    wrong_labels: float = between(0, 0.5)


@dataclass(frozen=True)
class Prepare:
    seed: int = between(*SEED)
    image_size: int = between(24, 1024)
    crop: str = one_of("face", "whole")
    crop_margin: float = between(0.5, 4)
    validation_fraction: float = between(0.01, 0.49)
    test_fraction: float = between(0.01, 0.49)
    max_megapixels: float = between(0.01, 1000)
    min_side: int = between(1, 10_000)
    min_contrast: float = between(0, 128)


@dataclass(frozen=True)
class Quality:
    dark: float = between(0, 1)
    light: float = between(0, 1)
    blurry: float = between(0, 1)
    low_information: float = between(0, 1)
    odd_aspect_ratio: float = between(0, 1)
    too_small: float = between(0, 1)
    reject: tuple[str, ...] = one_of(*FLAGS)


@dataclass(frozen=True)
class Model:
    filters: tuple[int, ...] = between(1, 4096)
    convolutions: int = between(1, 16)
    batch_norm: bool
    pooling: str = one_of("flatten", "average")
    dense_units: int = between(0, 65_536)
    dropout: float = between(0, 0.95)


@dataclass(frozen=True)
class Augment:
    rotation: float = between(0, 180)
    shift: float = between(0, 0.9)
    zoom: float = between(0, 0.9)
    brightness: float = between(0, 1)
    contrast: float = between(0, 1)
    erasing: float = between(0, 1)
    noise: float = between(0, 1)


@dataclass(frozen=True)
class Train:
    seed: int = between(*SEED)
    threads: int = between(1, 1024)
    start: str | None = one_of(None, "models/faces/model.keras")  # a dependency of train in dvc.yaml
    epochs: int = between(1, 100_000)
    batch_size: int = between(1, 65_536)
    learning_rate: float = between(1e-9, 10)
    weight_decay: float = between(0, 1)
    focal_gamma: float = between(0, 10)
    label_smoothing: float = between(0, 0.9)


@dataclass(frozen=True)
class Params:
    source: str
    corrections: str
    generate: Generate
    prepare: Prepare
    quality: Quality
    model: Model
    augment: Augment
    train: Train

    @property
    def source_is_built_in(self) -> bool:
        """Whether the pictures are those that generate draws, which anyone may see."""
        return Path(self.source) == Path("data/generated")


def load(root: Path) -> Params:
    """Read ``root``/params.yaml. Raises UserError that names the key of a missing, unknown or absurd value."""
    try:
        values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"params.yaml is not valid YAML: {' '.join(str(error).split())}") from None
    return _group(Params, values, "")


def _group(kind: type, values: Any, prefix: str) -> Any:
    """The dataclass ``kind`` with ``values``; ``prefix`` is what its keys begin with, such as "train."."""
    if not isinstance(values, dict):
        raise UserError(
            f"params.yaml: {prefix.rstrip('.') or 'the file'} must be a group of 'name: value' lines"
        )
    names = [f.name for f in fields(kind)]
    if unknown := [name for name in values if name not in names]:
        raise UserError(f"params.yaml: unknown key {prefix}{unknown[0]}; known here: {', '.join(names)}")
    if missing := [name for name in names if name not in values]:
        raise UserError(f"params.yaml: {prefix}{missing[0]} is missing")
    checked = {f.name: _value(f.type, values[f.name], prefix + f.name, **f.metadata) for f in fields(kind)}
    return kind(**checked)


def _value(kind: Any, value: Any, key: str, choices: tuple = (), low: float = -inf, high: float = inf) -> Any:
    if is_dataclass(kind):
        return _group(kind, value, f"{key}.")
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise UserError(f"params.yaml: {key} must be a list, not {value!r}")
        return tuple(_value(get_args(kind)[0], one, key, choices, low, high) for one in value)
    if kind is float and type(value) in (int, str):  # PyYAML takes 1e-05, as DVC writes it, for a text
        with suppress(ValueError):
            value = float(value)
    if choices:
        fits, wanted = value in choices, f"be one of {', '.join(choice or 'nothing' for choice in choices)}"
    elif type(value) is not kind:
        names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
        fits, wanted = False, f"be {names[kind]}"
    else:
        fits, wanted = kind in (str, bool) or low <= value <= high, f"lie between {low} and {high}"
    if not fits:
        raise UserError(f"params.yaml: {key} must {wanted}, not {value!r}")
    return value
