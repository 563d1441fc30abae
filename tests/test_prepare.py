"""The stage on folders with one thing wrong at a time, and on the built-in set with everything wrong."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import dask
import numpy as np
import pytest
from conftest import PROJECT, draw, draw_folder, make_project
from PIL import Image, ImageColor
from test_duplicates import person
from test_thumbnails import scene

import prepare
from happysad.common import images
from happysad.common.errors import UserError
from happysad.common.files import read_json
from happysad.common.params import load
from happysad.common.tables import read_csv
from happysad.data import faces, summary
from happysad.data.manifest import Picture, find_files
from happysad.drawing.render import render
from happysad.drawing.sampling import sample_face
from happysad.plotting.colours import ORANGE

SHARES = {"test_fraction": 0.25, "validation_fraction": 0.25, "image_size": 32, "crop": "whole"}
FACES = {**SHARES, "crop": "face"}


@pytest.fixture
def project(tmp_path) -> Path:
    """A project with 25 different pictures a class in photos/."""
    draw_folder(tmp_path / "photos/happy", range(25))
    draw_folder(tmp_path / "photos/sad", range(100, 125))
    return make_project(tmp_path, source="photos", prepare=SHARES)


def run(root: Path) -> dict[str, dict]:
    """The manifest by path, after checks that hold for every source."""
    raw = snapshot(root / "photos")
    prepare.main(root)
    assert snapshot(root / "photos") == raw
    rows = manifest(root)
    files = {f.relative_to(root / "photos").as_posix() for f in (root / "photos").rglob("*.*")}
    assert set(rows) == {file for file in files if not file.startswith(".") and "/." not in file}
    prepared = root / "data/prepared"
    stored = {f.relative_to(prepared).as_posix() for f in prepared.rglob("*.png")}
    kept = [row for row in rows.values() if row["status"] == "kept"]
    assert stored == {f"{row['split']}/{row['label']}/{row['id']}.png" for row in kept}
    counts = read_json(root / "metrics/data.json")
    if not counts["scenes_divided"]:
        splits = {(row["group"], row["split"]) for row in kept}
        assert len(splits) == len({group for group, _ in splits}), "a group lies in two splits"
    assert all(row["reason"] for row in rows.values() if row["status"] == "rejected")
    assert (counts["raw"], counts["kept"]) == (len(rows), len(kept))
    assert sum(counts["rejected"].values()) == len(rows) - len(kept)
    return rows


def manifest(root: Path) -> dict[str, dict]:
    return {row["path"]: row for row in read_csv(root / "data/prepared/manifest.csv").to_dict("records")}


def snapshot(folder: Path) -> dict:
    files = [f for f in folder.rglob("*") if f.is_file()]
    return {f: (hashlib.sha256(f.read_bytes()).digest(), f.stat().st_mtime_ns) for f in files}


def contents(root: Path) -> dict[str, bytes]:
    files = [f for folder in ("data/prepared", "metrics") for f in (root / folder).rglob("*") if f.is_file()]
    return {f.relative_to(root).as_posix(): f.read_bytes() for f in files}


def test_clean_folders_give_the_same_bytes_again(project):
    rows = run(project)
    assert {row["status"] for row in rows.values()} == {"kept"}
    assert {row["split"] for row in rows.values()} == {"train", "validation", "test"}
    stored = next(iter((project / "data/prepared/train/happy").glob("*.png")))
    assert Image.open(stored).size == (32, 32)
    pages = {page.stem for page in (project / "metrics/plots/data").iterdir()}
    assert pages == {"near_duplicates", "scenes", "largest_scenes", "rejected", "classes_and_sizes"}
    before = contents(project)
    run(project)
    assert contents(project) == before


def test_copies_and_conflicts(project):
    happy, sad = project / "photos/happy", project / "photos/sad"
    (happy / "copy.jpg").write_bytes((happy / "3.jpg").read_bytes())
    draw(4, 128, 96).save(happy / "large.png")
    draw(5).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(happy / "mirrored.png")
    (sad / "both.jpg").write_bytes((happy / "6.jpg").read_bytes())
    rows = run(project)
    found = {name: (rows[name]["reason"], rows[name]["detail"]) for name in rows}
    assert found["happy/copy.jpg"] == ("exact_duplicate", "of happy/3.jpg")
    assert found["happy/4.jpg"] == ("near_duplicate", "of happy/large.png")  # the larger is kept
    assert found["happy/mirrored.png"] == ("near_duplicate", "of happy/5.jpg")
    assert found["happy/6.jpg"] == ("label_conflict", "looks like sad/both.jpg")
    assert found["sad/both.jpg"] == ("label_conflict", "looks like happy/6.jpg")
    assert read_json(project / "metrics/data.json")["largest_scene"] == 2


def test_odd_files(project):
    make_project(project, source="photos", prepare={**SHARES, "max_megapixels": 0.01})
    happy = project / "photos/happy"
    (happy / "deep/er").mkdir(parents=True)
    draw(50).save(happy / "deep/er/a.b.png")
    draw(51).save(happy / "really a webp.jpg", "WEBP")
    (happy / "empty.jpg").touch()
    (happy / "page.jpg").write_text("<html>")
    (happy / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    draw(52, 15, 40).save(happy / "tiny.png")
    draw(53, 200, 60).save(happy / "large.png")
    Image.new("RGB", (64, 64), (9, 99, 199)).save(happy / "blank.png")
    (happy / "loop.jpg").symlink_to("loop.jpg")
    (happy / "circle.d").symlink_to(".")
    os.mkfifo(happy / "fifo.jpg")
    rows = run(project)
    reasons = {name.removeprefix("happy/"): row["reason"] for name, row in rows.items() if row["reason"]}
    unreadable = ("empty.jpg", "page.jpg", "loop.jpg", "circle.d", "fifo.jpg")
    others = {"tiny.png": "too_small", "large.png": "too_large", "blank.png": "blank"}
    assert reasons == dict.fromkeys(unreadable, "unreadable") | others


def test_corrections_reach_all_copies(project):
    happy, sad = project / "photos/happy", project / "photos/sad"
    for original, copy in ((happy / "1.jpg", happy / "a.jpg"), (sad / "100.jpg", sad / "b.jpg")):
        copy.write_bytes(original.read_bytes())
    (sad / "both.jpg").write_bytes((happy / "6.jpg").read_bytes())
    draw(1, 128, 96).save(happy / "large.png")
    corrections = ["path,label", "happy/1.jpg,sad", "sad/100.jpg,reject", "sad/both.jpg,happy"]
    (project / "data/corrections.csv").write_text("\n".join(corrections))
    rows = run(project)
    assert (rows["happy/1.jpg"]["label"], rows["happy/1.jpg"]["corrected"]) == ("sad", "sad")
    assert {rows[f"happy/{name}"]["label"] for name in ("1.jpg", "a.jpg", "large.png")} == {"sad"}
    assert list((project / "data/prepared").glob(f"*/sad/{rows['happy/large.png']['id']}.png"))
    assert rows["sad/100.jpg"]["reason"] == rows["sad/b.jpg"]["reason"] == "by_correction"
    assert {rows["happy/6.jpg"]["reason"], rows["sad/both.jpg"]["reason"]} == {"", "exact_duplicate"}
    (project / "data/corrections.csv").write_text("path,label\nhappy/a.jpg,sad\nhappy/large.png,reject\n")
    with pytest.raises(UserError, match=r"happy/a\.jpg .* sad and its copy happy/large\.png reject"):
        prepare.main(project)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("path,label\nhappy/1.jpg,angry", "line 2: label must be happy, sad or reject, not 'angry'"),
        ("path,label\nhappy/none.jpg,sad", "line 2: the source folder has no file happy/none.jpg"),
        ("path,label\nhappy/1.jpg", "line 2: must be path,label"),
        ("path,label\n\nhappy/1,5.jpg,sad", "line 3: must be path,label"),
        ("path,label\nhappy/1.jpg,sad\nhappy/1.jpg,sad", "line 3: happy/1.jpg is listed twice"),
        ("happy/1.jpg,sad", "line 1: must be path,label"),
    ],
)
def test_a_correction_that_fits_nothing(project, lines, message):
    (project / "data/corrections.csv").write_text(f"{lines}\n")
    with pytest.raises(UserError, match=r"^data/corrections\.csv, ") as error:
        prepare.main(project)
    assert message in str(error.value)


def test_quality(project):
    happy = project / "photos/happy"
    draw(70).point(lambda level: level // 4).save(happy / "dark.png")
    draw(71, 400, 100).save(happy / "wide.png")
    draw(72).resize((15, 12)).resize((600, 480), Image.Resampling.BICUBIC).save(happy / "blurry.png")
    make_project(project, source="photos", prepare=SHARES, quality={"reject": ["dark"]})
    rows = run(project)
    flags = {name: rows[f"happy/{name}.png"]["flags"].split() for name in ("dark", "wide", "blurry")}
    assert "dark" in flags["dark"]
    assert "odd_aspect_ratio" in flags["wide"]
    assert "blurry" in flags["blurry"]
    assert 0 < float(rows["happy/dark.png"]["dark"]) < 0.35
    assert rows["happy/dark.png"]["reason"] == "dark"
    assert rows["happy/wide.png"]["status"] == "kept"


def portrait(seed: int, size: tuple[int, int], corner: tuple[int, int], pixels: int = 96) -> Image.Image:
    """A drawn face of ``pixels`` with its surroundings at ``corner`` of a picture unlike that of any other ``size``."""
    picture = draw(size[0] * size[1], *size).point(lambda level: level // 4)
    rng = np.random.default_rng(seed)
    face = sample_face("happy", rng, pose=0.4)
    picture.paste(render(face, pixels), corner)
    return picture


@pytest.fixture(scope="module")
def portraits(tmp_path_factory) -> Path:
    """A project with drawn faces, in which prepare has run with crop: face."""
    root = tmp_path_factory.mktemp("portraits")
    happy = root / "photos/happy"
    draw_folder(happy, range(12))
    draw_folder(root / "photos/sad", range(100, 112))
    portrait(6, (300, 200), (40, 30)).save(happy / "one.png")
    two = portrait(2, (360, 200), (20, 20))
    two.paste(portrait(3, (64, 64), (0, 0), 64), (220, 60))
    two.save(happy / "two.png")
    portrait(20, (80, 60), (10, 10), 20).save(happy / "far.png")
    portrait(5, (400, 100), (300, 2)).save(happy / "wide.png")
    portrait(1, (300, 200), (150, 80)).save(happy / "right.png")
    portrait(1, (200, 240), (20, 30)).save(happy / "left.png")
    run(make_project(root, source="photos", prepare=FACES))
    return root


def test_the_model_is_shown_the_largest_face(portraits):
    rows = manifest(portraits)
    one, two, far, none = (rows[f"happy/{name}"] for name in ("one.png", "two.png", "far.png", "1.jpg"))
    assert [row["faces"] for row in (one, two, far, none)] == [1, 2, 1, 0]
    assert [row["flags"] for row in (one, two, none)] == ["", "several_faces", "no_face"]
    assert (far["reason"], far["detail"]) == ("too_small", "the face is less than 16 pixels wide or high")
    assert np.isnan([none["face_left"], none["face_score"]]).all()
    for name, row in (("one.png", one), ("two.png", two), ("1.jpg", none)):
        shown, found = faces.view(Image.open(portraits / "photos/happy" / name), "face", 1.1)
        if found:
            assert list(found[0]) == [row[f"face_{name}"] for name in faces.Face._fields]
        stored = Image.open(portraits / f"data/prepared/{row['split']}/happy/{row['id']}.png")
        assert np.array_equal(stored, images.squash(shown, 32))
    assert read_json(portraits / "metrics/data.json")["flagged"]["several_faces"] == 1
    assert (portraits / "metrics/plots/data/faces.jpg").exists()


def test_quality_is_that_of_what_the_model_is_shown(portraits):
    assert manifest(portraits)["happy/wide.png"]["odd_aspect_ratio"] == 1


def test_one_face_in_two_pictures_ties_them(portraits):
    left, right = (manifest(portraits)[f"happy/{name}.png"] for name in ("left", "right"))
    assert left["status"] == right["status"] == "kept"
    assert left["group"] == right["group"]
    page = np.asarray(Image.open(portraits / "metrics/plots/data/scenes.jpg"), int)
    framed = np.abs(page - ImageColor.getrgb(ORANGE)).max(axis=2) < 40
    assert framed.sum() > 2 * 4 * 20  # a frame in each picture


def test_a_part_of_a_picture_never_lies_in_another_split(project):
    for seed in range(5):
        whole = draw(1000 + seed, 480, 320)
        whole.paste(scene(seed, size=(480, 320)))
        parts = [whole, whole.crop((0, 0, 320, 320)), whole.crop((144, 0, 480, 320))]
        parts += [parts[2].crop((k, k, 300 + k, 300)) for k in range(0, 20, 4)]
        for k, picture in enumerate(parts):
            picture.save(project / f"photos/happy/{seed} part {k}.png")
    rows = run(project)
    for seed in range(5):
        own = [row for name, row in rows.items() if name.startswith(f"happy/{seed} part")]
        assert len({row["split"] for row in own if row["status"] == "kept"}) == 1


def test_one_person_before_one_camera_is_divided_and_it_is_told(tmp_path, capsys):
    for label in ("happy", "sad"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for k in range(20):
            person(100 + k, label == "happy").save(tmp_path / f"photos/{label}/frame{k}.png")
    rows = run(make_project(tmp_path, source="photos", prepare=SHARES))
    assert not any(row["reason"] == "label_conflict" for row in rows.values())
    kept = [(row["split"], row["label"]) for row in rows.values() if row["status"] == "kept"]
    assert set(kept) == set(product(("train", "validation", "test"), ("happy", "sad")))
    assert read_json(tmp_path / "metrics/data.json")["notes"] == [summary.DIVIDED]
    assert summary.DIVIDED in capsys.readouterr().out
    test = [int(name[11:-4]) for name, row in rows.items() if row["split"] == "test" and name[:5] == "happy"]
    assert max(test) < 10  # neighbours


def test_what_is_left_of_a_class_is_told_with_the_reason_and_the_evidence(project):
    for file in (project / "photos/sad").iterdir():
        file.write_bytes((project / f"photos/happy/{int(file.stem) - 100}.jpg").read_bytes())
    with pytest.raises(UserError, match=r"25 of 25 are label_conflict, such as sad/100\.jpg: looks like "):
        prepare.main(project)
    evidence = project / prepare.FAILED
    assert set(read_csv(evidence / "manifest.csv")["reason"]) == {"label_conflict"}
    assert (evidence / "rejected.jpg").exists()
    assert not (project / "data/prepared").exists()


def test_rejecting_by_faces_that_are_not_looked_for(project):
    make_project(project, source="photos", prepare=SHARES, quality={"reject": ["no_face"]})
    with pytest.raises(UserError, match=r"quality\.reject: .* need prepare\.crop: face"):
        prepare.main(project)


def test_a_dask_cluster_gives_the_same_though_a_worker_dies(project, monkeypatch):
    """A real scheduler and two worker processes, one of which is killed while it works."""
    for seed in range(500, 600):
        draw(seed, 300, 200).save(project / f"photos/happy/{seed}.jpg")
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "stages"), "OMP_NUM_THREADS": "1"}
    command_line = Path(sys.executable).with_name("dask")
    scheduler_file = project / "scheduler.json"
    started = []

    def start(*command) -> subprocess.Popen:
        words = [command_line, *command, "--scheduler-file", scheduler_file]
        started.append(
            subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
        )
        return started[-1]

    try:
        start("scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0")
        while not scheduler_file.exists():
            time.sleep(0.05)
        workers = [start("worker", "--nthreads", "1", "--no-dashboard", "--no-nanny") for _ in range(2)]
        address = read_json(scheduler_file)["address"]
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
        threading.Thread(target=kill_at_work, args=(workers[0], project)).start()
        prepare.main(project)
        assert workers[0].wait(10) == -signal.SIGKILL
        assert workers[1].poll() is None
    finally:
        for process in started:
            process.kill()
            process.wait()
    found = contents(project)
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS")
    prepare.main(project)
    assert contents(project) == found


def kill_at_work(worker: subprocess.Popen, project: Path) -> None:
    while not any((project / "data").glob("prepared.partial/*.png")):
        time.sleep(0.01)
    worker.kill()


def test_no_scheduler_is_one_line(project, monkeypatch):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:9")
    patience = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
    with patience, pytest.raises(OSError, match=r"127\.0\.0\.1:9"):
        prepare.main(project)


def test_growing_never_moves_a_picture(project):
    before = run(project)
    draw_folder(project / "photos/happy/more", range(200, 240))
    draw_folder(project / "photos/sad/more", range(300, 340))
    after = run(project)
    assert all(after[name]["split"] == row["split"] for name, row in before.items())


def test_neither_name_nor_last_bits_nor_lossless_reencoding_move_a_picture(tmp_path):
    params = load(PROJECT)
    params = replace(params, prepare=replace(params.prepare, crop="whole"))

    def decoded(name: str) -> Picture:
        picture = Picture(name, "happy", "")
        prepare.decode(picture, tmp_path, tmp_path, params)
        return picture

    for seed in range(20):
        draw(seed).save(tmp_path / "original.jpg", comment=f"number {seed}")
        original = decoded("original.jpg")
        pixels = np.array(Image.open(tmp_path / "original.jpg"))
        Image.fromarray(pixels).save(tmp_path / "lossless.png")
        lossless = decoded("lossless.png")
        assert (lossless.id, lossless.position) == (original.id, original.position)
        pixels[seed, seed] ^= 1
        Image.fromarray(pixels).save(tmp_path / "last bits.png")
        changed = decoded("last bits.png")
        assert changed.id != original.id
        assert changed.position == original.position


def test_ready_made_splits(tmp_path):
    for split, start in {"train": 0, "validation": 400}.items():
        draw_folder(tmp_path / "photos" / split / "happy", range(start, start + 24))
        draw_folder(tmp_path / "photos" / split / "sad", range(start + 100, start + 124))
    copy = tmp_path / "photos/train/happy/copy of validation.jpg"
    copy.write_bytes((tmp_path / "photos/validation/happy/400.jpg").read_bytes())
    rows = run(make_project(tmp_path, source="photos", prepare=SHARES))
    assert rows["train/happy/copy of validation.jpg"]["reason"] == "exact_duplicate"
    splits = {(row["source_split"], row["split"]) for row in rows.values() if row["status"] == "kept"}
    assert splits == {("train", "train"), ("train", "test"), ("validation", "validation")}


@pytest.mark.parametrize("name", ["val", "Valid", "dev", "VALIDATION"])
def test_other_names_of_folders(tmp_path, name):
    meanings = {"Train": "train", name: "validation", "TEST": "test"}
    for split, label in product(meanings, ("Happy", "SAD")):
        (tmp_path / "photos" / split / label).mkdir(parents=True)
        for k in range(12):
            (tmp_path / f"photos/{split}/{label}/{k}.jpg").touch()
    pictures = find_files(tmp_path, "photos")
    assert Counter((p.path.split("/")[0], p.source_split, p.label) for p in pictures) == {
        (folder, split, label): 12 for folder, split in meanings.items() for label in ("happy", "sad")
    }


def test_files_that_are_not_used_are_told(project, capsys):
    draw(1).save(project / "photos/loose.jpg")
    for folder in ("__MACOSX", "@eaDir", "happy/@eaDir"):
        (project / "photos" / folder).mkdir()
        draw(2).save(project / "photos" / folder / "2.jpg")
    (project / "photos/sad/Thumbs.db").touch()
    prepare.main(project)
    printed = capsys.readouterr().out
    assert printed.count("1 files outside the class folders are not used, such as loose.jpg") == 1
    assert printed.count("photos: skipped what other programs left: @eaDir, Thumbs.db, __MACOSX") == 1
    assert len(manifest(project)) == 50


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda photos: (photos / "sad").rename(photos / "melancholic"), "photos holds melancholic/: "),
        (lambda photos: (photos / "train").mkdir(), "photos holds happy/, sad/: "),
        (lambda photos: photos.rename(photos.parent / "elsewhere"), "source: photos is not a folder"),
        (lambda photos: [f.unlink() for f in list((photos / "sad").iterdir())[11:]], "holds 11 sad files"),
        (
            lambda photos: [f.write_text("x") for f in photos.rglob("*.jpg")],
            "25 of 25 are unreadable, such as sad/100.jpg: not in a known picture format",
        ),
        (
            lambda photos: [shutil.rmtree(photos / "happy"), (photos / "sad").rename(photos / "val")],
            "val/ but no train/",
        ),
    ],
)
def test_a_source_that_cannot_be_used(project, spoil, message):
    draw_folder(project / "data/prepared/train/happy", range(1))
    before = contents(project)
    spoil(project / "photos")
    with pytest.raises(UserError, match=r"^[^\n]+$") as error:
        prepare.main(project)
    assert message in str(error.value)
    assert contents(project) == before, "an error must not touch what a good run left"
    assert not (project / "data/prepared.partial").exists()


def test_leak_of_a_random_split():
    params = replace(load(PROJECT).prepare, validation_fraction=0.2, test_fraction=0.3)
    sizes = [1, 1, 2, 3, 5]
    groups = np.repeat(np.eye(5, dtype=int), sizes, axis=0)  # (pictures, groups)
    splits = np.random.default_rng(0).choice(3, (20_000, len(groups)), p=[0.5, 0.2, 0.3])
    tested = splits == 2
    in_train = ((splits == 0) @ groups > 0) @ groups.T > 0  # has a copy there
    assert summary.random_split_leak(sizes, params) == pytest.approx(
        (tested & in_train).sum() / tested.sum(), abs=0.01
    )


def test_copies_between_the_splits_of_a_source_are_counted_and_told(tmp_path, capsys):
    folders = product(("train", "val", "test"), ("happy", "sad"))
    for start, (split, label) in zip(range(0, 600, 100), folders, strict=True):
        draw_folder(tmp_path / "photos" / split / label, range(start, start + 12))
    for name in ("a", "b"):
        draw(0).resize((80, 60)).save(tmp_path / f"photos/test/happy/{name}.jpg")
    draw(100).save(tmp_path / "photos/val/sad/a.png")
    run(make_project(tmp_path, source="photos", prepare=SHARES))
    leaked = read_json(tmp_path / "metrics/data.json")["copies_between_source_splits"]
    assert leaked == {"validation": 1, "test": 2}
    printed = capsys.readouterr().out
    assert "2 of the source's 26 test pictures have a copy in its train split" in printed
