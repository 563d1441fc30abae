"""Assemble demo/site: a page that runs models/faces and your own model in the browser, for any static host."""

import shutil
from pathlib import Path

import onnxruntime

from happysad import CLASSES, DRAWN
from happysad.common import params
from happysad.common.cli import run
from happysad.common.errors import UserError
from happysad.common.files import replacing, write_json
from happysad.common.tables import read_csv
from happysad.data import faces

PAGE = Path(__file__).resolve().parents[1] / "demo"
RUNTIME = PAGE / "node_modules/onnxruntime-web/dist"
FILES = [
    *(PAGE / name for name in ("index.html", "style.css", "icon.svg", "app.js", "worker.js", "faces.js")),
    *(RUNTIME / name for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")),
    faces.DETECTOR,
]
EXAMPLES = 4  # of each class


def main(root: Path) -> None:
    if not RUNTIME.exists():
        raise UserError(f"{RUNTIME} is missing: run `npm ci --prefix demo`")
    settings = params.load(root)
    source = root / settings.source
    models, examples = [describe(root, "faces", "Real faces")], []  # the page starts with the first model
    if (root / "models/export").exists():
        own = describe(root, "export", "Your model")
        drawn = own["source"] == DRAWN
        models = [*models, own | {"name": "Drawn faces"}] if drawn else [own, *models]
        if drawn and settings.source_is_built_in:  # photos stay private
            examples = choose_examples(root / "data/prepared/manifest.csv", source)
    with replacing(root / "demo/site") as site:
        for file in FILES:
            shutil.copy(file, site)
        for model in models:
            shutil.copy(root / "models" / model["folder"] / "model.onnx", site / f"{model['folder']}.onnx")
        for example in examples:
            (site / "examples" / example).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / example, site / "examples" / example)
        write_json(site / "about.json", {"models": models, "examples": examples})


def describe(root: Path, folder: str, name: str) -> dict[str, str]:
    """The metadata of models/``folder``/model.onnx, its folder, and its name on the page."""
    session = onnxruntime.InferenceSession(root / "models" / folder / "model.onnx")
    return session.get_modelmeta().custom_metadata_map | {"folder": folder, "name": name}


def choose_examples(manifest: Path, source: Path) -> list[str]:
    """Paths in ``source`` of test pictures, sad and happy in turn: the model was not trained on them."""
    for path in (manifest, source):
        if not path.exists():
            raise UserError(f"{path} is missing: run `dvc repro`")
    rows = read_csv(manifest)
    test = rows[rows["split"] == "test"]
    by_class = [test["path"][test["label"] == label][:EXAMPLES] for label in CLASSES]
    return [path for pair in zip(*by_class, strict=False) for path in pair]


if __name__ == "__main__":
    run(main)
