"""Measure the model on prepared/test, which no other stage opens: figures, where it fails, every answer."""

from pathlib import Path

import happysad  # noqa: F401 - before TensorFlow, which it sets up

# isort: split
import keras
import numpy as np
from PIL import Image

from happysad import CLASSES
from happysad.common.cli import run
from happysad.common.contact_sheet import sheet
from happysad.common.files import read_csv, read_json, replacing, write_csv, write_json
from happysad.evaluation import baseline, grad_cam, metrics, plots, slices
from happysad.evaluation.corruptions import corrupted
from happysad.training.cnn import load, predict

GALLERY = 15  # pictures
COPIED = ("path", "label", "split", "group", "id", "format", "source_split", "width", "height", "flags")


def main(root: Path) -> None:
    model, about = load(root / "models/model.keras"), read_json(root / "models/model.json")
    threshold = about["threshold"]
    rows, pictures = open_test(root)
    labels = np.array([CLASSES.index(row["label"]) for row in rows])
    scores = predict(model, pictures)
    answers = (scores >= threshold).astype(int)
    simple = read_json(root / "models/baseline.json")
    simple_scores = baseline.scores(simple, pictures)
    for row, score, predicted, simple_score in zip(rows, scores, answers, simple_scores, strict=True):
        row |= {"score": float(score), "predicted": CLASSES[predicted], "baseline_score": float(simple_score)}

    groups = np.array([row["group"] for row in rows])
    figures = metrics.proportions(labels, scores, threshold)
    figures |= metrics.intervals(labels, scores, threshold, groups)
    figures |= compare(labels, answers, simple, simple_scores, groups)
    by_slice = slices.table(rows)
    by_corruption = robustness(model, pictures, labels, answers, threshold)

    out = root / "metrics"
    write_json(out / "test.json", figures)
    write_csv(out / "predictions.csv", rows)
    write_curves(out, labels, scores)
    write_csv(out / "slices.csv", by_slice)
    write_csv(out / "robustness.csv", by_corruption)
    with replacing(out / "plots/test") as folder:
        draw(folder, labels, scores, about, figures, by_slice, by_corruption)
        for name, title, chosen in galleries(labels, scores, threshold):
            gallery(model, [rows[i] for i in chosen], pictures[chosen], title).save(
                folder / f"{name}.jpg", quality=90
            )
    print_summary(figures, by_slice, by_corruption)


def open_test(root: Path) -> tuple[list[dict], np.ndarray]:
    """A row per test picture, sorted by path, and the pictures, (n, side, side, 3) uint8."""
    rows, pictures = [], []
    for about in read_csv(root / "data/prepared/manifest.csv"):
        if about["split"] == "test":
            picture = np.asarray(
                Image.open(root / "data/prepared/test" / about["label"] / f"{about['id']}.png")
            )
            rows.append({name: about[name] for name in COPIED} | look(picture))
            pictures.append(picture)
    return rows, np.stack(pictures)


def look(picture: np.ndarray) -> dict:
    """Brightness, 0 to 255, and whether the picture has colour."""
    spread = np.ptp(picture, axis=2).mean()
    return {"brightness": float(picture.mean()), "colour": "colour" if spread > 4 else "grey"}


def compare(
    labels: np.ndarray, answers: np.ndarray, simple: dict, simple_scores: np.ndarray, groups: np.ndarray
) -> dict[str, float]:
    """The baselines' accuracy, and how much better than the better of them the model is."""
    right = {
        "majority": labels == CLASSES.index(simple["majority"]),
        "logistic": labels == (simple_scores >= 0.5),
    }
    figures = {}
    for name, part in right.items():
        figures |= metrics.proportion(f"{name}_accuracy", part)
    better = max(right.values(), key=np.mean)
    gain = (answers == labels) - better.astype(float)
    low, high = metrics.percentiles(np.array([gain[i].mean() for i in metrics.resamples(labels, groups)]))
    return figures | {"gain": float(gain.mean()), "gain_ci_low": low, "gain_ci_high": high}


def robustness(
    model: keras.Model, pictures: np.ndarray, labels: np.ndarray, answers: np.ndarray, threshold: float
) -> list[dict]:
    """A row for the unchanged pictures, then one per corruption and severity."""
    unchanged = {"corruption": "none", "severity": 0, "setting": ""}
    rows = [unchanged | metrics.proportion("accuracy", answers == labels) | {"label_changes": 0.0}]
    for about, worse in corrupted(pictures):
        said = predict(model, worse) >= threshold
        accuracy = metrics.proportion("accuracy", said == labels)
        rows.append(about | accuracy | {"label_changes": float((said != answers).mean())})
    return rows


