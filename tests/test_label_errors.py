"""Confident learning finds wrong labels, and little else."""

import numpy as np
import pytest
from conftest import draw_folder, make_project

import label_errors
from happysad.common.errors import UserError
from happysad.common.files import read_csv, write_csv


def test_suspects():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 2000)
    scores = 1 / (1 + np.exp(-rng.normal(4 * truth - 2, 1.2)))
    wrong = rng.random(2000) < 0.03
    found = label_errors.suspects(np.where(wrong, 1 - truth, truth), scores)
    assert wrong[found].mean() > 0.6
    assert wrong[found].sum() > 0.6 * wrong.sum()
    assert wrong[found[:20]].mean() > wrong[found[-20:]].mean()


def test_right_labels_are_left_alone():
    assert len(label_errors.suspects(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9]))) == 0


def test_it_writes_corrections_and_a_sheet(tmp_path):
    draw_folder(tmp_path / "photos/happy", range(5))
    draw_folder(tmp_path / "photos/sad", range(5, 10))
    root = make_project(tmp_path, source="photos")
    with pytest.raises(UserError, match="crossvalidation"):
        label_errors.main(root)
    scores = [0.9, 0.8, 0.05, 0.9, 0.9, 0.1, 0.2, 0.1, 0.1, 0.2]
    rows = [
        {"path": f"{label}/{i}.jpg", "label": label, "score": score}
        for i, (label, score) in enumerate(zip(["happy"] * 5 + ["sad"] * 5, scores, strict=True))
    ]
    write_csv(root / "metrics/crossvalidation.csv", rows)
    label_errors.main(root)
    expected = [{"path": "happy/2.jpg", "label": "sad", "was": "happy", "score": "0.05"}]
    assert read_csv(root / "metrics/label_errors.csv") == expected
    assert (root / "metrics/label_errors.jpg").stat().st_size > 1000
