"""The built-in data set: every file is what generated_truth.csv says, and every run writes the same bytes."""

import hashlib
import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT, make_project, on_each_processor
from PIL import Image, UnidentifiedImageError
from sklearn.metrics import roc_auc_score

import generate
from happysad import CLASSES
from happysad.common.params import load
from happysad.common.tables import read_csv
from happysad.drawing.render import render
from happysad.drawing.sampling import sample_face
from happysad.training import baseline

SETTINGS = {"pictures_per_class": 20, "size": 48, "wrong_labels": 0.1}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = make_project(tmp_path_factory.mktemp("generated"), generate=SETTINGS)
    generate.main(root)
    return root


@pytest.fixture(scope="module")
def rows(root) -> list[dict]:
    return read_csv(root / "data/generated_truth.csv").to_dict("records")


@pytest.fixture
def pick(root, rows):
    """The files with a given fault, each with its original, if it is a copy."""
    folder = root / "data/generated"
    return lambda fault: [(folder / row["path"], folder / row["of"]) for row in rows if row["fault"] == fault]


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def pixels(path: Path) -> np.ndarray:
    """Grey levels at 24 x 24, where noise and JPEG blocks no longer matter."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize((24, 24)), float)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def one_by_one(work, items, _):
    return map(work, items)


def test_truth_lists_exactly_the_files_on_disk(root, rows):
    assert [row["path"] for row in rows] == sorted(digests(root / "data/generated"))
    assert all(row["path"].startswith(row["folder"] + "/") for row in rows)
    assert {path.name for path in (root / "data").glob("generated*")} == {"generated", "generated_truth.csv"}


def test_every_fault_is_equally_common_in_both_classes(rows):
    count = Counter((row["fault"], row["folder"], row["label"]) for row in rows)
    for label, other in (CLASSES, CLASSES[::-1]):
        assert count.pop(("none", label, label)) == 18
        assert count.pop(("wrong_label", label, other)) == 2
        assert count.pop(("exact_copy_other_class", other, label)) == 1
        for fault in ("exact_copy", "truncated", "wrong_extension", "tiny"):
            assert count.pop((fault, label, label)) == 1
        for fault in ("text", "html", "empty", "blank"):
            assert count.pop((fault, label, "")) == 1
    near = list(count.elements())
    assert Counter(fault for fault, _, _ in near) == dict.fromkeys(generate.CHANGES, 2)
    assert {label for _, _, label in near} == set(CLASSES)
    assert sum(folder != label for _, folder, label in near) == 2


def test_originals_are_clean_faces_of_the_same_label_copied_once(rows):
    by_path = {row["path"]: row for row in rows}
    copies = [row for row in rows if row["of"]]
    assert {row["fault"] for row in copies} == {"exact_copy", "exact_copy_other_class", *generate.CHANGES}
    assert len({row["of"] for row in copies}) == len(copies)
    for row in copies:
        original = by_path[row["of"]]
        assert original["fault"] == "none" and original["label"] == row["label"]


def test_names_are_numbers_in_random_order(rows):
    number = {row["path"]: int(Path(row["path"]).stem.removeprefix("IMG_")) for row in rows}
    assert sorted(number.values()) == list(range(1, len(rows) + 1))
    for label in CLASSES:
        mine = [number[row["path"]] for row in rows if row["folder"] == label]
        assert min(mine) < len(rows) / 4 and max(mine) > 3 * len(rows) / 4


def test_only_copies_are_alike(root, rows):
    digest = digests(root / "data/generated")
    exact = {row["path"]: row["of"] for row in rows if row["fault"].startswith("exact_copy")}
    assert all(digest[path] == digest[original] for path, original in exact.items())
    assert len(set(digest.values())) == len(digest) - len(exact) - 1  # the two empty files are the same

    faces = [pixels(root / "data/generated" / row["path"]) for row in rows if row["fault"] == "none"]
    closest = [correlation(a, b) for i, a in enumerate(faces) for b in faces[:i]]
    assert max(closest) < 0.97


def test_faces_have_the_size_of_the_settings_and_the_format_of_their_name(pick):
    for path, _ in pick("none") + pick("wrong_label"):
        with Image.open(path) as image:
            image.load()
            assert (image.size, image.mode, image.format) == ((48, 48), "RGB", generate.FORMATS[path.suffix])


@pytest.mark.parametrize("fault", generate.CHANGES)
def test_near_duplicates_are_changed_as_their_fault_says(pick, fault):
    for path, original in pick(fault):
        assert path.read_bytes() != original.read_bytes()
        a, b = pixels(path), pixels(original)
        if fault == "near_duplicate_mirrored":
            assert correlation(a, b) < correlation(a[:, ::-1], b)
            a = a[:, ::-1]
        least = 0.85 if fault == "near_duplicate_brightened" else 0.97  # white cannot get any brighter
        assert correlation(a, b) > least
        assert (a.mean() > 1.05 * b.mean()) == (fault == "near_duplicate_brightened")
        assert Image.open(path).size == ((24, 24) if fault == "near_duplicate_half_size" else (48, 48))


def test_broken_files_are_broken_as_their_fault_says(pick):
    for path, _ in pick("text") + pick("html") + pick("empty"):
        with pytest.raises(UnidentifiedImageError):
            Image.open(path)
    for path, _ in pick("truncated"):
        with Image.open(path) as image, pytest.raises(OSError, match="truncated"):
            image.load()
    for path, _ in pick("wrong_extension"):
        assert path.suffix == ".jpg" and Image.open(path).format in ("PNG", "WEBP")
    assert all(Image.open(path).size == (8, 8) for path, _ in pick("tiny"))
    assert all(pixels(path).std() < 1 for path, _ in pick("blank"))
    assert all(pixels(path).std() > 5 for path, _ in pick("none"))


def test_same_settings_same_bytes_in_one_process_or_many(root, tmp_path, monkeypatch):
    make_project(tmp_path, generate=SETTINGS)
    monkeypatch.setattr(generate, "map_items", one_by_one)
    generate.main(tmp_path)
    assert digests(tmp_path / "data") == digests(root / "data")


def test_another_seed_gives_other_names_and_faces(root):
    settings = load(root).generate
    [here, *_], [there, *_] = (generate.plan(replace(settings, seed=seed)) for seed in (1, 2))
    assert here.path != there.path
    assert generate.draw(settings, here) != generate.draw(replace(settings, seed=2), here)


DRAW = """
import sys
import numpy as np
from happysad.drawing.render import render
from happysad.drawing.sampling import sample_face

