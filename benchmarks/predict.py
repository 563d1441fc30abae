"""The cost of predict: a fresh process for one picture, and the rate on thousands; optionally beside `fer`.

    python benchmarks/predict.py [--pictures 3000] [--model FILE] [--fer PYTHON]

Draws 24 faces as JPEGs of 350 x 350 pixels in a temporary folder, and names each as often as it takes. CPU is user +
system time. One picture: the median of several processes, run in turn so that all see the same load on the machine;
`imports` is a process that imports numpy, Pillow and onnxruntime and decodes the same picture. Many pictures: one
process, minus the median for one picture. `face` finds the face and crops to it, `whole` does not: the same model with
other metadata.

fer (https://github.com/justinshenk/fer) needs an older Pillow and numpy than ours, so install it in an
environment of its own and name its Python: python -m venv /tmp/fer && /tmp/fer/bin/pip install fer. It takes
each picture as one face: its face detector, which would cost another 36 ms of CPU, does not run.

Needs models/export and a Unix system.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing import Process
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "stages"))

IMPORTS = """\
import sys, numpy, onnxruntime
from PIL import Image
Image.open(sys.argv[1]).convert("RGB").resize((96, 96), Image.Resampling.BILINEAR)
"""
FER = """\
import sys, cv2
from fer.fer import FER
detector = FER()
for name in sys.argv[1:]:
    picture = cv2.imread(name)
    assert detector.detect_emotions(picture, [[0, 0, picture.shape[1], picture.shape[0]]])
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--model", type=Path, default=PROJECT / "models/export/model_batch.onnx")
    parser.add_argument("--fer", metavar="PYTHON", help="also measure fer, with this Python")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # In a process of its own, since the peak memory of a child process is at least that of this one.
        drawing = Process(target=draw, args=(folder, options.model))
        drawing.start()
        drawing.join()
        pictures = list(itertools.islice(itertools.cycle(sorted(folder.glob("*.jpg"))), options.pictures))
        commands = {"imports": [sys.executable, "-c", IMPORTS]}
        for crop in ("face", "whole"):
            model = folder / f"{crop}.onnx"
            commands[crop] = [sys.executable, PROJECT / "stages/predict.py", "--model", model]
        if options.fer:
            commands["fer"] = [options.fer, "-c", FER]
        costs = {name: [] for name in commands}
        for _ in range(5 if options.fer else 15):
            for name, command in commands.items():
                costs[name].append(cost([*command, pictures[0]]))
        one = {
            name: [statistics.median(column) for column in zip(*c, strict=True)] for name, c in costs.items()
        }
        for name, (cpu, wall, memory) in one.items():
            ratio = statistics.median(c[0] / i[0] for c, i in zip(costs[name], costs["imports"], strict=True))
            print(f"one, {name}: {cpu:.3f} s CPU ({ratio:.2f} x imports), {wall:.3f} s wall, {memory:.0f} MB")
        del commands["imports"]
        for name, command in commands.items():
            cpu, wall, memory = cost([*command, *pictures])
            cpu, wall = cpu - one[name][0], wall - one[name][1]
            print(
                f"{len(pictures)}, {name}: {1000 * cpu / len(pictures):.2f} ms CPU each, "
                f"{len(pictures) / wall:.0f} a second, {memory:.0f} MB"
            )


def draw(folder: Path, model: Path) -> None:
    """Write the pictures, and face.onnx and whole.onnx: the model with either crop in its metadata."""
    import numpy as np
    import onnx

    from happysad.drawing.render import render
    from happysad.drawing.sampling import sample_face

    for seed in range(24):
        label, rng = ("sad", "happy")[seed % 2], np.random.default_rng(seed)
        face = sample_face(label, rng, min_expression=0.6, roughness=0.2, tightness=0, pose=0.4)
        render(face, 350).save(folder / f"{seed:02}.jpg", quality=88)
    proto = onnx.load(model)
    [entry] = [entry for entry in proto.metadata_props if entry.key == "crop"]
    for entry.value in ("face", "whole"):
        onnx.save(proto, folder / f"{entry.value}.onnx")


def cost(command: list) -> tuple[float, float, float]:
    """CPU seconds, wall seconds, peak MB of one process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} ... {command[-1]} failed")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - began, kilobytes / 1024


if __name__ == "__main__":
    main()
