"""Cross-validation: which pictures train, choose and are scored in each fold, and which labels come under suspicion."""

import shutil
from hashlib import md5

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL, make_project
from PIL import Image
from sklearn.metrics import roc_auc_score

import crossvalidate
from happysad.common.errors import UserError
from happysad.common.files import read_json
from happysad.common.tables import read_csv
from happysad.evaluation.intervals import wilson


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


def pictures(array: np.ndarray) -> set[bytes]:
    return {picture.tobytes() for picture in array}


def test_each_picture_is_scored_by_a_model_that_never_saw_it(finished, tmp_path, monkeypatch, capsys):
    """The first fold's model serves for all: two more would take time and show nothing new."""
    root = make_project(tmp_path, **SMALL | {"train": {"epochs": 1}})
    for name in ("train", "validation"):  # and not test: it stays closed
        shutil.copytree(finished / "data/prepared" / name, root / "data/prepared" / name)
    shutil.copy(finished / "data/prepared/manifest.csv", root / "data/prepared/manifest.csv")
    (root / "data/generated").symlink_to(finished / "data/generated")
    seen, fits, fit, predict = [], [], crossvalidate.fit, crossvalidate.predict

    def recording_fit(train, validation, *rest):
        seen.append([pictures(train.pictures), pictures(validation.pictures)])
        if not fits:
            fits.append(fit(train, validation, *rest))
        return fits[0]

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
    right = (rows["label"] == rows["predicted"]).to_numpy()
    figures = read_json(root / "metrics/crossvalidation.json")
    assert figures["accuracy"] == pytest.approx(right.mean(), abs=1e-5)
    auc = roc_auc_score(rows["label"] == "happy", rows["score"])
    assert figures["roc_auc"] == pytest.approx(auc, abs=1e-5)

    low, high = wilson(right, rows["group"].to_numpy()).values()
    doubtful = read_csv(root / "metrics/label_errors.csv")
    printed = capsys.readouterr().out
    assert f"accuracy           {right.mean():.3f}  ({low:.3f} to {high:.3f})" in printed
    assert f"{len(doubtful)} of {len(rows)} labels are worth a look" in printed
    found = doubtful.merge(rows, on="path")
    assert len(found) == len(doubtful) > 0
    assert (found["was"] == found["label_y"]).all()
    assert (found["label_x"] != found["was"]).all()  # the file is in the format of corrections.csv
    with Image.open(root / "metrics/label_errors.jpg") as sheet:
        digest = md5((root / "data/prepared/manifest.csv").read_bytes()).hexdigest()
        assert sheet.info["comment"].decode() == digest


def test_suspects():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 2000)
    scores = 1 / (1 + np.exp(-rng.normal(4 * truth - 2, 1.2)))
    wrong = rng.random(2000) < 0.03
    found = crossvalidate.suspects(np.where(wrong, 1 - truth, truth), scores)
    assert wrong[found].mean() > 0.6
    assert wrong[found].sum() > 0.6 * wrong.sum()
    assert wrong[found[:20]].mean() > wrong[found[-20:]].mean()


def test_pictures_without_a_face_come_last():
    rows = pd.DataFrame({"label": ["happy"] * 5 + ["sad"] * 5, "path": [f"{i}.jpg" for i in range(10)]})
    rows["score"] = [0.02, 0.8, 0.05, 0.9, 0.9, 0.1, 0.2, 0.1, 0.1, 0.96]
    rows["faces"] = [0, 0, 1, 0, 0, 0, 0, 0, 0, 2]
    assert crossvalidate.label_errors(rows).to_dict("records") == [
        {"path": "9.jpg", "label": "happy", "was": "sad", "score": 0.96, "faces": 2},
        {"path": "2.jpg", "label": "sad", "was": "happy", "score": 0.05, "faces": 1},
        {"path": "0.jpg", "label": "sad", "was": "happy", "score": 0.02, "faces": 0},
    ]
    certain = rows.assign(score=np.where(rows["label"] == "happy", 0.9, 0.1))
    assert crossvalidate.label_errors(certain).empty
