"""What predict says about a picture, and how it says it: in lines, as JSON or in a CSV file."""

import argparse
import csv
import json
import sys
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
        values = (path, answer, label, probability, score)
        result = dict(zip(COLUMNS, values, strict=False))
        if classifier.crop == "face":
            result["faces"] = len(found)
        if found:
            result |= zip(faces.COLUMNS, found[i], strict=True)
        results.append(result)
    return results


def percent(probability: float) -> str:
    """Never 100%, since no answer is certain."""
    return f"{min(round(100 * probability), 99)}%"


@contextmanager
def output(options: argparse.Namespace, echo: Callable) -> Iterator[Callable[[dict], None]]:
    """Yield the function that prints or writes one result. A CSV file is written whole or not at all."""

    def line(result: dict) -> None:
        path = result["path"].translate(CONTROL)
        if "error" in result:
            echo(f"{path}: {result['error']}", file=sys.stderr)
        elif not options.csv:
            certainty = "" if result["label"] is None else percent(result["probability"])
            print("  ".join([f"{result['answer']:<7}", f"{certainty:>3}", path, *notes(result)]), flush=True)

    def notes(result: dict) -> Iterator[str]:
        if result["answer"] == "unsure":
            yield f"more likely {result['label']}"
        if result.get("face_turned"):
            yield f"turned by {result['face_turned']}"
        if result.get("faces") == 0 and result["label"]:
            yield "no face: whole picture judged"
        if options.every_face and result.get("faces"):
            yield f"face at {','.join(str(result[name]) for name in faces.COLUMNS[:4])}"

    def row(result: dict) -> dict:
        path = result["path"]
        return result | {"path": f"./{path}" if path.startswith(FORMULA) else path}  # still names its file

    if options.json:
        yield lambda result: print(json.dumps(result), flush=True)
    elif not options.csv:
        yield line
    else:
        with (
            replacing_file(options.csv) as partial,
            open(partial, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
        ):
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            yield lambda result: (table.writerow(row(result)), line(result))
