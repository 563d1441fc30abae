"""Gather metrics/ into metrics/report.html: one page that needs no network and no other file."""

import base64
import subprocess
from collections.abc import Iterable
from hashlib import md5
from html import escape
from pathlib import Path
from string import Template

import yaml
from PIL import Image

from happysad.common.caveats import caveats
from happysad.common.cli import run
from happysad.common.errors import UserError
from happysad.common.files import read_json, write_text
from happysad.common.tables import read_csv
from happysad.evaluation import findings

MEANING = {
    "accuracy": "fraction of the pictures that are classified correctly",
    "precision": "fraction of the pictures predicted happy that are happy",
    "recall": "fraction of the happy pictures that are predicted happy",
    "specificity": "fraction of the sad pictures that are predicted sad",
    "balanced_accuracy": "mean of recall and specificity; chance level is 0.5, whatever the class balance",
    "f1": "harmonic mean of precision and recall",
    "roc_auc": "probability that a happy picture scores higher than a sad one; chance level is 0.5",
    "average_precision": "area under the precision-recall curve; chance level is the fraction that is happy",
    "log_loss": "cross-entropy, both classes weighted equally; lower is better, a constant score of 0.5 has 0.69",
    "gain": "balanced accuracy minus that of the stronger baseline",
}
NEEDED = (
    *("dvc.lock", "models/model.json", "metrics/test.json", "metrics/test_intervals.json"),
    *("metrics/robustness.csv", "metrics/plots/charts", "metrics/plots/galleries"),
)


def main(root: Path) -> None:
    for path in NEEDED:
        if not (root / path).exists():
            raise UserError(f"{root / path} is missing: run dvc repro")
    metrics, plots = root / "metrics", root / "metrics/plots"
    params = recorded_params(root)
    figures, intervals = read_json(metrics / "test.json"), read_json(metrics / "test_intervals.json")
    data, model = read_json(metrics / "data.json"), read_json(root / "models/model.json")
    unsure, right = model["validation"]["unsure"], model["validation"]["accuracy_when_sure"]
    sure = "" if right is None else f"; on the others, {right:.0%} of its answers were right"
    lines = [
        *findings.findings(figures, intervals, read_csv(metrics / "robustness.csv")),
        f"It was unsure of {unsure:.0%} of the validation pictures{sure}.",
        *caveats(data, model),
    ]
    page = Template((Path(__file__).parent / "report.html").read_text(encoding="utf-8")).substitute(
        headline=escape(findings.headline(figures, intervals)),
        findings="".join(f"<li>{escape(line)}" for line in lines),
        figures=table_rows(
            (name, f"{figures[name]:.3f}", "{low:.3f} to {high:.3f}".format(**intervals[name]), meaning)
            for name, meaning in MEANING.items()
        ),
        curves=images(
            plots / "charts", "roc.png", "precision_recall.png", "confusion.png", "reliability.png"
        ),
        robustness=images(plots / "charts", "robustness.png"),
        galleries=images(plots / "galleries", "*_classified_as_*.jpg", "least_certain.jpg"),
        label_errors=label_errors(metrics / "label_errors.jpg", root / "data/prepared/manifest.csv"),
        training=images(plots / "charts", "learning_curves.png"),
        data=table_rows((name, in_words(value)) for name, value in data.items() if name != "notes"),
        sheets=images(plots / "data", "*.png")
        + "".join(
            f"<details><summary>{file.stem.replace('_', ' ')}</summary>{images(plots / 'data', file.name)}</details>"
            for file in sorted((plots / "data").glob("*.jpg"))
        ),
        params=escape(yaml.safe_dump(params, sort_keys=False)),
        versions=escape(", ".join(f"{name} {version}" for name, version in model["versions"].items())),
        revision=escape(revision(root)),
    )
    write_text(metrics / "report.html", page)
    print(f"{metrics / 'report.html'}: {len(page) / 1e6:.1f} MB, opens in any browser")


def recorded_params(root: Path) -> dict:
    """The params that dvc.lock records of the run that made the figures.

    Raises UserError if a stage before evaluate has run again since, or if a file is not the one that its stage wrote.
    """
    stages = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    if "evaluate" not in stages:
        raise UserError(f"{root / 'dvc.lock'} has no stage evaluate: run dvc repro")
    stages = {name: stages[name] for name in ("generate", "prepare", "train", "evaluate") if name in stages}
    latest = {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}
    params = {}
    for stage in stages.values():
        params |= stage.get("params", {}).get("params.yaml", {})
        for out in stage["outs"]:
            file = root / out["path"]
            if file.is_file() and md5(file.read_bytes()).hexdigest() != out["md5"]:
                raise UserError(f"{file} is not the one in dvc.lock: run dvc checkout or dvc repro")
        for dep in stage["deps"]:
            if dep["md5"] != latest.get(dep["path"], dep["md5"]):
                raise UserError(f"{dep['path']} is newer than the test figures: run dvc repro")
    return params


def revision(root: Path) -> str:
    """The commit that holds the figures' dvc.lock, or that there is none."""

    def git(*command: str) -> str:
        done = subprocess.run(["git", "-C", root, *command], check=False, capture_output=True, text=True)
        return done.stdout.strip()

    commit = git("log", "-1", "--format=%h", "--", "dvc.lock")
    changed = git("status", "--porcelain", "--", "dvc.lock")
    return f"commit {commit}" if commit and not changed else "not committed"


def table_rows(rows: Iterable[tuple[str, ...]]) -> str:
    """HTML; the first cell of a row is its heading."""
    return "".join(
        f"<tr><th>{name.replace('_', ' ')}{''.join(f'<td>{escape(cell)}' for cell in cells)}"
        for name, *cells in rows
    )


def in_words(value: dict[str, int] | float | str) -> str:
    """A value of metrics/data.json: counts by name, a fraction, a number or a text."""
    if isinstance(value, dict):
        value = ", ".join(f"{count} {name}" for name, count in value.items()) or "none"
    return f"{value:.1%}" if isinstance(value, float) else str(value).replace("_", " ")


def label_errors(sheet: Path, manifest: Path) -> str:
    """The sheet that crossvalidate.py draws, if there is one of the data that the figures are of."""
    if not (sheet.exists() and manifest.exists()):
        return ""
    with Image.open(sheet) as picture:
        same = picture.info.get("comment") == md5(manifest.read_bytes()).hexdigest().encode()
    return images(sheet.parent, sheet.name) if same else ""


def images(folder: Path, *patterns: str) -> str:
    """HTML of the pictures in ``folder``, their content included."""
    return "".join(
        f'<img alt="{file.stem.replace("_", " ")}" src="data:image/{file.suffix[1:].replace("jpg", "jpeg")};base64,'
        f'{base64.b64encode(file.read_bytes()).decode()}">'
        for pattern in patterns
        for file in sorted(folder.glob(pattern))
    )


if __name__ == "__main__":
    run(main)
