"""Find labels that are worth a look, from the out-of-fold scores of crossvalidate.

Writes metrics/label_errors.csv, the most doubtful first and pictures without a face last, and metrics/label_errors.jpg.
Look at the pictures, delete the rows of those that are labelled correctly, and append path and label of the others to
the corrections file that params.yaml names.
"""

from hashlib import md5
from pathlib import Path

import numpy as np

from happysad import CLASSES
from happysad.common import images
from happysad.common.cli import run
from happysad.common.errors import UserError
from happysad.common.files import replacing_file
from happysad.common.params import load
from happysad.common.tables import read_csv, write_csv
from happysad.plotting.contact_sheet import sheet

SHOWN = 60  # pictures on the sheet, at most
IDENTITY = ["path", "label", "split", "group"]


def main(root: Path) -> None:
    params = load(root)
    predictions, manifest_file = root / "metrics/crossvalidation.csv", root / "data/prepared/manifest.csv"
    remedy = "run python stages/crossvalidate.py"
    if not predictions.exists():
        raise UserError(f"{predictions} is missing: {remedy}")
    rows, manifest = read_csv(predictions), read_csv(manifest_file)
    trained_on = manifest.loc[manifest["split"].isin(["train", "validation"]), IDENTITY].sort_values("path")
    if rows[IDENTITY].to_numpy().tolist() != trained_on.to_numpy().tolist():
        raise UserError(f"{predictions} is of other pictures or labels than {manifest_file}: {remedy}")

    labels = rows["label"].map(CLASSES.index).to_numpy()
    found = rows.iloc[suspects(labels, rows["score"].to_numpy())]
    other = found["label"].map(dict(zip(CLASSES, CLASSES[::-1], strict=True)))
    table = found[["path", "label", "score"]].rename(columns={"label": "was"})
    table.insert(1, "label", other)
    # A model of faces says little about a picture in which none was found (with crop: whole, none is looked for).
    table["faces"] = manifest.set_index("path")["faces"].loc[table["path"]].to_numpy()
    table = table.sort_values("faces", key=lambda number: number == 0, kind="stable")
    write_csv(root / "metrics/label_errors.csv", table)

    shown = table[:SHOWN]
    source = root / params.source
    pictures = [images.decode(source / path, 128, params.prepare.max_megapixels) for path in shown["path"]]
    captions = [
        f"{row.path}\nlabel {row.was}, happy {row.score:.0%}{', no face' * (row.faces == 0)}"
        for row in shown.itertuples()
    ]
    title = f"Labels worth a look, the most doubtful first: {len(shown)} of {len(table)}"
    page = sheet(pictures, captions, 10, title)
    # By the manifest's hash, report.py tells whether the sheet and the test figures are of the same data.
    comment = md5(manifest_file.read_bytes()).hexdigest()
    with replacing_file(root / "metrics/label_errors.jpg") as partial:
        page.save(partial, "JPEG", quality=85, comment=comment)
    print(
        f"{len(table)} of {len(rows)} labels are worth a look, {(table['faces'] == 0).sum()} of them, at the end, of "
        f"pictures without a face: see metrics/label_errors.jpg and .csv"
    )


def suspects(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Indices of the doubtful ones among ``labels`` (n,), the most doubtful first.

    Confident learning (Northcutt, Jiang and Chuang 2021): the probability of the other class is at least its
    mean over the pictures so labelled, and that of the given class is below its own such mean or the lower.
    """
    own, other = np.where(labels == 1, scores, 1 - scores), np.where(labels == 1, 1 - scores, scores)
    mean = np.array([(1 - scores[labels == 0]).mean(), scores[labels == 1].mean()])
    wrong = (other >= mean[1 - labels]) & ((own < mean[labels]) | (other > own))
    return np.flatnonzero(wrong)[np.argsort(-other[wrong], kind="stable")]


if __name__ == "__main__":
    run(main)
