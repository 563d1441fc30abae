"""Cross-validation: how pictures are dealt to folds, and what a small run leaves."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import PROJECT, SMALL, make_project

import crossvalidate
from happysad.common.files import read_csv, read_json
from happysad.common.params import load
from happysad.evaluation import metrics


def test_groups_stay_whole_and_classes_even():
    labels = np.array([0] * 40 + [1] * 60)
    groups = np.array([f"sad {i // 2}" for i in range(40)] + [f"happy {i // 3}" for i in range(60)])
    params = replace(load(PROJECT).crossvalidate, folds=4)
    folds = crossvalidate.deal(labels, groups, params)
    assert set(folds) == {1, 2, 3, 4}
    assert all(len(set(folds[groups == group])) == 1 for group in groups)
    assert np.bincount(folds[labels == 0]).tolist() == [0, 10, 10, 10, 10]
    assert np.bincount(folds[labels == 1]).tolist() == [0, 15, 15, 15, 15]
    assert not np.array_equal(folds, crossvalidate.deal(labels, groups, replace(params, seed=2)))


def test_each_picture_of_train_and_validation_is_answered_once(finished, tmp_path):
    root = make_project(tmp_path, **SMALL | {"train": {"epochs": 1}, "crossvalidate": {"folds": 3}})
    for name in ("train", "validation"):  # and not test: it stays closed
        shutil.copytree(finished / "data/prepared" / name, root / "data/prepared" / name)
    shutil.copy(finished / "data/prepared/manifest.csv", root / "data/prepared/manifest.csv")
    crossvalidate.main(root)

    rows = read_csv(root / "metrics/crossvalidation.csv")
    kept = [
        row
        for row in read_csv(root / "data/prepared/manifest.csv")
        if row["split"] in ("train", "validation")
    ]
    assert [row["path"] for row in rows] == sorted(row["path"] for row in kept)
    assert list(rows[0]) == ["path", "label", "split", "fold", "group", "score", "predicted"]

    figures = read_json(root / "metrics/crossvalidation.json")
    labels = np.array([row["label"] == "happy" for row in rows], int)
    right = np.array([row["label"] == row["predicted"] for row in rows])
    scores = np.array([float(row["score"]) for row in rows])
    assert figures["accuracy"] == pytest.approx(right.mean())
    assert figures["roc_auc"] == pytest.approx(metrics.roc_auc(labels, scores))
    assert figures["roc_auc_ci_low"] <= figures["roc_auc"] <= figures["roc_auc_ci_high"]
    fold = np.array([row["fold"] == "2" for row in rows])
    assert figures["fold_2"]["n"] == fold.sum()
    assert figures["fold_2"]["accuracy"] == pytest.approx(right[fold].mean())
    assert not (root / "models/crossvalidate").exists()
