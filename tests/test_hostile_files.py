"""Broken and malicious files: a row for each, in bounded time and memory, and nothing lost."""

import faulthandler
import importlib.util
import io
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT, draw, draw_folder, make_project
from PIL import Image

from happysad.common import images
from happysad.common.parallel import Failed, Limit, map_items
from happysad.common.tables import read_csv

spec = importlib.util.spec_from_file_location("hostile_files", PROJECT / "benchmarks/hostile_files.py")
hostile_files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hostile_files)
STRIP = hostile_files.encoded(hostile_files.picture(0, 700, 1), "PNG")  # ORB fails on it
LIMIT = Limit(seconds=0.3, memory=2**28)


def test_a_row_for_each_broken_file_and_silence(tmp_path):
    draw_folder(tmp_path / "photos/happy", range(15))
    draw_folder(tmp_path / "photos/sad", range(100, 115))
    broken = dict(hostile_files.mutations(seed=1, n=150)) | {"strip.png": STRIP}
    for name, content in broken.items():
        (tmp_path / "photos/happy" / name).write_bytes(content)
    root = make_project(tmp_path, source="photos", prepare={"image_size": 32})
    command = [sys.executable, PROJECT / "stages/prepare.py", "--root", root]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    rows = read_csv(root / "data/prepared/manifest.csv").set_index("path")
    assert len(rows) == 30 + len(broken)
    assert set(rows.loc[[f"happy/{name}" for name in broken], "status"]) == {"kept", "rejected"}
    assert (rows.loc[rows["status"] == "rejected", "detail"] != "").all()