face = sample_face("happy", np.random.default_rng(11), pose=0.4)  # in float32 this one differs
sys.stdout.buffer.write(render(face, 512).tobytes())
"""


def test_same_bytes_on_every_processor():
    drawings = on_each_processor(DRAW)
    assert len(drawings[0]) == 512 * 512 * 3
    assert all(drawing == drawings[0] for drawing in drawings)


def test_interrupted_run_changes_nothing_and_a_new_one_leaves_nothing_behind(tmp_path, monkeypatch):
    make_project(tmp_path, generate=SETTINGS)
    (tmp_path / "data/generated/happy").mkdir(parents=True)
    (tmp_path / "data/generated/happy/old.jpg").write_bytes(b"old")
    before = digests(tmp_path)

    def interrupted(work, items, _):
        yield from map(work, items[:3])
        raise KeyboardInterrupt

    monkeypatch.setattr(generate, "map_items", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generate.main(tmp_path)
    assert digests(tmp_path) == before

    monkeypatch.setattr(generate, "map_items", one_by_one)
    generate.main(tmp_path)
    assert not (tmp_path / "data/generated/happy/old.jpg").exists()


def test_only_the_expression_depends_on_the_label():
    for seed in range(50):
        happy, sad = (sample_face(label, np.random.default_rng(seed), pose=0.6) for label in CLASSES[::-1])
        assert pickle.dumps((happy.identity, happy.scene)) == pickle.dumps((sad.identity, sad.scene))
        assert happy.expression.au12 > 0.1 > sad.expression.au12


def test_nothing_but_the_face_tells_the_classes_apart():
    """Logistic regression on what the default settings draw, on other pictures than it was fitted to."""
    labels = np.arange(1600) % 2
    pose = load(PROJECT).generate.pose
    drawn = [
        render(sample_face(CLASSES[label], np.random.default_rng([1, i]), pose), 32)
        for i, label in enumerate(labels)
    ]
    sizes = [len(generate.encoded(picture, ".jpg", quality=80)) for picture in drawn]
    pictures = np.stack(drawn)
    border = pictures.copy()
    border[:, 4:-4, 4:-4] = 0
    colour = np.broadcast_to(pictures.mean((1, 2), keepdims=True).astype(np.uint8), pictures.shape)
    for name, shown in (("border", border), ("colour", colour)):
        model = baseline.fit(shown[:800], labels[:800])
        auc = roc_auc_score(labels[800:], baseline.scores(model, shown[800:]))
        assert 0.44 < auc < 0.56, name  # three standard errors
    assert 0.45 < roc_auc_score(labels, sizes) < 0.55


@pytest.mark.parametrize("pose", [0.0, 2.0])
def test_extreme_poses_draw_without_a_numerical_error(pose):
    with np.errstate(invalid="raise", divide="raise", over="raise"):
        for seed in range(30):
            face = sample_face(CLASSES[seed % 2], np.random.default_rng(seed), pose)
            assert render(face, 32).size == (32, 32)
