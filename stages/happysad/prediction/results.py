"""What predict says about a picture, as a line or a row of a CSV file."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from happysad import CLASSES
from happysad.common import images
from happysad.common.files import replacing_file
from happysad.data import faces
from happysad.prediction.classifier import Classifier

COLUMNS = ("path", "answer", "label", "probability", "score", "faces", *faces.COLUMNS, "error")  # of --csv
FORMULA = tuple("=+-@\t\r\n")  # a spreadsheet takes a cell that starts with one of these for a formula
CONTROL = dict.fromkeys((*range(32), *range(127, 160)), "?")  # characters that could garble a terminal


def classify(path: str, classifier: Classifier, every_face: bool) -> list[dict]:
    """The result of the picture's largest face, or of the whole picture if none is found or looked for.

    Its answer is the label, or "unsure" where the label's probability is too low, or "no face" where the model refuses
    such pictures. With ``every_face``, the results of the other faces follow. A file that cannot be read gives an error.
    """
    try:
        picture, _ = images.read(Path(path), classifier.max_megapixels)
    except images.Unusable as error:
        return [{"path": path, "error": f"{error.reason}: {error}"}]
    first, found = faces.view(picture, classifier.crop, classifier.crop_margin)
    if not found and classifier.no_face == "refuse":
        return [dict.fromkeys(COLUMNS[:5]) | {"path": path, "answer": "no face", "faces": 0}]
    others = found[1:] if every_face else []
    views = [first, *(faces.square(picture, face, classifier.crop_margin) for face in others)]
    results = []
    for i, view in enumerate(views):
        # One picture per call, so that its score does not depend on the files around it.
        score = classifier.score(images.squash(view, classifier.image_size))
        label, probability = CLASSES[score >= 0.5], max(score, 1 - score)
        answer = label if probability >= classifier.unsure_below else "unsure"
        result = dict(zip(COLUMNS, (path, answer, label, probability, score), strict=False))
        if classifier.crop == "face":
            result["faces"] = len(found)
        if found:
            result |= zip(faces.COLUMNS, found[i], strict=True)
        results.append(result)
    return results


def percent(probability: float) -> str:
    """Never 100%, since no answer is certain."""
    return f"{min(round(100 * probability), 99)}%"


def line(result: dict, with_box: bool) -> str:
    """The result in one line that is safe to print; with the place of its face, if there is one, ``with_box``."""
    path = result["path"].translate(CONTROL)
    if "error" in result:
        return f"{path}: {result['error']}"
    answer, label, count = result["answer"], result["label"], result.get("faces")
    notes = [
        answer == "unsure" and f"more likely {label}",
        result.get("face_turned") and f"turned by {result['face_turned']}",
        label and count == 0 and "no face: whole picture judged",
        with_box and count and f"face at {','.join(str(result[name]) for name in faces.COLUMNS[:4])}",
    ]
    certainty = percent(result["probability"]) if label else ""
    return "  ".join([f"{answer:<7}", f"{certainty:>3}", path, *filter(None, notes)])


@contextmanager
def csv_writer(path: Path) -> Iterator[Callable[[dict], None]]:
    """Yield the function that writes one result to a CSV file, which is written whole or not at all."""
    with (
        replacing_file(path) as partial,
        open(partial, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()

        def write(result: dict) -> None:
            harmless = "./" if result["path"].startswith(FORMULA) else ""  # and it still names its file
            table.writerow(result | {"path": harmless + result["path"]})

        yield write
