"""Cross-validation: how pictures are assigned to folds, and what a small run writes."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import PROJECT, SMALL, make_project
from happysad.training.cross_validation import assign_folds
from sklearn import metrics as judge

import crossvalidate
from happysad.common.errors import UserError
from happysad.common.files import read_json
from happysad.common.params import load
from happysad.common.tables import read_csv


def test_folds_are_stratified_and_shuffled():
    labels = np.array([0] * 40 + [1] * 60)
    ids = [f"{i:016x}" for i in range(100)]
    params = replace(load(PROJECT).crossvalidate, folds=4)
    folds = assign_folds(labels, ids, params)
    assert np.bincount(folds[labels == 0]).tolist() == [0, 10, 10, 10, 10]
    assert np.bincount(folds[labels == 1]).tolist() == [0, 15, 15, 15, 15]
    order = np.random.default_rng(0).permutation(100)  # of the files, which decides nothing
    again = assign_folds(labels[order], [ids[i] for i in order], params)
    assert np.array_equal(again, folds[order])
    assert not np.array_equal(folds, assign_folds(labels, ids, replace(params, seed=2)))


def test_more_folds_than_pictures_of_a_class_are_refused():
    labels, ids = np.array([0] * 4 + [1] * 60), [f"{i}" for i in range(64)]
    params = replace(load(PROJECT).crossvalidate, folds=5)
    with pytest.raises(UserError, match=r"crossvalidate\.folds must be at most 4"):
        assign_folds(labels, ids, params)
    assert set(assign_folds(labels, ids, replace(params, folds=4))) == {1, 2, 3, 4}
    with pytest.raises(UserError, match=r"crossvalidate\.folds must be 3 at the least"):
        assign_folds(labels, ids, replace(params, folds=2))


def test_without_folds_the_stage_is_off(tmp_path):
    crossvalidate.main(make_project(tmp_path))
    assert read_json(tmp_path / "metrics/crossvalidation.json") == {}
    assert read_csv(tmp_path / "metrics/crossvalidation.csv").empty


def test_one_prediction_for_each_picture_of_train_and_validation(finished, tmp_path):
    root = make_project(tmp_path, **SMALL | {"train": {"epochs": 1}, "crossvalidate": {"folds": 3}})
    for name in ("train", "validation"):  # and not test: it stays closed
        shutil.copytree(finished / "data/prepared" / name, root / "data/prepared" / name)
    shutil.copy(finished / "data/prepared/manifest.csv", root / "data/prepared/manifest.csv")
    crossvalidate.main(root)

    rows = read_csv(root / "metrics/crossvalidation.csv")
    manifest = read_csv(root / "data/prepared/manifest.csv")
    kept = manifest[manifest["split"].isin(["train", "validation"])].sort_values("path")
    columns = ["path", "label", "split", "group"]
    assert rows[columns].equals(kept[columns].reset_index(drop=True))
    assert list(rows) == ["path", "label", "split", "fold", "group", "score", "predicted"]
    assert not kept["group"].duplicated().any()  # or copies could lie in two folds

    figures = read_json(root / "metrics/crossvalidation.json")
    labels, right = rows["label"] == "happy", rows["label"] == rows["predicted"]
    assert figures["accuracy"] == pytest.approx(right.mean())
    assert figures["roc_auc"] == pytest.approx(judge.roc_auc_score(labels, rows["score"]))
    assert figures["roc_auc_ci_low"] <= figures["roc_auc"] <= figures["roc_auc_ci_high"]
    fold = rows["fold"] == 2
    assert figures["fold_2"]["n"] == fold.sum()
    assert figures["fold_2"]["accuracy"] == pytest.approx(right[fold].mean())
    assert not (root / "models/crossvalidate").exists()
