"""Assemble demo/site: a page that runs the exported model in the browser. Any static host can serve it."""

import shutil
from pathlib import Path

import onnxruntime

from happysad import CLASSES
from happysad.common import params
from happysad.common.cli import run
from happysad.common.errors import UserError
from happysad.common.files import read_csv, replacing, write_json

PAGE = Path(__file__).resolve().parents[1] / "demo"
RUNTIME = PAGE / "node_modules/onnxruntime-web/dist"
FILES = [
    *(PAGE / name for name in ("index.html", "style.css", "icon.svg", "app.js", "worker.js")),
    *(RUNTIME / name for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")),
]
EXAMPLES = 4  # of each class


def main(root: Path) -> None:
    model = root / "models/export/model.onnx"
    if not model.exists():
        raise UserError(f"{model} is missing: run `dvc repro`")
    if not RUNTIME.exists():
        raise UserError(f"{RUNTIME} is missing: run `npm ci --prefix demo`")
    source = root / params.load(root).source
    with replacing(root / "demo/site") as site:
        for file in (*FILES, model):
            shutil.copy(file, site)
        examples = find_examples(root) if source == root / "data/generated" else []  # photos stay private
        for example in examples:
            (site / "examples" / example).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / example, site / "examples" / example)
        about = onnxruntime.InferenceSession(model).get_modelmeta().custom_metadata_map
        write_json(site / "about.json", about | {"examples": examples})


def find_examples(root: Path) -> list[str]:
    """Test pictures, sad and happy in turn, as paths below the source: the model has not learnt from them."""
    rows = [row for row in read_csv(root / "data/prepared/manifest.csv") if row["split"] == "test"]
    by_class = [[row["path"] for row in rows if row["label"] == label][:EXAMPLES] for label in CLASSES]
    return [path for pair in zip(*by_class, strict=False) for path in pair]


if __name__ == "__main__":
    run(main)
