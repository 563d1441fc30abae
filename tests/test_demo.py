"""The demo page in headless Chromium: it predicts as predict.py does, and nothing leaves the computer."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from conftest import PROJECT, draw, make_project
from PIL import Image, ImageCms
from playwright.sync_api import Locator, Page, expect, sync_playwright

import demo
from happysad.common import faces, images
from happysad.common.errors import UserError
from happysad.common.files import read_json
from happysad.common.tables import read_csv
from happysad.drawing.render import render
from happysad.drawing.sampling import sample_face
from happysad.prediction import classifier

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_chromium = pytest.mark.skipif(
    not (CHROMIUM and demo.RUNTIME.exists()), reason="needs Chromium, and `make demo/node_modules`"
)


MARGIN = 1.1


def set_crop(root: Path, crop: str) -> None:
    """Have the exported model say what it is to be shown."""
    path = root / "models/export/model.onnx"
    model = onnx.load(path)
    about = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, about | {"crop": crop, "crop_margin": str(MARGIN)})
    onnx.save(model, path)


@pytest.fixture(scope="module")
def project(finished, tmp_path_factory) -> Path:
    """A copy of the finished project, its model shown faces."""
    root = shutil.copytree(finished, tmp_path_factory.mktemp("demo"), dirs_exist_ok=True)
    set_crop(root, "face")
    return root


@pytest.fixture(scope="module")
def address(project) -> Iterator[str]:
    """Where the page is served, as `make demo` does it."""
    demo.main(project)
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, cwd=project / "demo/site", **pipes) as server:
        yield re.search(r"http://[\d.:]+/", server.stdout.readline())[0]
        server.terminate()


def faces_at(corners: dict[tuple[int, int], int], size: tuple[int, int]) -> Image.Image:
    """A picture of blobs of colour and drawn faces, their upper left corners and sides in pixels."""
    picture = draw(sum(size), *size)
    for seed, (corner, side) in enumerate(corners.items()):
        rng = np.random.default_rng(seed + side)
        label = ("sad", "happy")[seed % 2]
        face = sample_face(label, rng, min_expression=0.6, roughness=0.2, tightness=0.9, pose=0.4)
        picture.paste(render(face, side), corner)
    return picture


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium, its camera a film of two faces, the larger one moving in the left half."""
    film = tmp_path_factory.mktemp("camera") / "film.mjpeg"
    with film.open("wb") as file:
        for step in range(10):
            faces_at({(100 + 10 * step, 120): 220, (390, 180): 150}, (640, 480)).save(
                file, "JPEG", quality=90
            )
    camera = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *camera]
        )


