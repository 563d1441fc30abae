"""Tell whether the faces in pictures look happy or sad, with the model that `dvc repro` exported."""

import argparse
import csv
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from happysad import CLASSES
from happysad.common import images
from happysad.common.errors import UserError
from happysad.common.files import copy_into, replacing_file
from happysad.prediction.classifier import Classifier, load
from happysad.prediction.paths import find

MODEL = Path(__file__).resolve().parents[1] / "models/export/model_batch.onnx"
AHEAD = 256  # pictures in progress at a time: enough to keep all threads busy
COLUMNS = ("path", "label", "score", "threshold", "error")  # of --csv
FORMULA = tuple("=+-@\t\r\n")  # a spreadsheet takes a cell that starts with one of these for a formula
CONTROL = dict.fromkeys((*range(32), *range(127, 160)), "?")  # characters that could garble a terminal

EXAMPLES = """\
examples:
  python stages/predict.py data/generated/happy/*1.jpg              pictures
  python stages/predict.py data/generated                           a folder and all folders in it
  python stages/predict.py --json 'data/generated/**/*7.jpg'        one JSON object per line
  find data/generated -name '*9.jpg' | python stages/predict.py -   file names from standard input, one per line
  python stages/predict.py --csv predictions.csv data/generated     a table for a spreadsheet
  python stages/predict.py --copy-to sorted data/generated          copies in sorted/happy and sorted/sad
  python stages/predict.py --explain why.png data/generated/happy/IMG_0117.jpg

The score is the probability of happy. In folders, hidden files are skipped and links to folders not followed.
Exit status: 0 if all went well, 1 if some files could not be read, 2 for any other error.
"""


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    try:
        return predict(options)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.error = lambda message: parser.exit(2, f"error: {message}; see {parser.prog} --help\n")

    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="picture, folder, quoted pattern, or - for standard input")
    add("--json", action="store_true", help="print one JSON object per line, errors included")
    add("--csv", type=Path, metavar="FILE", help="write a .csv file, errors included")
    add(
        "--copy-to",
        type=Path,
        metavar="DIR",
        help="copy each picture into DIR/happy or DIR/sad; never overwrites a file",
    )
    add(
        "--explain",
        type=Path,
        metavar="OUT",
        help="draw, as a .png, which parts of one picture decided its label",
    )
    add("--model", type=Path, default=MODEL, metavar="FILE", help="another exported .onnx or .tflite file")
    add("--threshold", type=float, metavar="X", help="lowest score called happy (default: the model's)")
    options = parser.parse_args(argv)
    if options.threshold is not None and not 0 <= options.threshold <= 1:
        parser.error(f"--threshold must lie between 0 and 1, not {options.threshold:g}")
    # Without these checks, --csv *.jpg would overwrite the first picture.
    if options.csv and options.csv.suffix.lower() != ".csv":
        parser.error(f"--csv must name a .csv file, not {options.csv}")
    if options.explain and options.explain.suffix.lower() != ".png":
        parser.error(f"--explain must name a .png file, not {options.explain}")
    if options.csv and options.json:
        parser.error("--json and --csv cannot be combined")
    return options


def predict(options: argparse.Namespace) -> int:
    """Classify all pictures, in order; returns the exit status. Raises UserError for no model or no file."""
    classifier = load(options.model)
    threshold = classifier.threshold if options.threshold is None else options.threshold

    def classify(path: str) -> dict:
        try:
            picture = images.decode(Path(path), classifier.image_size, classifier.max_megapixels)
        except images.Unusable as error:
            return {"path": path, "error": f"{error.reason}: {error}"}
        # One picture per call, so that its score does not depend on the files around it.
        score = classifier.score(picture)
        return {"path": path, "label": CLASSES[score >= threshold], "score": score, "threshold": threshold}

    paths = find(options.files, options.copy_to)
    if options.explain:
        paths = [only(paths, options.explain)]
    results, echo = with_bar(classify, paths, options)
    found = errors = 0
    with output(options, echo) as write:
        for result in results:
            found += 1
            errors += "error" in result
            if options.copy_to and "label" in result:
                copy_into(options.copy_to / result["label"], Path(result["path"]))
            if options.explain and "label" in result:
                explain(classifier, result, options.explain)
            write(result)
        if not found:
            raise UserError(f"no files in {', '.join(options.files)}")
    return 1 if errors else 0


def with_bar(
    work: Callable[[str], dict], paths: Iterable[str], options: argparse.Namespace
) -> tuple[Iterable[dict], Callable]:
    """The results, and the function that prints: with a progress bar if a terminal would show nothing for long."""
    silent = options.csv or not sys.stdout.isatty()
    if not (sys.stderr.isatty() and silent and len(paths := list(paths)) > AHEAD):
        return in_order(work, paths), print
    from tqdm import tqdm  # here, since it is slow to import

    return tqdm(in_order(work, paths), total=len(paths), unit=" pictures"), tqdm.write


def in_order(work: Callable[[str], dict], items: Iterable[str]) -> Iterator[dict]:
    """Yield ``work`` of each item, in order, computed on all cores with at most AHEAD items in progress."""
    waiting = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding and scoring release the GIL
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                while waiting and (waiting[0].done() or len(waiting) == AHEAD):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)  # after an error in writing a result


@contextmanager
def output(options: argparse.Namespace, echo: Callable) -> Iterator[Callable[[dict], None]]:
    """Yield the function that prints or writes one result. A CSV file is written whole or not at all."""

    def line(result: dict) -> None:
        path = result["path"].translate(CONTROL)
        if "error" in result:
            echo(f"{path}: {result['error']}", file=sys.stderr)
        elif not options.csv:
            print(f"{result['label']:<5}  {result['score']:.2f}  {path}", flush=True)

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


def only(paths: Iterable[str], out: Path) -> str:
    """The single path. Raises UserError if there is none or more than one, or if it is ``out``."""
    first, *more = [*islice(paths, 2)] or [None]
    if first is None or more:
        raise UserError("--explain takes one picture")
    if os.path.realpath(first) == os.path.realpath(out):
        raise UserError(f"--explain would overwrite the picture {out}: name another file")
    return first


def explain(classifier: Classifier, result: dict, out: Path) -> None:
    from happysad.prediction import occlusion  # here, since it is slow to import

    picture, _ = images.read(Path(result["path"]), classifier.max_megapixels)
    title = f"{result['label']}, score {result['score']:.2f} (happy from {result['threshold']:.2f})"
    page = occlusion.explain(classifier, picture, title, os.path.basename(result["path"]))
    with replacing_file(out) as partial:
        page.save(partial, "PNG")


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a closed pipe, as by | head, ends it silently
    images.silence_libraries()
    sys.stdout.reconfigure(errors="surrogateescape")  # print undecodable file names as they are
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        os._exit(130)  # without waiting for pictures in progress
