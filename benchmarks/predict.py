"""What predict costs: a fresh process for one picture, and the rate on thousands.

    python benchmarks/predict.py [--pictures 3000]

Draws its JPEGs of 350 x 350 pixels in a temporary folder. CPU is user + system time, the median of 15
processes; `imports` is a process that imports numpy, Pillow and onnxruntime and decodes the same picture.
Needs models/export/model_batch.onnx and a Unix system.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

PREDICT = Path(__file__).resolve().parents[1] / "stages/predict.py"
IMPORTS = """\
import sys, numpy, onnxruntime
from PIL import Image
Image.open(sys.argv[1]).convert("RGB").resize((96, 96), Image.Resampling.BILINEAR)
"""


def cost(command: list) -> tuple[float, float, float]:
    """CPU seconds, wall seconds, peak MB of one process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command} failed")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - began, kilobytes / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=3000)
    count = parser.parse_args().pictures
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rng = np.random.default_rng(1)
        for i in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
            coarse.resize((350, 350), Image.Resampling.BICUBIC).save(folder / f"{i:05}.jpg", quality=88)
        picture = folder / "00000.jpg"
        commands = {
            "imports": [sys.executable, "-c", IMPORTS, picture],
            "predict": [sys.executable, PREDICT, picture],
        }
        costs = {name: [] for name in commands}
        for _ in range(15):  # in turn, so that both meet the same load of the machine
            for name, command in commands.items():
                costs[name].append(cost(command))
        for name, runs in costs.items():
            cpu, wall, memory = (statistics.median(column) for column in zip(*runs, strict=True))
            print(f"one picture, {name}: {cpu:.3f} s CPU, {wall:.3f} s wall, {memory:.0f} MB")
        ratio = statistics.median(
            p[0] / i[0] for p, i in zip(costs["predict"], costs["imports"], strict=True)
        )
        print(f"predict / imports: {ratio:.2f} of the CPU")
        cpu, wall, memory = cost([sys.executable, PREDICT, folder])
        print(
            f"{count} pictures: {count / wall:.0f} a second, {cpu:.1f} s CPU, {wall:.1f} s wall, {memory:.0f} MB"
        )


if __name__ == "__main__":
    main()
