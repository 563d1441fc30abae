"""The built-in data set: every file is what generated_truth.csv says, and every run writes the same bytes."""

import hashlib
from collections import Counter
from dataclasses import asdict, fields, replace
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
from happysad.drawing.sampling import Face, sample_face
from happysad.drawing.shape import cloud
from happysad.training import baseline

SETTINGS = {"pictures_per_class": 20, "size": 48, "wrong_labels": 0.1}
LOOKS = {"min_expression": 0.6, "roughness": 0.2, "tightness": 0.9, "pose": 0.4}


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
    """Rows with a given fault, each with its file and, for a copy, the file of its original."""

    def pick(fault: str) -> list[tuple[dict, Path, Path]]:
        folder = root / "data/generated"
        picked = [(row, folder / row["path"], folder / row["of"]) for row in rows if row["fault"] == fault]
        assert len(picked) >= 2
        return picked

    return pick


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def pixels(path: Path) -> np.ndarray:
    """Grey levels at 24 x 24, where noise and JPEG blocks no longer matter."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize((24, 24)), float)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def test_truth_lists_exactly_the_files_on_disk(root, rows):
    assert [row["path"] for row in rows] == sorted(digests(root / "data/generated"))
    assert all(row["path"].startswith(row["folder"] + "/") for row in rows)
    assert {path.name for path in (root / "data").glob("generated*")} == {"generated", "generated_truth.csv"}


def test_faults_are_equally_common_in_both_classes(rows):
    happy, sad = (
        Counter(row["fault"] for row in rows if row["folder"] == label) for label in ("happy", "sad")
    )
    assert happy["none"] == sad["none"] == 18
    assert happy["wrong_label"] == sad["wrong_label"] == 2
    alone = {"exact_copy", "exact_copy_other_class", "truncated", "text", "html", "empty", "wrong_extension"}
    assert all(happy[fault] == sad[fault] == 1 for fault in alone | {"tiny", "blank"})
    assert all(happy[fault] + sad[fault] == 2 for fault in generate.CHANGES)


def test_label_and_folder_differ_where_the_fault_says_so(rows):
    for row in rows:
        if row["fault"] in ("text", "html", "empty", "blank"):
            assert row["label"] == ""
        elif row["fault"] in ("wrong_label", "exact_copy_other_class"):
            assert {row["folder"], row["label"]} == set(CLASSES)
        elif row["fault"] not in generate.CHANGES:
            assert row["folder"] == row["label"]
    strayed = [row for row in rows if row["fault"] in generate.CHANGES and row["folder"] != row["label"]]
    assert len(strayed) == 2


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
    same = [row["path"] for row in rows if row["fault"].startswith("exact_copy")]
    different = [path for path in digest if path not in same]
    assert len({digest[path] for path in different}) == len(different) - 1  # the two empty files are the same

    faces = [pixels(root / "data/generated" / row["path"]) for row in rows if row["fault"] == "none"]
    closest = [correlation(a, b) for i, a in enumerate(faces) for b in faces[:i]]
    assert max(closest) < 0.97


def test_faces_have_the_size_of_the_settings_and_the_format_of_their_name(pick):
    for _, path, _ in pick("none") + pick("wrong_label"):
        with Image.open(path) as image:
            image.load()
            assert (image.size, image.mode, image.format) == ((48, 48), "RGB", generate.FORMATS[path.suffix])


@pytest.mark.parametrize("fault", ["exact_copy", "exact_copy_other_class"])
def test_exact_copies_are_byte_for_byte_the_same(pick, fault):
    for _, path, original in pick(fault):
        assert path.read_bytes() == original.read_bytes()
        assert (path.parent == original.parent) == (fault == "exact_copy")


@pytest.mark.parametrize("fault", generate.CHANGES)
def test_near_duplicates_are_changed_as_their_fault_says(pick, fault):
    for _, path, original in pick(fault):
        assert path.read_bytes() != original.read_bytes()
        a, b = pixels(path), pixels(original)
        if fault == "near_duplicate_mirrored":
            assert correlation(a, b) < correlation(a[:, ::-1], b)
            a = a[:, ::-1]
        least = 0.85 if fault == "near_duplicate_brightened" else 0.97  # white cannot get any brighter
        assert correlation(a, b) > least
        assert (a.mean() > 1.05 * b.mean()) == (fault == "near_duplicate_brightened")
        assert Image.open(path).size == ((24, 24) if fault == "near_duplicate_half_size" else (48, 48))


@pytest.mark.parametrize("fault", ["text", "html", "empty"])
def test_files_that_are_not_pictures(pick, fault):
    for _, path, _ in pick(fault):
        assert path.suffix == ".jpg"
        assert path.read_text()[:9].lower() == {"text": "picture i", "html": "<!doctype", "empty": ""}[fault]
        with pytest.raises(UnidentifiedImageError):
            Image.open(path)


def test_truncated_pictures_open_but_do_not_load(pick):
    for _, path, _ in pick("truncated"):
        with Image.open(path) as image, pytest.raises(OSError, match="truncated"):
            image.load()


def test_pictures_with_a_wrong_extension_still_load(pick):
    for _, path, _ in pick("wrong_extension"):
        with Image.open(path) as image:
            image.load()
            assert path.suffix == ".jpg" and image.format in ("PNG", "WEBP")


def test_tiny_and_blank_pictures(pick):
    assert all(Image.open(path).size == (8, 8) for _, path, _ in pick("tiny"))
    assert all(pixels(path).std() < 1 for _, path, _ in pick("blank"))
    assert all(pixels(path).std() > 5 for _, path, _ in pick("none"))


def test_same_settings_same_bytes_in_one_process_or_many(root, tmp_path, monkeypatch):
    make_project(tmp_path, generate=SETTINGS)
    one_by_one = lambda work, items, _: map(work, items)
    monkeypatch.setattr(generate, "map_items", one_by_one)
    generate.main(tmp_path)
    assert digests(tmp_path / "data") == digests(root / "data")


DRAW = """
import sys
import numpy as np
from happysad.drawing.render import render
from happysad.drawing.sampling import sample_face

