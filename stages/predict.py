"""Tell whether the faces in pictures look happy or sad, with the model that `dvc repro` exported."""

import argparse
import glob
import json
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import onnxruntime

from happysad import images

MODEL = Path(__file__).resolve().parents[1] / "models/export/model_batch.onnx"
AHEAD = 256  # pictures taken up at a time: keeps all threads busy, and the first answers come soon

EXAMPLES = """\
examples:
  python stages/predict.py data/generated/happy/*1.jpg       pictures
  python stages/predict.py data/generated                    a folder, with all below it
  python stages/predict.py --json 'data/prepared/test/*'     one JSON object a line

score is the probability of happy. Exit status: 0, 1 if a file was no picture, 2 if nothing could be done.
"""


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    try:
        return predict(options)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="picture, folder or quoted pattern")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, errors among them")
    parser.add_argument(
        "--model", type=Path, default=MODEL, metavar="FILE", help="another exported model_batch.onnx"
    )
    parser.add_argument(
        "--threshold", type=float, metavar="X", help="happy from this score on (default: the model's)"
    )
    parser.error = lambda message: parser.exit(2, f"{message}; see {parser.prog} --help\n")
    options = parser.parse_args(argv)
    if options.threshold is not None and not 0 <= options.threshold <= 1:
        parser.error(f"--threshold must lie between 0 and 1, not {options.threshold:g}")
    return options


def predict(options: argparse.Namespace) -> int:
    """Answer every picture in order and return the exit status. Raises ValueError for no model or no file."""
    session, classes, image_size, threshold = load(options.model)
    if options.threshold is not None:
        threshold = options.threshold

    def answer(path: str) -> dict:
        try:
            picture = images.decode(Path(path), image_size)
        except images.Unusable as error:
            return {"path": path, "error": f"{error.reason}: {error}"}
        # One picture a call, so that its score does not depend on the files around it.
        score = float(session.run(["scores"], {"pictures": picture[None]})[0][0, 1])
        return {"path": path, "label": classes[score >= threshold], "score": score, "threshold": threshold}

    paths = find(options.files)
    answers = errors = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding and scoring release the GIL
        while some := list(islice(paths, AHEAD)):
            for result in pool.map(answer, some):
                show(result, options.json)
                answers += 1
                errors += "error" in result
    if not answers:
        raise ValueError(f"no files in {', '.join(options.files)}")
    return 1 if errors else 0


def load(path: Path) -> tuple[onnxruntime.InferenceSession, list[str], int, float]:
    """The session, and from the file's metadata classes, image_size and threshold. Raises ValueError."""
    if not path.is_file():
        raise ValueError(f"no model at {os.path.relpath(path)}: run dvc repro first")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # pictures run side by side already
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        about = session.get_modelmeta().custom_metadata_map
        return session, about["classes"].split(","), int(about["image_size"]), float(about["threshold"])
    except Exception as error:  # onnxruntime's own exceptions have no other common base
        raise ValueError(f"{path} is not a model that stages/export.py wrote: run dvc repro") from error


def find(names: list[str]) -> Iterator[str]:
    """Files as they are, folders as the files below them, patterns as the files and folders they match."""
    for name in names:
        if os.path.isdir(name):
            for folder, subfolders, files in os.walk(name):
                subfolders.sort()
                yield from (os.path.join(folder, file) for file in sorted(files) if not file.startswith("."))
        elif not os.path.exists(name) and (matches := glob.glob(name, recursive=True)):
            yield from find(sorted(matches))
        else:
            yield name


def show(result: dict, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result), flush=True)
    elif "error" in result:
        print(f"{result['path']}: {result['error']}", file=sys.stderr, flush=True)
    else:
        print(f"{result['path']}: {result['label']} (score {result['score']:.2f})", flush=True)


if __name__ == "__main__":
    # Ctrl-C and a closed pipe (| head) end the process at once and without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.stdout.reconfigure(errors="surrogateescape")  # a file name that is no text goes out as it came
    sys.exit(main())
