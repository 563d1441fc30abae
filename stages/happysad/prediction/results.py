"""What predict says about a picture, and how it says it: in lines, as JSON or in a CSV file."""

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from happysad import CLASSES
from happysad.common import faces, images
from happysad.common.files import replacing_file
from happysad.prediction.classifier import Classifier

COLUMNS = ("path", "label", "score", "threshold", "faces", *faces.COLUMNS, "error")  # of --csv
FORMULA = tuple("=+-@\t\r\n")  # a spreadsheet takes a cell that starts with one of these for a formula
CONTROL = dict.fromkeys((*range(32), *range(127, 160)), "?")  # characters that could garble a terminal


def classify(path: str, classifier: Classifier, threshold: float, every_face: bool) -> list[dict]:
    """The result of the picture's largest face, or of the whole picture if none is found or looked for.

    With ``every_face``, the results of the other faces follow. A file that cannot be read gives an error.
    """
    try:
        picture, _ = images.read(Path(path), classifier.max_megapixels)
    except images.Unusable as error:
        return [{"path": path, "error": f"{error.reason}: {error}"}]
    first, found = faces.view(picture, classifier.crop, classifier.crop_margin)
    others = found[1:] if every_face else []
    views = [first, *(faces.square(picture, face, classifier.crop_margin) for face in others)]
    results = []
    for i, view in enumerate(views):
        # One picture per call, so that its score does not depend on the files around it.
        score = classifier.score(images.squash(view, classifier.image_size))
        result = {"path": path, "label": CLASSES[score >= threshold], "score": score, "threshold": threshold}
        if classifier.crop == "face":
            result["faces"] = len(found)
        if found:
            result |= zip(faces.COLUMNS, found[i], strict=True)
        results.append(result)
    return results


@contextmanager
def output(options: argparse.Namespace, echo: Callable) -> Iterator[Callable[[dict], None]]:
    """Yield the function that prints or writes one result. A CSV file is written whole or not at all."""

    def line(result: dict) -> None:
        path = result["path"].translate(CONTROL)
        if "error" in result:
            echo(f"{path}: {result['error']}", file=sys.stderr)
        elif not options.csv:
            print(f"{result['label']:<5}  {result['score']:.2f}  {path}{about_face(result)}", flush=True)

    def about_face(result: dict) -> str:
        if result.get("faces") == 0:
            return "  no face: whole picture judged"
        box = (str(result[name]) for name in faces.COLUMNS[:4])
        return f"  face at {','.join(box)}" if options.faces else ""

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