settings = {"min_expression": 0.6, "roughness": 0, "tightness": 0.9, "pose": 0.4}
face = sample_face("happy", np.random.default_rng(11), **settings)  # in float32 this one differs
sys.stdout.buffer.write(render(face, 512).tobytes())
"""


def test_same_bytes_on_every_processor():
    drawings = on_each_processor(DRAW)
    assert len(drawings[0]) == 512 * 512 * 3
    assert all(drawing == drawings[0] for drawing in drawings)


def test_seed_decides_every_file_name(rows, tmp_path):
    here = generate.plan(load(make_project(tmp_path, generate=SETTINGS)).generate)
    there = generate.plan(load(make_project(tmp_path, generate={**SETTINGS, "seed": 2})).generate)
    assert [row["path"] for row in rows] == sorted(file.path for file in here)
    assert [file.path for file in here] != [file.path for file in there]


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

    monkeypatch.setattr(generate, "map_items", lambda work, items, _: map(work, items))
    generate.main(tmp_path)
    assert not (tmp_path / "data/generated/happy/old.jpg").exists()


def test_only_the_expression_depends_on_the_label():
    """Identity and scene of happy and sad faces have the same means, within five standard errors."""
    n = 500
    looks = {}
    for k, label in enumerate(CLASSES):
        faces = [sample_face(label, np.random.default_rng([k, i]), **LOOKS) for i in range(n)]
        looks[label] = np.array([numbers(face.identity) + numbers(face.scene) for face in faces])
    sad, happy = looks["sad"], looks["happy"]
    error = np.sqrt((sad.var(0) + happy.var(0)) / n)
    assert sad.shape[1] > 60
    assert (abs(sad.mean(0) - happy.mean(0)) < 5 * error + 1e-9).all()


def numbers(record) -> list[float]:
    """All numbers of a record, those of its tuples and arrays too."""
    values = (getattr(record, field.name) for field in fields(record))
    return [float(x) for value in values if not isinstance(value, str) for x in np.ravel(value)]


def test_a_smile_and_a_frown_change_the_mouth_and_nothing_at_the_border():
    """The same person in the same light: what differs between happy and sad lies within the face."""
    differences = []
    for seed in range(12):
        happy, sad = (sample_face(label, np.random.default_rng(seed), **LOOKS) for label in ("happy", "sad"))
        faces = [replace(face.expression, nod=0, hand=0) for face in (happy, sad)]
        pictures = [np.asarray(render(Face(happy.identity, face, happy.scene), 48), float) for face in faces]
        differences.append(abs(pictures[0] - pictures[1]).mean(-1))
    mean = np.mean(differences, 0)
    border = np.concatenate([mean[0], mean[:, 0], mean[:, -1]])
    assert mean[26:38, 16:32].mean() > 10 * border.mean()


def test_border_and_colour_do_not_tell_the_classes_apart():
    """Logistic regression on what the default settings draw, on other pictures than it was fitted to."""
    settings = asdict(load(PROJECT).generate)
    looks = {name: settings[name] for name in LOOKS}
    labels = np.arange(1600) % 2
    pictures = np.stack(
        [
            np.asarray(render(sample_face(CLASSES[label], np.random.default_rng([1, i]), **looks), 32))
            for i, label in enumerate(labels)
        ]
    )
    border = pictures.copy()
    border[:, 4:-4, 4:-4] = 0
    colour = np.broadcast_to(pictures.mean((1, 2), keepdims=True).astype(np.uint8), pictures.shape)
    for name, shown in (("border", border), ("colour", colour)):
        model = baseline.fit(shown[:800], labels[:800])
        auc = roc_auc_score(labels[800:], baseline.scores(model, shown[800:]))
        assert 0.44 < auc < 0.56, name  # three standard errors


@pytest.mark.parametrize("pose", [0.0, 2.0])
@pytest.mark.parametrize("roughness", [0.0, 1.0])
def test_extreme_settings_draw_without_a_numerical_error(pose, roughness):
    settings = {"min_expression": 0.0, "roughness": roughness, "tightness": 1.0, "pose": pose}
    with np.errstate(invalid="raise", divide="raise", over="raise"):
        for seed in range(20):
            face = sample_face(CLASSES[seed % 2], np.random.default_rng(seed), **settings)
            assert render(face, 32).size == (32, 32)


def test_noise_covers_the_largest_picture():
    assert cloud(np.random.default_rng(0), 1024, 0.6).shape == (1024, 1024)
