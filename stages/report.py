"""Gather metrics/ into metrics/report.html: one page that needs no network and no other file."""

import base64
import subprocess
from hashlib import md5
from html import escape
from pathlib import Path
from string import Template

import yaml
from PIL import Image

from happysad.common.caveats import caveats
from happysad.common.cli import run
from happysad.common.errors import UserError
from happysad.common.files import read_json, replacing_file
from happysad.common.tables import read_csv
from happysad.evaluation import findings

MEANING = {
    "accuracy": "fraction of pictures classified correctly",
    "precision": "fraction of the pictures predicted happy that are happy",
    "recall": "fraction of the happy pictures that are predicted happy",
    "specificity": "fraction of the sad pictures that are predicted sad",
    "balanced_accuracy": "mean of recall and specificity; chance level is 0.5, whatever the class balance",
    "f1": "harmonic mean of precision and recall",
    "roc_auc": "probability that a happy picture scores higher than a sad one; chance level is 0.5",
    "average_precision": "area under the precision-recall curve; chance level is the fraction that is happy",
    "log_loss": "crossentropy, both classes weighing the same; lower is better, 0.69 is a constant score of 0.5",
    "gain": "balanced accuracy minus that of the stronger baseline",
}
SECTIONS = ("metrics", "slices", "mistakes", "training", "data", "origin")
FIGURES = (
    "test.json",
    "test_intervals.json",
    "slices.csv",
    "robustness.csv",
    "plots/charts",
    "plots/galleries",
)


def main(root: Path) -> None:
    metrics, plotted = root / "metrics", root / "metrics/plots"
    for path in ("dvc.lock", "models/model.json", *(f"metrics/{name}" for name in FIGURES)):
        if not (root / path).exists():
            raise UserError(f"{root / path} is missing: run dvc repro")
    params = recorded_params(root)
    figures, intervals = read_json(metrics / "test.json"), read_json(metrics / "test_intervals.json")
    data, description = read_json(metrics / "data.json"), read_json(root / "models/model.json")
    slices, robustness = read_csv(metrics / "slices.csv"), read_csv(metrics / "robustness.csv")
    lines = findings.findings(figures, intervals, slices, robustness)
    unsure, right = (description["validation"][name] for name in ("unsure", "accuracy_when_sure"))
    certain = "" if right is None else f"; on the others, {right:.0%} of its answers were right"
    lines += [
        f"It was unsure of {unsure:.0%} of the validation pictures{certain}.",
        *caveats(data, description),
    ]
    page = Template((Path(__file__).parent / "report.html").read_text(encoding="utf-8")).substitute(
        contents=" ".join(f'<a href="#{name}">{name.capitalize()}</a>' for name in SECTIONS),
        headline=escape(findings.headline(figures, intervals)),
        findings="".join(f"<li>{escape(line)}</li>" for line in lines),
        figures=figure_table(figures, intervals),
        curves=images(plotted, "roc.png", "precision_recall.png", "confusion.png", "reliability.png"),
        slices=images(plotted, *["slices.png"] * (len(slices) > 1), "robustness.png"),
        galleries=images(plotted, "*_classified_as_*.jpg", "least_certain.jpg"),
        label_errors=label_errors(metrics / "label_errors.jpg", root / "data/prepared/manifest.csv"),
        training=images(plotted, "learning_curves.png"),
        data=data_table(
            {name: value for name, value in data.items() if name != "notes"}
        ),  # among the findings
        sheets=sheets(plotted / "data"),
        params=escape(yaml.safe_dump(params, sort_keys=False)),
        versions=escape(", ".join(f"{name} {version}" for name, version in description["versions"].items())),
        revision=escape(revision(root)),
    )
    with replacing_file(metrics / "report.html") as partial:
        partial.write_text(page, encoding="utf-8")
    print(f"{metrics / 'report.html'}: {len(page) / 1e6:.1f} MB, opens in any browser")


def recorded_params(root: Path) -> dict:
    """The params that dvc.lock records of the run that made the figures: of evaluate and all stages before it.

    Raises UserError if a stage before it has run again since, or if a file is not the one that its stage wrote.
    """
    stages = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    if "evaluate" not in stages:
        raise UserError(f"{root / 'dvc.lock'} has no stage evaluate: run dvc repro")
    written = {out["path"]: (name, out["md5"]) for name, stage in stages.items() for out in stage["outs"]}
    params, names = {}, ["evaluate"]
    for name in names:  # to which the stages before it are added
        stage = stages[name]
        params = stage.get("params", {}).get("params.yaml", {}) | params
        for out in stage["outs"]:
            file = root / out["path"]
            if file.is_file() and md5(file.read_bytes()).hexdigest() != out["md5"]:
                raise UserError(f"{file} is not the one in dvc.lock: run dvc checkout or dvc repro")
        for dep in stage["deps"]:
            if dep["path"] in written:
                writer, latest = written[dep["path"]]
                if dep["md5"] != latest:
                    raise UserError(f"{dep['path']} is newer than the test figures: run dvc repro")
                if writer not in names:
                    names.append(writer)
    return params


def revision(root: Path) -> str:
    """The commit that holds the figures' dvc.lock, or that there is none."""

    def git(*command: str) -> str:
        run = subprocess.run(["git", "-C", root, *command], check=False, capture_output=True, text=True)
        return run.stdout.strip()

    commit = git("log", "-1", "--format=%h", "--", "dvc.lock")
    if not commit or git("status", "--porcelain", "--", "dvc.lock"):
        return "not committed"
    return f"commit {commit}"


def figure_table(figures: dict[str, float], intervals: dict) -> str:
    rows = []
    for name, meaning in MEANING.items():
        cells = f"<td>{figures[name]:.3f}<td>{intervals[name]['low']:.3f} to {intervals[name]['high']:.3f}<td>{meaning}"
        rows.append(f"<tr><th>{name.replace('_', ' ')}{cells}")
    return "".join(rows)


def data_table(data: dict) -> str:
    """metrics/data.json as table rows, nested counts in one line."""
    rows = []
    for name, value in data.items():
        if isinstance(value, dict):
            value = ", ".join(f"{n} {key}" for key, n in value.items()) or "none"
        elif isinstance(value, float):
            value = f"{value:.1%}"
        rows.append(f"<tr><th>{escape(name.replace('_', ' '))}<td>{escape(str(value).replace('_', ' '))}")
    return "".join(rows)


def label_errors(sheet: Path, manifest: Path) -> str:
    """The sheet of labels worth a look, if there is one of the data that the figures are of."""
    if sheet.exists() and manifest.exists():
        with Image.open(sheet) as picture:
            if picture.info.get("comment") == md5(manifest.read_bytes()).hexdigest().encode():
                return image(sheet.read_bytes(), "jpeg", "labels worth a look")
    return ""


def sheets(folder: Path) -> str:
    """The chart of the data, and its contact sheets folded up."""
    folded = "".join(
        f"<details><summary>{file.stem.replace('_', ' ')}</summary>{images(folder, file.name)}</details>"
        for file in sorted(folder.glob("*.jpg"))
    )
    return images(folder, "*.png") + folded


def images(folder: Path, *patterns: str) -> str:
    files = [file for pattern in patterns for file in sorted(folder.rglob(pattern))]
    return "".join(
        image(file.read_bytes(), file.suffix[1:].replace("jpg", "jpeg"), file.stem) for file in files
    )


def image(content: bytes, kind: str, name: str) -> str:
    encoded = base64.b64encode(content).decode()
    return f'<img alt="{name.replace("_", " ")}" src="data:image/{kind};base64,{encoded}">'


if __name__ == "__main__":
    run(main)