@pytest.fixture
def page(address, browser) -> Iterator[Page]:
    """The page, freshly loaded; afterwards, there must be no error and no request to another host."""
    page = browser.new_page()
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(error.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    expect(page.locator("#threshold")).not_to_be_empty()
    yield page
    page.context.close()
    assert complaints == []
    assert f"{address}model.onnx" in requests  # so requests of the worker are seen
    assert {url.removeprefix("blob:")[: len(address)] for url in requests} == {address}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Ten pictures that are easy to decode wrongly."""
    folder = tmp_path_factory.mktemp("pictures")
    transparent = draw(0, 90, 120)
    transparent.putalpha(Image.radial_gradient("L").resize(transparent.size))
    transparent.save(folder / "0_transparent.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: to be turned to the right
    draw(1, 200, 80).save(folder / "1_turned.jpg", exif=turned)
    draw(2, 4000, 3000).save(folder / "2_big.jpg")
    draw(3, 20, 17).save(folder / "3_tiny.png")
    draw(4, 500, 40).convert("L").save(folder / "4_wide_and_grey.jpg")
    draw(5).quantize(16).save(folder / "5_palette.gif")
    draw(6, 257, 513).save(folder / "6.webp", lossless=True)
    draw(7).save(folder / "7.bmp")
    draw(8, 300, 300).save(folder / "8_coarse.jpg", quality=30)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")
    draw(9, 1024, 768).save(folder / "9_profile.jpg", icc_profile=swapped)
    return folder


@in_chromium
def test_the_page_predicts_as_predict_does(page, pictures, finished):
    model = finished / "models/export/model_batch.onnx"
    command = [sys.executable, PROJECT / "stages/predict.py", "--json", "--model", model, pictures]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    expected = [json.loads(line) for line in printed.splitlines()]
    page.locator("input").set_input_files(sorted(pictures.iterdir()))
    expect(page.locator("ol .prediction[data-label]")).to_have_count(10, timeout=30_000)
    for card, prediction in zip(page.locator("ol > li").all(), expected, strict=True):
        assert card.locator("p").text_content() == Path(prediction["path"]).name
        assert card.locator(".label").text_content() == prediction["label"]
        score = float(card.locator(".score").get_attribute("value"))
        assert score == pytest.approx(prediction["score"], abs=1e-3)


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> list[Path]:
    """Ten pictures with no face, one or several, in the middle and at the edge, large and small."""
    pictures = [
        faces_at({}, (400, 300)),
        faces_at({(20, 130): 160}, (400, 300)),
        faces_at({(100, 10): 200}, (301, 500)),
        faces_at({(10, 20): 200, (290, 10): 110, (300, 180): 90}, (420, 300)),
        faces_at({(0, 0): 128}, (128, 128)),
        faces_at({(0, 115): 96}, (96, 211)),
        faces_at({(0, 0): 900, (1500, 700): 900}, (2400, 1600)),
        faces_at({(5, 5): 320, (340, 5): 320, (675, 5): 320}, (1000, 333)),
        faces_at({(320 * x, 240 * y): 225 for x in (0, 1) for y in (0, 1)}, (640, 480)),
        faces_at(
            {(1900, 1200): 800}, (2720, 2024)
        ),  # of the detector's pixels 170 x 126.5, to be rounded to even
    ]
    folder = tmp_path_factory.mktemp("people")
    paths = [folder / f"{number}.png" for number in range(len(pictures))]
    for picture, path in zip(pictures, paths, strict=True):
        picture.save(path)
    return paths


@in_chromium
def test_the_page_finds_the_faces_that_predict_finds(page, people, project):
    model = classifier.load(project / "models/export/model_batch.onnx")
    page.locator("input").set_input_files(people)
    expect(page.locator("ol .prediction[data-label]")).to_have_count(len(people), timeout=60_000)
    counts = []
    for card, path in zip(page.locator("ol > li").all(), people, strict=True):
        picture = Image.open(path).convert("RGB")
        found = faces.find(picture)
        counts.append(len(found))
        boxes = card.locator(".face").all()
        for box, face in zip(boxes, found, strict=True):
            assert drawn_square(box, picture.size) == pytest.approx(square(picture.size, face), abs=1)
            score = model.score(images.squash(faces.square(picture, face, MARGIN), model.image_size))
            assert float(box.get_attribute("title")) == pytest.approx(score, abs=2e-2)
            assert box.text_content() == box.get_attribute("data-label")
        largest, _ = faces.view(picture, "face", MARGIN)
        score = model.score(images.squash(largest, model.image_size))
        assert float(card.locator(".score").get_attribute("value")) == pytest.approx(score, abs=2e-2)
        several = f"the largest of {len(found)} faces" if len(found) > 1 else ""
        assert card.locator(".note").text_content() == (several if found else "no face: whole picture judged")
    assert set(counts) >= {0, 1, 2, 3, 4}


def square(size: tuple[int, int], face: faces.Face) -> tuple[int, int, int]:
    """Left, top and side, in pixels, of what ``faces.square`` cuts out of a picture of ``size``."""
    picture = SimpleNamespace(size=size, width=size[0], height=size[1], crop=lambda box: box)
    left, top, right, _ = faces.square(picture, face, MARGIN)
    return left, top, right - left


def drawn_square(box: Locator, size: tuple[int, int]) -> tuple[float, float, float]:
    """Left, top and side of a box on the page, in pixels of a picture of ``size``, which is in the middle of a square."""
    read = "box => ['left', 'top', 'side'].map(name => Number(box.style.getPropertyValue(`--${name}`)))"
    left, top, side = (max(size) * fraction for fraction in box.evaluate(read))
    return left - (max(size) - size[0]) / 2, top - (max(size) - size[1]) / 2, side


RESIZE = """async ([width, height, bytes, toWidth, toHeight]) => {
    const { resize } = await import("./faces.js");
    return [...resize({ data: Uint8Array.from(bytes), width, height }, toWidth, toHeight).data];
}"""


@in_chromium
@pytest.mark.parametrize(
    "sizes", [(340, 255, 170, 128), (333, 100, 170, 51), (60, 90, 113, 170), (170, 9, 170, 9)]
)
def test_the_page_resizes_as_pillow_does(browser, address, sizes):
    page = browser.new_page()
    page.goto(address)
    picture = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (sizes[1], sizes[0], 3), dtype=np.uint8)
    )
    resized = page.evaluate(RESIZE, [*sizes[:2], list(picture.tobytes()), *sizes[2:]])
    assert bytes(resized) == picture.resize(sizes[2:], Image.Resampling.BILINEAR).tobytes()


@in_chromium
def test_a_model_of_whole_pictures_is_shown_them(page, people):
    page.route("**/about.json", lambda route: route.fulfill(json={**route.fetch().json(), "crop": "whole"}))
    page.reload()
    expect(page.locator("#threshold")).not_to_be_empty()
    page.locator("input").set_input_files(people[3])
    expect(page.locator("ol .prediction[data-label]")).to_have_count(1)
    expect(page.locator("ol .face")).to_have_count(0)
    expect(page.locator("ol .note")).to_be_empty()


@in_chromium
def test_the_size_limit_is_the_models(page, tmp_path):
    page.route(
        "**/about.json",
        lambda route: route.fulfill(json={**route.fetch().json(), "max_megapixels": "0.01"}),
    )
    page.reload()
    expect(page.locator("#threshold")).not_to_be_empty()
    draw(1, 101, 100).save(tmp_path / "large.png")
    draw(1, 100, 100).save(tmp_path / "small.png")
    page.locator("input").set_input_files([tmp_path / "large.png", tmp_path / "small.png"])
    expect(page.locator("ol .failed")).to_have_text(["large.png: larger than 0.01 megapixels"])
    expect(page.locator("ol .prediction[data-label]")).to_have_count(1)


HAND_OVER = """([event, names]) => {
    const files = new DataTransfer();
    for (const name of names) files.items.add(new File(["not a picture"], name));
    document.dispatchEvent(event === "drop"
        ? new DragEvent(event, { dataTransfer: files }) : new ClipboardEvent(event, { clipboardData: files }));
}"""


@in_chromium
@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_bad_file_gets_a_message_and_the_next_one_its_label(page, event):
    page.evaluate(HAND_OVER, [event, ["notes.txt", "broken.jpg"]])
    expect(page.locator("ol .failed")).to_have_text(
        [f"{name}: not a picture that this browser can read" for name in ("notes.txt", "broken.jpg")]
    )
    page.locator("#examples button").first.press("Enter")
    expect(page.get_by_role("status")).to_have_text(
        re.compile("(1 happy, 0|0 happy, 1) sad, 2 could not be read")
    )
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#results")).to_be_hidden()


@in_chromium
def test_webcam(page):
    page.get_by_role("button", name="Use the webcam").click()
    expect(page.get_by_role("alert")).to_contain_text("The browser has no permission to use the camera")
    page.context.grant_permissions(["camera"])
    page.get_by_role("button", name="Use the webcam").click()
    page.wait_for_function(  # in one go, since each frame has new boxes; the larger face is on the right: mirrored
        """() => {
            const places = [...document.querySelectorAll("#live .face")].map((face) => face.getBoundingClientRect().x);
            return places.length === 2 && places[0] > places[1];
        }"""
    )
    score = page.locator("#live .score")
    expect(score).to_have_text(re.compile(r"0\.\d\d|1\.00"))
    expect(score).not_to_have_attribute("value", score.get_attribute("value"))  # the camera's picture moves
    camera = page.evaluate_handle("() => document.querySelector('video').srcObject.getTracks()[0]")
    page.get_by_role("button", name="Stop the webcam").click()
    expect(page.locator("#live")).to_be_hidden()
    assert camera.evaluate("camera => camera.readyState") == "ended"


@in_chromium
def test_nothing_can_be_sent_elsewhere(browser, address):
    page = browser.new_page()  # not the fixture, which would hear the browser complain
    page.goto(address)
    elsewhere = address.replace("127.0.0.1", "localhost")  # the same server, and another origin
    send = "url => fetch(url, { mode: 'no-cors' }).then(() => 'sent', error => error.message)"
    page.locator("#examples button").first.click()
    expect(page.locator("ol .prediction[data-label]")).to_have_count(1)  # so the worker is there
    assert [place.evaluate(send, elsewhere) for place in (page, *page.workers)] == ["Failed to fetch"] * 2


def test_examples_are_test_pictures(finished):
    manifest = finished / "data/prepared/manifest.csv"
    rows = read_csv(manifest).set_index("path").loc[demo.choose_examples(manifest)]
    assert list(rows["label"]) == ["sad", "happy"] * demo.EXAMPLES
    assert set(rows["split"]) == {"test"}


@pytest.mark.parametrize("crop", ["face", "whole"])
def test_photos_stay_private(finished, tmp_path, monkeypatch, crop):
    make_project(tmp_path, source="photos")
    shutil.copytree(finished / "models/export", tmp_path / "models/export")
    set_crop(tmp_path, crop)
    monkeypatch.setattr(demo, "FILES", [])
    monkeypatch.setattr(demo, "RUNTIME", tmp_path)
    demo.main(tmp_path)
    assert read_json(tmp_path / "demo/site/about.json")["examples"] == []
    assert {file.name for file in (tmp_path / "demo/site").iterdir()} == {
        *("about.json", "model.onnx"),
        *(["face_detector.onnx"] if crop == "face" else []),
    }


def test_a_model_of_an_older_version(project, tmp_path, monkeypatch):
    make_project(tmp_path, source="photos")
    shutil.copytree(project / "models/export", tmp_path / "models/export")
    model = onnx.load(tmp_path / "models/export/model.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "models/export/model.onnx")
    monkeypatch.setattr(demo, "RUNTIME", tmp_path)
    with pytest.raises(UserError, match=r"model.onnx was exported by an older version: run `dvc repro`"):
        demo.main(tmp_path)


def test_what_is_missing_is_named_and_nothing_written(finished, tmp_path, monkeypatch):
    make_project(tmp_path)
    for name in ("models/export/model.onnx", "data/prepared/manifest.csv", "data/generated"):
        with pytest.raises(UserError, match=rf"{tmp_path}/{name} is missing: run `dvc repro`"):
            demo.main(tmp_path)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(demo, "RUNTIME", tmp_path / "absent")
    with pytest.raises(UserError, match=r"absent is missing: run `npm ci"):
        demo.main(finished)
    assert not (tmp_path / "demo").exists()
