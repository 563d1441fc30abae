"""Cross-validation: which pictures train, choose and are scored in each fold, and what a small run writes."""

import shutil

import numpy as np
import pytest
from conftest import SMALL, make_project
from sklearn.metrics import roc_auc_score

import crossvalidate
from happysad.common.errors import UserError
from happysad.common.files import read_json
from happysad.common.tables import read_csv


def test_folds_are_stratified_and_keep_groups_together():
    labels, groups = np.array([0] * 40 + [1] * 60), np.arange(100) // 2
    folds = crossvalidate.assign_folds(labels, groups, 4, seed=1)
    assert np.bincount(folds[labels == 0]).tolist() == [10] * 4
    assert np.abs(np.bincount(folds[labels == 1]) - 15).max() <= 1
    assert all(len(set(folds[groups == group])) == 1 for group in groups)
    assert not np.array_equal(folds, crossvalidate.assign_folds(labels, groups, 4, seed=2))


def test_more_folds_than_groups_of_a_class_are_refused():
    labels = np.array([0] * 8 + [1] * 60)
    groups = np.arange(68) // 2
    for folds in (2, 5):
        with pytest.raises(UserError, match=r"--folds must lie between 3 and 4"):
            crossvalidate.assign_folds(labels, groups, folds, seed=1)
    assert set(crossvalidate.assign_folds(labels, groups, 4, seed=1)) == {0, 1, 2, 3}


def test_each_picture_is_scored_by_a_model_that_never_saw_it(finished, tmp_path, monkeypatch):
    root = make_project(tmp_path, **SMALL | {"train": {"epochs": 1}})
    for name in ("train", "validation"):  # and not test: it stays closed
        shutil.copytree(finished / "data/prepared" / name, root / "data/prepared" / name)
    shutil.copy(finished / "data/prepared/manifest.csv", root / "data/prepared/manifest.csv")
    seen, fit, predict = [], crossvalidate.fit, crossvalidate.predict

    def pictures(array: np.ndarray) -> set[bytes]:
        return {picture.tobytes() for picture in array}

    def recording_fit(train, validation, *rest):
        seen.append([pictures(train.pictures), pictures(validation.pictures)])
        return fit(train, validation, *rest)

    def recording_predict(model, array):
        seen[-1].append(pictures(array))
        return predict(model, array)

    monkeypatch.setattr(crossvalidate, "fit", recording_fit)
    monkeypatch.setattr(crossvalidate, "predict", recording_predict)
    crossvalidate.main(root, folds=3)
    everything = set.union(*seen[0])
    for train, validation, scored in seen:
        assert train | validation | scored == everything
        assert len(train) + len(validation) + len(scored) == len(everything)  # disjoint
    assert sum(len(scored) for *_, scored in seen) == len(everything)

    rows = read_csv(root / "metrics/crossvalidation.csv")
    manifest = read_csv(root / "data/prepared/manifest.csv")
    kept = manifest[manifest["split"].isin(["train", "validation"])].sort_values("path")
    columns = ["path", "label", "split", "group"]
    assert rows[columns].equals(kept[columns].reset_index(drop=True))
    figures = read_json(root / "metrics/crossvalidation.json")
    assert figures["accuracy"] == pytest.approx((rows["label"] == rows["predicted"]).mean(), abs=1e-5)
    assert figures["roc_auc"] == pytest.approx(
        roc_auc_score(rows["label"] == "happy", rows["score"]), abs=1e-5
    )
