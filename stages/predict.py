"""Tell whether the faces in pictures look happy or sad, with your own model or models/faces."""

import argparse
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from queue import Queue

from happysad import CLASSES, DRAWN
from happysad.common import images
from happysad.common.caveats import NO_SKILL
from happysad.common.errors import UserError
from happysad.common.files import copy_into, replacing_file
from happysad.prediction.classifier import Classifier, load
from happysad.prediction.paths import expand
from happysad.prediction.results import classify, csv_writer, line

MODELS = Path(__file__).resolve().parents[1] / "models"
ANSWERS = (*CLASSES[::-1], "unsure", "no face", "unreadable")
MOST_PENDING = 256  # pictures in progress or waiting for their turn: enough to keep all threads busy

EPILOG = """\
examples:
  python stages/predict.py --model faces me.jpg                     with the model of real faces
  python stages/predict.py data/generated/happy/*1.jpg              with your own model
  python stages/predict.py data/generated                           a folder and all folders in it
  find data/generated -name '*9.jpg' | python stages/predict.py -   names from standard input
  python stages/predict.py --csv predictions.csv data/generated     a table
  python stages/predict.py --copy-to sorted data/generated          copies in sorted/happy, sorted/sad ...
  python stages/predict.py --explain why.png me.jpg                 a page with the parts that mattered

Each answer comes with its probability: "happy", "sad", or "unsure" if neither is twice as likely as the other. The
largest face decides. Where no face is found, some models judge the whole picture, others answer "no face".
"turned by 90" is a face turned clockwise, which is judged upright.

In JSON and CSV, score is the probability of happy. A face's box is left,top,right,bottom in pixels, after the picture
is turned as its EXIF data say, and may reach beyond it. In folders, hidden files and linked folders are skipped.
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
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.error = lambda message: parser.exit(2, f"error: {message}; see {parser.prog} --help\n")

    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="picture, folder, quoted pattern, or - for standard input")
    add("--json", action="store_true", help="print one JSON object per line")
    add("--csv", type=Path, metavar="FILE", help="write a .csv file")
    add("--copy-to", type=Path, metavar="DIR", help="copy to DIR/happy, DIR/sad ..., never over another file")
    add("--explain", type=Path, metavar="FILE", help="draw, as a .png, which parts of one picture mattered")
    add("--every-face", action="store_true", help="judge every face of a picture, and print its box")
    model = "your own model (default), faces, or an exported .onnx or .tflite file"
    add("--model", default="export", help=model)
    options = parser.parse_args(argv)
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
    classifier = choose(options.model)
    if options.every_face and classifier.crop == "whole":
        raise UserError(
            f"{options.model} judges whole pictures: for --every-face, set prepare.crop to face and run `dvc repro`"
        )
    paths = expand(options.files, options.copy_to)
    if options.explain or "-" not in options.files:  # standard input may be endless
        paths = list(paths)
    if options.explain and len(paths) != 1:
        raise UserError("--explain takes one picture")
    if options.explain and os.path.realpath(paths[0]) == os.path.realpath(options.explain):
        raise UserError(f"--explain would overwrite the picture {options.explain}: name another file")

    done, echo = in_order(lambda path: classify(path, classifier, options.every_face), paths), print
    if sys.stderr.isatty() and (options.csv or not sys.stdout.isatty()):  # a terminal that shows no results
        from tqdm import tqdm  # here, since it is slow to import

        total = len(paths) if isinstance(paths, list) else None
        done, echo = tqdm(done, total=total, unit=" pictures", delay=1), tqdm.write
    counts = Counter()
    with csv_writer(options.csv) if options.csv else nullcontext() as write_row:
        for results in done:
            picture = results[0]  # its largest face decides
            answer = picture.get("answer", "unreadable")
            counts[answer] += 1
            if options.copy_to and answer != "unreadable":
                copy_into(options.copy_to / answer.replace(" ", "_"), Path(picture["path"]))
            if options.explain and picture.get("label"):
                explain(classifier, picture, options.explain)
            for result in results:
                if write_row:
                    write_row(result)
                if options.json:
                    print(json.dumps(result), flush=True)
                elif "error" in result:
                    echo(line(result, options.every_face), file=sys.stderr)
                elif not options.csv:
                    print(line(result, options.every_face), flush=True)
        if not counts:
            raise UserError(f"no files in {', '.join(options.files)}")
    if targets := [str(target) for target in (options.csv, options.copy_to) if target]:
        each = ", ".join(f"{counts[answer]} {answer}" for answer in ANSWERS if counts[answer])
        print(f"{counts.total()} pictures: {each} -> {', '.join(targets)}", file=sys.stderr)
    return 1 if counts["unreadable"] else 0


def choose(name: str) -> Classifier:
    """The model in the folder models/``name`` or the file ``name``. Raises UserError if there is none."""
    path = MODELS / name / "model.onnx"
    path = path if path.exists() else Path(name)
    if name == "export" and not path.is_file():
        raise UserError("you have no model yet: run `dvc repro`, or try --model faces, for photographs")
    if not path.is_file():
        raise UserError(f"no model called {name}: --model takes faces, or an exported .onnx or .tflite file")
    classifier = load(path)
    if not classifier.better_than_chance:
        print(f"note: {NO_SKILL}", file=sys.stderr)
    elif name == "export" and classifier.source == DRAWN:
        advice = "on photographs, --model faces is right more often"
        print(f"note: this model was trained on drawn faces; {advice}", file=sys.stderr)
    return classifier


def in_order(work: Callable[[str], list[dict]], items: Iterable[str]) -> Iterator[list[dict]]:
    """Yield ``work`` of each item, in order, computed on all cores, without waiting for further items."""
    pool = ThreadPoolExecutor(1 + os.cpu_count())  # decoding and scoring release the GIL
    pending = Queue(MOST_PENDING)

    def submit() -> None:
        try:
            for item in items:
                pending.put(pool.submit(work, item))
        finally:
            pending.put(None)

    submitted = pool.submit(submit)
    while future := pending.get():
        yield future.result()
    submitted.result()  # raises what the items raised


def explain(classifier: Classifier, result: dict, out: Path) -> None:
    from happysad.prediction import explanation  # here, since it is slow to import

    picture, _ = images.read(Path(result["path"]), classifier.max_megapixels)
    with replacing_file(out) as partial:
        explanation.explain(classifier, picture, result).save(partial, "PNG")


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a closed pipe, as by | head, ends it silently
    images.silence_libraries()
    sys.stdout.reconfigure(errors="surrogateescape")  # print undecodable file names as they are
    try:
        status = main()
    except KeyboardInterrupt:
        status = 130
    os._exit(status)  # without waiting for pictures in progress, or for more names
