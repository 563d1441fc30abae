"""The cost of predict: a fresh process for one picture, and the rate on thousands.

    python benchmarks/predict.py [--pictures 3000] [--model faces]

Draws 24 faces as JPEGs of 350 x 350 pixels in a temporary folder, and names each as often as it takes. CPU is user +
system time. One picture: the median of 15 processes. Many pictures: one process, minus that median. Needs a Unix system.
"""

import argparse
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--model", default="faces")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # In a process of its own, since the peak memory of a child process is at least that of this one.
        drawing = Process(target=draw, args=(folder,))
        drawing.start()
        drawing.join()
        pictures = sorted(folder.glob("*.jpg"))
        predict = [sys.executable, PROJECT / "stages/predict.py", "--model", options.model]
        rows = [cost([*predict, pictures[0]]) for _ in range(15)]
        one_cpu, one_wall, memory = map(statistics.median, zip(*rows, strict=True))
        print(f"one: {one_cpu:.3f} s CPU, {one_wall:.3f} s wall, {memory:.0f} MB")
        n = options.pictures
        cpu, wall, memory = cost([*predict, *(pictures * n)[:n]])
        milliseconds, rate = 1000 * (cpu - one_cpu) / n, n / (wall - one_wall)
        print(f"{n}: {milliseconds:.2f} ms CPU each, {rate:.0f} a second, {memory:.0f} MB")


def draw(folder: Path) -> None:
    import numpy as np

    from happysad.drawing.render import render
    from happysad.drawing.sampling import sample_face

    for seed in range(24):
        label, rng = ("sad", "happy")[seed % 2], np.random.default_rng(seed)
        face = sample_face(label, rng, pose=0.4)
        render(face, 350).save(folder / f"{seed:02}.jpg", quality=88)


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
