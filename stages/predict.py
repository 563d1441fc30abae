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

from happysad.common import images
from happysad.common.errors import UserError
from happysad.common.files import copy_into, replacing_file
from happysad.prediction.classifier import Classifier, load
from happysad.prediction.paths import find

MODEL = Path(__file__).resolve().parents[1] / "models/export/model_batch.onnx"
AHEAD = 256  # pictures taken up before the first is answered, at most: keeps all threads busy
COLUMNS = ("path", "label", "score", "threshold", "error")  # of --csv
CONTROL = dict.fromkeys(
    (*range(32), *range(127, 160)), "?"
)  # what in a name would break a line, or a terminal

EXAMPLES = """\
examples:
  python stages/predict.py data/generated/happy/*1.jpg              pictures
  python stages/predict.py data/generated                           a folder, with all below it
  python stages/predict.py --json 'data/generated/**/*7.jpg'        one JSON object a line
  find data/generated -name '*9.jpg' | python stages/predict.py -   names from standard input, one a line
  python stages/predict.py --csv answers.csv data/generated         a table for a spreadsheet
  python stages/predict.py --copy-to sorted data/generated          copies in sorted/happy and sorted/sad
  python stages/predict.py --explain why.png data/generated/happy/IMG_0117.jpg

score is the probability of happy. In folders, hidden files and links to other folders are passed over.
Exit status: 0, 1 if a file could not be read, 2 if nothing could be done.
"""


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    try:
        return predict(options)
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.error = lambda message: parser.exit(2, f"{message}; see {parser.prog} --help\n")

    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="picture, folder, quoted pattern, or - for a list of names")
    add("--json", action="store_true", help="one JSON object a line, errors among them")
    add("--csv", type=Path, metavar="FILE", help="write a .csv file, errors among its rows")
    add(
        "--copy-to",
        type=Path,
        metavar="DIR",
        help="copy each picture to DIR/happy or DIR/sad, over no other file",
    )
    add(
        "--explain",
        type=Path,
        metavar="OUT",
        help="draw, as a .png, which parts of one picture made the answer",
    )
    add("--model", type=Path, default=MODEL, metavar="FILE", help="another exported .onnx or .tflite file")
    add("--threshold", type=float, metavar="X", help="happy from this score on (default: the model's)")
    options = parser.parse_args(argv)
    if options.threshold is not None and not 0 <= options.threshold <= 1:
        parser.error(f"--threshold must lie between 0 and 1, not {options.threshold:g}")
    # Without these, --csv *.jpg would write over the first picture.
    if options.csv and options.csv.suffix.lower() != ".csv":
        parser.error(f"--csv must name a .csv file, not {options.csv}")
    if options.explain and options.explain.suffix.lower() != ".png":
        parser.error(f"--explain must name a .png file, not {options.explain}")
    if options.csv and options.json:
        parser.error("--json and --csv exclude each other")
    return options


def predict(options: argparse.Namespace) -> int:
    """Answer every picture in order and return the exit status. Raises UserError for no model or no file."""
    classifier = load(options.model)
    threshold = classifier.threshold if options.threshold is None else options.threshold

    def answer(path: str) -> dict:
        try:
            picture = images.decode(Path(path), classifier.image_size)
        except images.Unusable as error:
            return {"path": path, "error": f"{error.reason}: {error}"}
        # One picture a call, so that its score does not depend on the files around it.
        score = classifier.score(picture)
        label = classifier.classes[score >= threshold]
        return {"path": path, "label": label, "score": score, "threshold": threshold}

    paths = find(options.files, options.copy_to)
    if options.explain:
        paths = [only(paths, options.explain)]
    results, say = with_bar(answer, paths, options)
    answers = errors = 0
    with output(options, say) as tell:
        for result in results:
            answers += 1
            errors += "error" in result
            if options.copy_to and "label" in result:
                copy_into(options.copy_to / result["label"], Path(result["path"]))
            if options.explain and "label" in result:
                explain(classifier, result, options.explain)
            tell(result)
        if not answers:
            raise UserError(f"no files in {', '.join(options.files)}")
    return 1 if errors else 0


def with_bar(
    answer: Callable[[str], dict], paths: Iterable[str], options: argparse.Namespace
) -> tuple[Iterable[dict], Callable]:
    """The results, with a bar on a terminal that would show nothing for long, and how to print beside the bar."""
    hidden = options.csv or not sys.stdout.isatty()
    if not (sys.stderr.isatty() and hidden and len(paths := list(paths)) > AHEAD):
        return in_order(answer, paths), print
    from tqdm import tqdm  # here, since importing it takes a while

    return tqdm(in_order(answer, paths), total=len(paths), unit=" pictures"), tqdm.write


def in_order(work: Callable[[str], dict], items: Iterable[str]) -> Iterator[dict]:
    """Yield ``work`` of each item in order, done on all cores, at most AHEAD of them taken up at a time."""
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
            pool.shutdown(cancel_futures=True)  # where an answer could not be written


@contextmanager
def output(options: argparse.Namespace, say: Callable) -> Iterator[Callable[[dict], None]]:
    """Yield the function that tells a result. The CSV file is there once it is whole, or not at all."""

    def line(result: dict) -> None:
        path = result["path"].translate(CONTROL)
        if "error" in result:
            say(f"{path}: {result['error']}", file=sys.stderr)
        elif not options.csv:
            print(f"{result['label']:<5}  {result['score']:.2f}  {path}", flush=True)

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
            yield lambda result: (table.writerow(result), line(result))


def only(paths: Iterable[str], out: Path) -> str:
    """The one path. Raises UserError for none, for several, and where it is ``out``."""
    first, *more = [*islice(paths, 2)] or [None]
    if first is None or more:
        raise UserError("--explain takes one picture")
    if os.path.realpath(first) == os.path.realpath(out):
        raise UserError(f"--explain would write over the picture {out}: name another file")
    return first


def explain(classifier: Classifier, result: dict, out: Path) -> None:
    from happysad.prediction import occlusion  # here, since it takes a while

    picture, _ = images.read(Path(result["path"]))
    title = f"{result['label']}, score {result['score']:.2f} (happy from {result['threshold']:.2f} on)"
    page = occlusion.explain(classifier, picture, title, os.path.basename(result["path"]))
    with replacing_file(out) as partial:
        page.save(partial, "PNG")


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a closed pipe (| head) ends it without a word
    sys.stdout.reconfigure(errors="surrogateescape")  # a file name that is no text goes out as it came
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        os._exit(130)  # without waiting for the pictures that were taken up
