"""Gather metrics/ into metrics/report.html: one page that needs no network and no other file."""

import base64
import io
import subprocess
from html import escape
from pathlib import Path
from string import Template

from happysad.common.cli import run
from happysad.common.errors import UserError
from happysad.common.files import read_csv, read_json
from happysad.evaluation import metrics, plots

MEANING = {
    "accuracy": "share of all pictures that it answers right",
    "precision": "of the pictures that it calls happy, the share that is",
    "recall": "of the happy pictures, the share that it calls happy",
    "specificity": "of the sad pictures, the share that it calls sad",
    "balanced_accuracy": "the mean of recall and specificity: guessing gives 0.5, whatever the mix of classes",
    "f1": "the harmonic mean of precision and recall",
    "accuracy_at_half": "accuracy if happy began at a score of 0.5 and not at the threshold",
    "roc_auc": "how often a happy picture gets the higher score than a sad one: guessing gives 0.5",
    "average_precision": "the area under precision and recall: guessing gives the share that is happy",
    "brier": "mean squared error of the score: lower is better, 0.25 knows nothing",
    "ece": "how far scores lie from the share that is happy: lower is better; chance alone gives some",
    "log_loss": "mean surprise at the label: lower is better, 0.69 knows nothing",
    "majority_accuracy": "always answering what is commonest in train",
    "logistic_accuracy": "logistic regression on 16x16 grey pixels",
    "gain": "accuracy beyond the better of these two",
}


def main(root: Path) -> None:
    folder, model, tests = root / "metrics", root / "models/model.json", root / "metrics/plots/test"
    if missing := [path for path in (folder / "test.json", tests, model) if not path.exists()]:
        raise UserError(f"{missing[0]} is missing: run `dvc repro`")
    figures, about = read_json(folder / "test.json"), read_json(model)
    by_slice, by_corruption = read_csv(folder / "slices.csv"), read_csv(folder / "robustness.csv")
    history = read_csv(folder / "history.csv")
    page = Template((Path(__file__).parent / "report.html").read_text(encoding="utf-8")).substitute(
        sentence=escape(metrics.sentence(figures)),
        findings="".join(f"<li>{escape(line)}</li>" for line in findings(figures, by_slice, by_corruption)),
        figures=figure_table(figures),
        curves=images(tests, "roc.png", "precision_recall.png", "confusion.png", "reliability.png"),
        slices=images(tests, "slices.png", "robustness.png"),
        galleries=images(tests, "sad_called_happy.jpg", "happy_called_sad.jpg", "least_certain.jpg"),
        suspects=images(folder, "label_errors.jpg"),
        training=image(drawn(plots.learning_curves(history, about["epoch"])), "png", "learning curves"),
        data=counts(read_json(folder / "data.json")),
        sheets=images(folder / "plots/data"),
        params=escape((root / "params.yaml").read_text(encoding="utf-8")),
        versions=escape(", ".join(f"{name} {version}" for name, version in about["versions"].items())),
        threshold=f"{about['threshold']:.3f}",
        revision=escape(revision(root)),
    )
    (folder / "report.html").write_text(page, encoding="utf-8")
    print(f"{folder / 'report.html'}: {len(page) / 1e6:.1f} MB, opens in any browser")


def findings(figures: dict, by_slice: list[dict], by_corruption: list[dict]) -> list[str]:
    """What a reader should know first, a sentence each."""
    gain, low, high = (100 * figures[f"gain{end}"] for end in ("", "_ci_low", "_ci_high"))
    found = f"{gain:+.1f} points ({low:+.1f} to {high:+.1f}) against the better baseline"
    verdict = "better" if low > 0 else "worse" if high < 0 else "not shown to be better or worse"
    lines = [f"It is {verdict} than a simple method: {found}."]
    if worse := [row for row in by_slice if row["worse"] == "yes"]:
        for row in worse:
            lines.append(
                f"It is worse on {row['slice']} {row['value']}: {float(row['accuracy']):.1%} of {row['n']}, "
                f"of the rest {float(row['accuracy_of_rest']):.1%}."
            )
    else:
        lines.append("No kind of picture was found on which it is worse than on the rest, beyond chance.")
    worst = min(by_corruption[1:], key=lambda row: float(row["accuracy"]))
    mirror = next(row for row in by_corruption if row["corruption"] == "mirror")
    lines.append(
        f"Of worse photographs, {worst['corruption']} ({worst['setting']}) costs most: "
        f"{float(worst['accuracy']):.1%} right. A mirror changes {float(mirror['label_changes']):.1%} of its answers."
    )
    return lines


def figure_table(figures: dict) -> str:
    rows = []
    for name, meaning in MEANING.items():
        low, high = figures[f"{name}_ci_low"], figures[f"{name}_ci_high"]
        cells = f"<td>{figures[name]:.3f}<td>{low:.3f} to {high:.3f}<td>{meaning}"
        rows.append(f"<tr><th>{name.replace('_', ' ')}{cells}")
    return "".join(rows)


def counts(data: dict) -> str:
    """metrics/data.json as table rows, groups of counts in one line."""
    rows = []
    for name, value in data.items():
        if isinstance(value, dict):
            value = ", ".join(f"{n} {key}" for key, n in value.items()) or "none"
        elif isinstance(value, float):
            value = f"{value:.1%}"
        rows.append(f"<tr><th>{escape(name.replace('_', ' '))}<td>{escape(str(value).replace('_', ' '))}")
    return "".join(rows)


def images(folder: Path, *names: str) -> str:
    """The pictures of these names that exist, in their order; all of the folder where none is named."""
    files = [file for name in names or ["*"] for file in sorted(folder.glob(name))]
    return "".join(image(file.read_bytes(), file.suffix[1:], file.stem) for file in files)


def image(content: bytes, kind: str, name: str) -> str:
    encoded = base64.b64encode(content).decode()
    return f'<img alt="{name.replace("_", " ")}" src="data:image/{kind.replace("jpg", "jpeg")};base64,{encoded}">'


def drawn(figure: plots.Figure) -> bytes:
    file = io.BytesIO()
    plots.save(figure, file)
    return file.getvalue()


def revision(root: Path) -> str:
    """The commit, with -dirty where files differ from it; no commit where there is no git."""
    command = ["git", "-C", root, "describe", "--always", "--dirty"]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip() or "no commit"


if __name__ == "__main__":
    run(main)
