"""Assemble demo/site: a page that runs the exported model in the browser. Any static host can serve it."""

import shutil
from pathlib import Path

import onnxruntime

from happysad import CLASSES
from happysad.common import faces, params
from happysad.common.cli import run
from happysad.common.errors import UserError
from happysad.common.files import replacing, write_json
from happysad.common.tables import read_csv

PAGE = Path(__file__).resolve().parents[1] / "demo"
RUNTIME = PAGE / "node_modules/onnxruntime-web/dist"
FILES = [
    *(PAGE / name for name in ("index.html", "style.css", "icon.svg", "app.js", "worker.js", "faces.js")),
    *(RUNTIME / name for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")),
]
EXAMPLES = 4  # of each class


def main(root: Path) -> None:
    settings = params.load(root)
    model, manifest = root / "models/export/model.onnx", root / "data/prepared/manifest.csv"
    source = root / settings.source
    for path in (model, manifest, source) if settings.source_is_built_in else (model,):
        if not path.exists():
            raise UserError(f"{path} is missing: run `dvc repro`")
    if not RUNTIME.exists():
        raise UserError(f"{RUNTIME} is missing: run `npm ci --prefix demo`")
    about = onnxruntime.InferenceSession(model).get_modelmeta().custom_metadata_map
    if "crop" not in about:
        raise UserError(f"{model} was exported by an older version: run `dvc repro`")
    detector = [faces.DETECTOR] if about["crop"] == "face" else []
    examples = choose_examples(manifest) if settings.source_is_built_in else []  # photos stay private
    with replacing(root / "demo/site") as site:
        for file in (*FILES, *detector, model):
            shutil.copy(file, site)
        for example in examples:
            (site / "examples" / example).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / example, site / "examples" / example)
        write_json(site / "about.json", about | {"examples": examples})


def choose_examples(manifest: Path) -> list[str]:
    """Paths of test pictures, relative to the source, sad and happy in turn: the model was not trained on them."""
    rows = read_csv(manifest)
    test = rows[rows["split"] == "test"]
    by_class = [test["path"][test["label"] == label][:EXAMPLES] for label in CLASSES]
    return [path for pair in zip(*by_class, strict=False) for path in pair]


if __name__ == "__main__":
    run(main)