@pytest.mark.parametrize("name", hostile_files.intact())
def test_a_picture_without_its_second_half_is_unreadable(tmp_path, name):
    content = hostile_files.intact()[name]
    (tmp_path / "whole").write_bytes(content)
    images.read(tmp_path / "whole", 64)
    (tmp_path / "half").write_bytes(content[: len(content) // (8 if name == "animation.gif" else 2)])
    with pytest.raises(images.Unusable):
        images.read(tmp_path / "half", 64)


def run_python(script: str) -> str:
    """What the script prints, run in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "stages")}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_heic_is_read_and_costs_nothing_until_then(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(hostile_files.intact()["grey.heic"])
    printed = run_python(f"""if True:
        import sys
        from pathlib import Path
        from happysad.common import images
        assert "pi_heif" not in sys.modules
        picture, kind = images.read(Path({str(tmp_path / "photo.jpg")!r}), 64)
        picture.thumbnail((200, 200))
        print(kind, picture.mode, *picture.size, *(picture.getpixel((15, y))[0] for y in (5, 50, 95)))
    """)
    kind, mode, width, height, *levels = printed.split()
    assert (kind, mode, width, height) == ("HEIF", "RGB", "29", "100")
    assert [int(level) for level in levels] == pytest.approx([13, 128, 243], abs=6)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 4}])
def test_a_jpeg_that_ends_early_by_an_end_marker_is_unreadable(options):
    """libjpeg paints the rest grey."""
    file = io.BytesIO()
    draw(1, 640, 480).save(file, "JPEG", **options)
    content = file.getvalue()
    first_scan = content.index(b"\xff\xda")
    cut = content[: first_scan + (content.find(b"\xff\xc4", first_scan + 12) - first_scan) // 2]
    if not options.get("progressive"):
        cut = content[: (first_scan + len(content)) // 2]
    assert images.from_bytes(content, 64)[0].size == (640, 480)
    with pytest.raises(images.Unusable, match="truncated"):
        images.from_bytes(cut + b"\xff\xd9", 64)


def test_what_follows_the_end_of_a_jpeg_is_no_fault():
    content = hostile_files.intact()["baseline.jpg"]
    expected = np.asarray(Image.open(io.BytesIO(content)))
    for more in (b"\0" * 500, content, b"\xff\xd9"):
        assert np.array_equal(images.from_bytes(content + more, 64)[0], expected)


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded():
    began = time.process_time()
    with pytest.raises(images.Unusable, match="2001 scans"):
        images.from_bytes(hostile_files.progressive_jpeg(8000, 2000), 64)
    assert time.process_time() - began < 1


def test_a_picture_of_many_bytes_is_refused_before_it_is_read(tmp_path):
    with open(tmp_path / "sparse.tiff", "wb") as file:
        file.truncate(10**10)
    with pytest.raises(images.Unusable, match="10000 MB") as error:
        images.read(tmp_path / "sparse.tiff", 64)
    assert error.value.reason == "too_large"


def test_wide_modes_take_little_more_than_their_pixels():
    megabytes = run_python("""if True:
        import io, resource
        from PIL import Image
        from happysad.common import images
        files = [io.BytesIO() for _ in range(3)]
        for file, mode in zip(files, ("F", "RGBA", "I;16")):
            Image.new(mode, (4000, 4000)).save(file, "TIFF")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for file in files:
            images.from_bytes(file.getvalue(), 64)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
    """)
    assert float(megabytes) < 200  # 64 are the file's, 64 its pixels, 64 those of the RGB picture


def test_pixels_that_are_not_numbers(tmp_path):
    pixels = np.ones((20, 20), np.float32)
    pixels[3, 3] = np.nan
    Image.fromarray(pixels).save(tmp_path / "a.tiff")
    with pytest.raises(images.Unusable, match="not numbers"):
        images.read(tmp_path / "a.tiff", 64)


# The pool
def work(item: str, folder: Path | None = None) -> str:
    if item == "busy":
        while True:
            pass
    if item == "memory":
        np.ones(10**9)
    if item == "crash":
        faulthandler.disable()
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == "killed" or (item == "killed once" and not (folder / "killed").exists()):
        if folder:
            (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "exit":
        os._exit(3)
    if item == "bug":
        raise ValueError("a bug")
    return item


def test_what_exceeds_the_limit_fails_and_nothing_else_is_lost():
    items = [str(i) for i in range(70)]
    for place, bad in ((3, "busy"), (5, "memory"), (6, "crash"), (69, "busy")):
        items[place] = bad
    results = list(map_items(work, items, "", limit=LIMIT))
    assert {i: result.reason for i, result in enumerate(results) if isinstance(result, Failed)} == {
        3: "took more than 0.3 s",
        5: "needed more than 0.25 GiB of memory",
        6: "crashed with SIGSEGV",
        69: "took more than 0.3 s",
    }
    assert [r for r in results if not isinstance(r, Failed)] == [item for item in items if item.isdigit()]


def test_a_worker_that_was_killed_is_replaced(tmp_path):
    items = [*map(str, range(50)), "killed once", *map(str, range(20))]
    assert list(map_items(partial(work, folder=tmp_path), items, "")) == items
    for item, cause in (("killed", "SIGKILL"), ("exit", "exit status 3")):
        with pytest.raises(OSError, match=cause):
            list(map_items(work, ["1", item, "2"], "", limit=LIMIT))


@pytest.mark.parametrize("items", [["1", "bug", "2"], ["killed once", "bug"]])
def test_a_bug_in_a_worker_is_raised_here(tmp_path, items):
    with pytest.raises(ValueError, match="a bug"):
        list(map_items(partial(work, folder=tmp_path), items, ""))


def test_prepare_rejects_a_bomb_and_says_why(tmp_path, monkeypatch):
    import prepare

    monkeypatch.setattr(prepare, "SECONDS", 0.5)
    draw_folder(tmp_path / "photos/happy", range(12))
    draw_folder(tmp_path / "photos/sad", range(100, 112))
    (tmp_path / "photos/sad/bomb.bmp").write_bytes(hostile_files.rle_bmp(4000))
    root = make_project(tmp_path, source="photos", prepare={"image_size": 32, "crop": "whole"})
    prepare.main(root)
    rows = read_csv(root / "data/prepared/manifest.csv").set_index("path")
    assert rows.loc["sad/bomb.bmp", "detail"] == "took more than 0.5 s"
    assert (rows["status"] == "kept").sum() == 24
