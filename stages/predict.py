"""Tell whether the faces in pictures look happy or sad, with your own model or models/faces."""

import argparse
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from happysad import CLASSES, DRAWN
from happysad.common import images
from happysad.common.caveats import NO_SKILL
from happysad.common.errors import UserError
from happysad.common.files import copy_into, replacing_file
from happysad.prediction.classifier import Classifier, load
from happysad.prediction.paths import find
from happysad.prediction.results import classify, output, percent

MODELS = Path(__file__).resolve().parents[1] / "models"
ANSWERS = (*CLASSES[::-1], "unsure", "no face", "unreadable")
AHEAD = 256  # pictures in progress at a time: enough to keep all threads busy

EXAMPLES = """\
examples:
  python stages/predict.py --model faces me.jpg                     the model of real faces that comes with the project
  python stages/predict.py data/generated/happy/*1.jpg              pictures
  python stages/predict.py data/generated                           a folder and all folders in it
  python stages/predict.py --json 'data/generated/**/*7.jpg'        one JSON object per line
  find data/generated -name '*9.jpg' | python stages/predict.py -   file names from standard input
  python stages/predict.py --csv predictions.csv data/generated     a table for a spreadsheet
  python stages/predict.py --copy-to sorted data/generated          copies in sorted/happy, sorted/sad and so on
  python stages/predict.py --every-face data/generated/sad          every face, with its box
  python stages/predict.py --explain why.png data/generated/happy/IMG_0117.jpg

The largest face decides; its answer comes with its probability. "unsure" stands where neither answer is twice as likely
as the other, "no face" where none is found, unless the model was trained on such pictures: then it judges the whole.
A face that lies on its side or upside down is judged upright: "turned by 90" says that it is turned clockwise.
In JSON and CSV, score is the probability of happy. Boxes are left,top,right,bottom in pixels of the picture as shown,
turned as its EXIF data say, and may reach beyond it. In folders, hidden files are skipped and links not followed.
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
    add("--copy-to", type=Path, metavar="DIR", help="copy to DIR/happy, DIR/sad ..., never over another file")
    add("--explain", type=Path, metavar="OUT", help="draw, as a .png, which parts of one picture mattered")
    add("--every-face", action="store_true", help="judge every face of a picture, and print its box")
    add(
        "--model",
        default="export",
        metavar="MODEL",
        help="faces, the model of real faces, or an exported .onnx or .tflite file (default: your own)",
    )
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

    def work(path: str) -> list[dict]:
        return classify(path, classifier, options.every_face)

    paths = find(options.files, options.copy_to)
    if options.explain:
        paths = list(paths)
        if len(paths) != 1:
            raise UserError("--explain takes one picture")
        if os.path.realpath(paths[0]) == os.path.realpath(options.explain):
            raise UserError(f"--explain would overwrite the picture {options.explain}: name another file")
    done, echo = with_bar(work, paths, options)
    counts = Counter()
    with output(options, echo) as write:
        for results in done:
            picture = results[0]  # its largest face decides
            answer = picture.get("answer", "unreadable")
            counts[answer] += 1
            if options.copy_to and "answer" in picture:
                copy_into(options.copy_to / answer.replace(" ", "_"), Path(picture["path"]))
            if options.explain and picture.get("label"):
                explain(classifier, picture, options.explain)
            for result in results:
                write(result)
        if not counts:
            raise UserError(f"no files in {', '.join(options.files)}")
    if targets := [str(target) for target in (options.csv, options.copy_to) if target]:
        each = ", ".join(f"{counts[answer]} {answer}" for answer in ANSWERS if counts[answer])
        print(f"{counts.total()} pictures: {each} -> {', '.join(targets)}", file=sys.stderr)
    return 1 if counts["unreadable"] else 0


def choose(name: str) -> Classifier:
    """The model in the folder models/``name`` or the file ``name``. Raises UserError if there is none."""
    path = MODELS / name / "model.onnx"
    if name == "export" and not path.exists():
        what = (
            "the last run failed" if (MODELS / "model.keras").exists() else "you have not trained a model yet"
        )
        raise UserError(f"{what}: run `dvc repro`, or try --model faces, which knows real faces")
    if not path.exists() and not Path(name).is_file():
        models = ", ".join(sorted(path.parent.name for path in MODELS.glob("*/model.onnx")))
        raise UserError(
            f"no model called {name}: --model takes {models}, or an exported .onnx or .tflite file"
        )
    classifier = load(path if path.exists() else Path(name))
    if not classifier.better_than_chance:
        note = NO_SKILL
    elif name == "export" and classifier.source == DRAWN:
        note = "this model was trained on drawn faces; on photographs, --model faces is right more often"
    else:
        return classifier
    print(f"note: {note}", file=sys.stderr)
    return classifier


def with_bar(
    work: Callable[[str], list[dict]], paths: Iterable[str], options: argparse.Namespace
) -> tuple[Iterable[list[dict]], Callable]:
    """The results, and the function that prints: with a progress bar if a terminal would show nothing for long."""
    silent = options.csv or not sys.stdout.isatty()
    if not (sys.stderr.isatty() and silent and len(paths := list(paths)) > AHEAD):
        return in_order(work, paths), print
    from tqdm import tqdm  # here, since it is slow to import

    return tqdm(in_order(work, paths), total=len(paths), unit=" pictures"), tqdm.write


def in_order(work: Callable[[str], list[dict]], items: Iterable[str]) -> Iterator[list[dict]]:
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


def explain(classifier: Classifier, result: dict, out: Path) -> None:
    from happysad.prediction import explanation  # here, since it is slow to import

    picture, _ = images.read(Path(result["path"]), classifier.max_megapixels)
    unsure = "unsure: " if result["answer"] == "unsure" else ""
    title = f"{unsure}{result['label']} {percent(result['probability'])}"
    page = explanation.explain(classifier, picture, title, os.path.basename(result["path"]))
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
