"""How many of the wrong labels planted in the built-in data set does label_errors find?

dvc exp run -S crossvalidate.folds=5 && python stages/label_errors.py
python benchmarks/label_errors.py
"""

import csv
import sys
from pathlib import Path


def read(path: str) -> list[dict]:
    root = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[1]
    with open(root / path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


truth = {row["path"]: row["folder"] != row["label"] for row in read("data/generated_truth.csv")}
scored = [row["path"] for row in read("metrics/crossvalidation.csv")]
found = [row["path"] for row in read("metrics/label_errors.csv")]
planted = sum(truth[path] for path in scored)
for n in sorted({10, 20, planted, len(found)} & set(range(len(found) + 1))):
    hits = sum(truth[path] for path in found[:n])
    print(
        f"of the first {n:3}: {hits} wrong, precision {hits / n:.2f}, recall {hits / planted:.2f} of {planted}"
    )
