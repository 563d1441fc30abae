"""Confident learning finds wrong labels, and little else."""

from hashlib import md5

import numpy as np
import pandas as pd
import pytest
from conftest import draw_folder, make_project
from PIL import Image

import label_errors
from happysad.common.errors import UserError
from happysad.common.tables import read_csv, write_csv


def test_suspects():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 2000)
    scores = 1 / (1 + np.exp(-rng.normal(4 * truth - 2, 1.2)))
    wrong = rng.random(2000) < 0.03
    found = label_errors.suspects(np.where(wrong, 1 - truth, truth), scores)
    assert wrong[found].mean() > 0.6
    assert wrong[found].sum() > 0.6 * wrong.sum()
    assert wrong[found[:20]].mean() > wrong[found[-20:]].mean()


@pytest.fixture
def project(tmp_path):
    """Ten photos, and out-of-fold scores of which three contradict the label."""
    draw_folder(tmp_path / "photos/happy", range(5))
    draw_folder(tmp_path / "photos/sad", range(5, 10))
    root = make_project(tmp_path, source="photos")
    rows = pd.DataFrame({"label": ["happy"] * 5 + ["sad"] * 5, "split": ["train", "validation"] * 5})
    rows["path"] = [f"{label}/{i}.jpg" for i, label in enumerate(rows["label"])]
    rows["group"] = [f"{i}" for i in range(10)]
    faces = {"happy/2.jpg": 1, "sad/9.jpg": 2}  # and none in the others
    test = pd.DataFrame([{"path": "sad/test.jpg", "label": "sad", "split": "test", "group": "test"}])
    manifest = pd.concat([test, rows])
    manifest["faces"] = manifest["path"].map(faces).fillna(0).astype(int)
    write_csv(root / "data/prepared/manifest.csv", manifest)
    rows["score"] = [0.02, 0.8, 0.05, 0.9, 0.9, 0.1, 0.2, 0.1, 0.1, 0.96]
    write_csv(root / "metrics/crossvalidation.csv", rows)
    return root


def test_it_writes_corrections_and_a_sheet_pictures_without_a_face_last(project, capsys):
    label_errors.main(project)
    assert (
        "3 of 10 labels are worth a look, 1 of them, at the end, of pictures without"
        in capsys.readouterr().out
    )
    found = read_csv(project / "metrics/label_errors.csv")
    assert found.to_dict("records") == [
        {"path": "sad/9.jpg", "label": "happy", "was": "sad", "score": 0.96, "faces": 2},
        {"path": "happy/2.jpg", "label": "sad", "was": "happy", "score": 0.05, "faces": 1},
        {"path": "happy/0.jpg", "label": "sad", "was": "happy", "score": 0.02, "faces": 0},
    ]
    manifest = (project / "data/prepared/manifest.csv").read_bytes()
    with Image.open(project / "metrics/label_errors.jpg") as sheet:
        assert sheet.width > 128
        assert sheet.info["comment"].decode() == md5(manifest).hexdigest()


def test_nothing_found_leaves_an_empty_list_and_no_older_one(project):
    label_errors.main(project)
    rows = read_csv(project / "metrics/crossvalidation.csv")
    rows["score"] = np.where(rows["label"] == "happy", 0.9, 0.1)
    write_csv(project / "metrics/crossvalidation.csv", rows)
    label_errors.main(project)
    assert read_csv(project / "metrics/label_errors.csv").empty


@pytest.mark.parametrize("column", ["path", "label"])
def test_scores_of_other_data_are_refused(project, column):
    rows = read_csv(project / "metrics/crossvalidation.csv")
    rows.loc[0, column] = "sad"
    write_csv(project / "metrics/crossvalidation.csv", rows)
    with pytest.raises(UserError, match="of other pictures or labels"):
        label_errors.main(project)
    (project / "metrics/crossvalidation.csv").unlink()
    with pytest.raises(
        UserError, match=r"crossvalidation\.csv is missing: run python stages/crossvalidate\.py"
    ):
        label_errors.main(project)