def write_curves(out: Path, labels: np.ndarray, scores: np.ndarray) -> None:
    false_positive_rate, recall = metrics.roc_curve(labels, scores)
    write_csv(out / "roc.csv", columns(false_positive_rate=false_positive_rate, recall=recall))
    precision, recall = metrics.precision_recall_curve(labels, scores)
    write_csv(out / "precision_recall.csv", columns(recall=recall, precision=precision))


def columns(**values: np.ndarray) -> list[dict]:
    return [dict(zip(values, map(float, row), strict=True)) for row in zip(*values.values(), strict=True)]


def draw(
    folder: Path,
    labels: np.ndarray,
    scores: np.ndarray,
    about: dict,
    figures: dict,
    by_slice: list[dict],
    by_corruption: list[dict],
) -> None:
    for plot in (plots.roc, plots.precision_recall, plots.confusion):
        plots.save(plot(labels, scores, about["threshold"]), folder / f"{plot.__name__}.png")
    before = metrics.reliability(labels, metrics.uncalibrated(scores, **about["calibration"]))
    plots.save(plots.reliability(before, metrics.reliability(labels, scores)), folder / "reliability.png")
    plots.save(plots.slices(by_slice, figures["accuracy"]), folder / "slices.png")
    plots.save(plots.robustness(by_corruption), folder / "robustness.png")


def galleries(labels: np.ndarray, scores: np.ndarray, threshold: float) -> list[tuple[str, str, np.ndarray]]:
    """Name, title and pictures of each gallery."""
    said = (scores >= threshold).astype(int)
    surest = np.argsort(-np.abs(scores - threshold), kind="stable")
    found = []
    for truth, answer in ((0, 1), (1, 0)):
        chosen = surest[(labels[surest] == truth) & (said[surest] == answer)]
        title = f"{CLASSES[truth].capitalize()} pictures called {CLASSES[answer]}, the surest mistakes first"
        found.append((f"{CLASSES[truth]}_called_{CLASSES[answer]}", title, chosen[:GALLERY]))
    found.append(("least_certain", "Pictures that the model is least certain of", surest[::-1][:GALLERY]))
    return found


def gallery(model: keras.Model, rows: list[dict], pictures: np.ndarray, title: str) -> Image.Image:
    """Each picture beside itself under Grad-CAM for the model's answer."""
    pairs = []
    if rows:
        answers = np.array([CLASSES.index(row["predicted"]) for row in rows])
        heat = grad_cam.grad_cam(model, pictures, answers)
        pairs = [np.hstack([p, grad_cam.overlay(p, h)]) for p, h in zip(pictures, heat, strict=True)]
    captions = [f"{row['path']}\nscore {row['score']:.2f}, label {row['label']}" for row in rows]
    return sheet(pairs, captions, 5, title + "; right: the places that speak for the model's answer")


def print_summary(figures: dict, by_slice: list[dict], by_corruption: list[dict]) -> None:
    for name in (
        "accuracy",
        "precision",
        "recall",
        "specificity",
        "roc_auc",
        "average_precision",
        "brier",
        "ece",
    ):
        low, high = figures[f"{name}_ci_low"], figures[f"{name}_ci_high"]
        print(f"{name:18} {figures[name]:.3f}  ({low:.3f} to {high:.3f})")
    for row in by_slice:
        if row["worse"] == "yes":
            print(f"worse on {row['slice']} {row['value']}: {row['accuracy']:.1%} of {row['n']}")
    worst = min(by_corruption[1:], key=lambda row: row["accuracy"])
    mirror = next(row for row in by_corruption if row["corruption"] == "mirror")
    print(f"weakest against {worst['corruption']} ({worst['setting']}): {worst['accuracy']:.1%} right")
    print(f"a mirror changes {mirror['label_changes']:.1%} of the answers")
    gain = (figures[f"gain{end}"] for end in ("", "_ci_low", "_ci_high"))
    print("against the better baseline: {:+.1%} ({:+.1%} to {:+.1%})".format(*gain))
    print(metrics.sentence(figures))


if __name__ == "__main__":
    run(main)
