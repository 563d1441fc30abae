"""The demo page in headless Chromium: it predicts as predict.py does, and nothing leaves the computer."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from conftest import PROJECT, draw, draw_faces, make_project, with_metadata
from PIL import Image, ImageCms
from playwright.sync_api import Locator, Page, expect, sync_playwright

import demo
from happysad import CLASSES, DRAWN
from happysad.common import images
from happysad.common.errors import UserError
from happysad.common.files import read_json
from happysad.common.tables import read_csv, write_csv
from happysad.data import faces
from happysad.prediction import classifier
from happysad.prediction.results import classify

expect.set_options(timeout=30_000)  # a busy machine is no failure
REAL = PROJECT / "models/faces/model.onnx"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_chromium = pytest.mark.skipif(
    not (CHROMIUM and demo.RUNTIME.exists()), reason="needs Chromium, and `make demo/node_modules`"
)
NAMES = {"faces": "Real faces", "export": "Drawn faces"}
OTHER = {"unsure_below": "1.1", "crop_margin": "1.4", "source": "photographs"}  # never sure


def opposite(path: Path, **metadata: str) -> None:
    """Write a model to ``path`` that takes happy for sad and sad for happy, with other metadata."""
    path.parent.mkdir(parents=True)
    model = onnx.load(with_metadata(REAL, path, **metadata))
    model.graph.node[-1].output[0] = "opposite"
    order = onnx.numpy_helper.from_array(np.array([1, 0]), "order")
    model.graph.initializer.append(order)
    model.graph.node.append(onnx.helper.make_node("Gather", ["opposite", "order"], ["scores"]))
    onnx.save(model, path)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Pictures and two models that differ in all that the page shows: one as of a run on drawn faces, one of real faces."""
    root = make_project(tmp_path_factory.mktemp("demo"))
    rows = []
    for seed in range(30):
        label, split = CLASSES[seed % 2], ("train", "test")[seed % 3 % 2]
        rows.append({"path": f"{label}/{seed}.jpg", "label": label, "split": split})
        path = root / "data/generated" / rows[-1]["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(seed).save(path)
    write_csv(root / "data/prepared/manifest.csv", pd.DataFrame(rows))
    opposite(root / "models/faces/model.onnx", **OTHER)
    (root / "models/export").mkdir()
    always_sure = {"unsure_below": "0", "no_face": "answer", "source": DRAWN}
    with_metadata(REAL, root / "models/export/model.onnx", **always_sure)
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


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium, its camera a film of two faces, the larger one moving in the left half."""
    film = tmp_path_factory.mktemp("camera") / "film.mjpeg"
    with film.open("wb") as file:
        for step in range(10):
            draw_faces(640, 480, (100 + 10 * step, 120, 220), (390, 180, 150)).save(file, "JPEG", quality=90)
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
    expect(page.locator("#about")).not_to_be_empty()
    yield page
    page.context.close()
    assert complaints == []
    assert f"{address}faces.onnx" in requests  # so requests of the worker are seen
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


def choose(page: Page, name: str) -> None:
    """Choose a model, and wait until it has judged all pictures."""
    page.get_by_role("radio", name=name).check()
    expect(page.get_by_role("status")).to_contain_text(re.compile(r"^\d"))


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> list[Path]:
    """Pictures with no face, one or several, in the middle and at the edge, large and small, upright and turned."""
    pictures = [
        draw_faces(400, 300),
        draw_faces(400, 300, (20, 130, 160)),
        draw_faces(301, 500, (100, 10, 200)),
        draw_faces(420, 300, (10, 20, 200), (290, 10, 110), (300, 180, 90)),
        draw_faces(128, 128, (0, 0, 128)),
        draw_faces(96, 211, (0, 115, 96)),
        draw_faces(1200, 800, (0, 0, 450), (750, 350, 450)),
        draw_faces(1000, 333, (5, 5, 320), (340, 5, 320), (675, 5, 320)),
        draw_faces(640, 480, *((320 * x, 240 * y, 225) for x in (0, 1) for y in (0, 1))),
        draw_faces(
            2720, 2024, (1900, 1200, 800)
        ),  # 170 x 126.5 of the detector's pixels, to be rounded to even
    ]
    turns = ((5, 90), (2, 180), (5, 270))
    pictures += [pictures[number].rotate(angle, expand=True) for number, angle in turns]
    folder = tmp_path_factory.mktemp("people")
    paths = [folder / f"{number}.png" for number in range(len(pictures))]
    for picture, path in zip(pictures, paths, strict=True):
        picture.save(path, compress_level=1)
    return paths


@in_chromium
def test_the_page_says_what_predict_says(page, pictures, people, project):
    paths = [*sorted(pictures.iterdir()), *people]
    page.locator("[type=file]").set_input_files(paths)
    counts, turns = set(), set()
    for folder, name in NAMES.items():
        model = classifier.load(project / "models" / folder / "model.onnx")
        choose(page, name)
        for card, path in zip(page.locator("ol > li").all(), paths, strict=True):
            results = classify(str(path), model, every_face=True)
            first, size = results[0], images.read(path, 64)[0].size
            assert card.locator("p").text_content() == path.name
            assert card.locator(".answer").text_content() == first["answer"]
            score = card.locator(".probability").get_attribute("value")
            assert (float(score) if score else None) == pytest.approx(first["score"], abs=2e-2)
            note = card.locator(".note").text_content()
            assert (f"the largest of {first['faces']} faces" in note) == (first["faces"] > 1)
            assert ("no face: whole picture judged" in note) == (
                not first["faces"] and first["score"] is not None
            )
            assert ("turned by" in note) == bool(first.get("face_turned"))
            boxes = card.locator(".face").all()
            for box, result in zip(boxes, results if first["faces"] else [], strict=True):
                face = faces.Face(*(result[column] for column in faces.COLUMNS))
                left, top, right, _ = faces.square_box(size, face, model.crop_margin)
                assert drawn_square(box, size) == pytest.approx((left, top, right - left), abs=1)
                answer, certainty = re.fullmatch(r"(.*) (\d+)%", box.text_content()).groups()
                assert answer == box.get_attribute("data-answer") == result["answer"]
                assert int(certainty) / 100 == pytest.approx(result["probability"], abs=3e-2)
                turns.add(face.turned)
            counts.add(len(boxes))
    assert counts >= {0, 1, 2, 3, 4}
    assert turns == {0, 90, 180, 270}


@in_chromium
def test_a_click_enlarges(page, people):
    page.locator("[type=file]").set_input_files(people[3])
    choose(page, "Drawn faces")
    page.get_by_role("button", name="Enlarge 3.png").click()
    expect(page.locator("dialog .face span").first).to_be_visible()
    expect(page.locator("dialog .answer")).to_have_text(page.locator("ol .answer").text_content())
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()


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
def test_the_page_resizes_as_pillow_does(page):
    rng = np.random.default_rng(0)
    for sizes in ((133, 40, 68, 20), (60, 90, 113, 170), (170, 9, 170, 9)):
        picture = Image.fromarray(rng.integers(0, 256, (sizes[1], sizes[0], 3), dtype=np.uint8))
        resized = page.evaluate(RESIZE, [*sizes[:2], list(picture.tobytes()), *sizes[2:]])
        assert bytes(resized) == picture.resize(sizes[2:], Image.Resampling.BILINEAR).tobytes()


@in_chromium
def test_a_model_is_chosen_with_the_keyboard_and_loaded_then(page):
    first, second = (page.get_by_role("radio", name=name) for name in NAMES.values())
    expect(first).to_be_checked()
    expect(page.locator("#about")).to_contain_text("Real faces: trained on photographs")
    first.focus()
    with page.expect_request("**/export.onnx"):
        first.press("ArrowRight")
    expect(second).to_be_checked()
    expect(page.locator("#about")).to_contain_text(f"Drawn faces: trained on {DRAWN}")


def change(page: Page, **metadata: str) -> None:
    """Reload the page, which then has a single model, with other metadata."""
    model = page.request.get(f"{page.url}about.json").json()["models"][0] | metadata
    page.route("**/about.json", lambda route: route.fulfill(json={"models": [model], "examples": []}))
    page.reload()
    expect(page.locator("#about")).not_to_be_empty()


@in_chromium
def test_a_single_model_of_whole_pictures_leaves_no_choice_and_finds_no_faces(page, people, tmp_path):
    change(page, crop="whole", no_face="answer", max_megapixels="0.2")
    expect(page.locator("#models")).to_be_hidden()
    expect(page.locator("#examples")).to_be_hidden()
    draw(1, 501, 400).save(tmp_path / "large.png")
    page.locator("[type=file]").set_input_files([tmp_path / "large.png", people[3]])
    expect(page.locator("ol .failed")).to_have_text(["large.png: larger than 0.2 megapixels"])
    expect(page.locator("ol .prediction[data-answer]")).to_have_count(1)
    expect(page.locator("ol .face")).to_have_count(0)
    expect(page.locator("ol .note")).not_to_contain_text("face")


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
        re.compile("1 (happy|sad|unsure|no face), 2 could not be read")
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
    score = page.locator("#live .probability")
    expect(score).to_have_text(re.compile(r"\d\d%"))
    expect(score).not_to_have_attribute("value", score.get_attribute("value"))  # the camera's picture moves
    expect(page.locator("#live .answer")).to_have_text("unsure")
    page.get_by_role("radio", name="Drawn faces").check()
    expect(page.locator("#live .answer")).to_have_text(re.compile("happy|sad"))
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
    expect(page.locator("ol .prediction[data-answer]")).to_have_count(1)  # so the worker is there
    assert [place.evaluate(send, elsewhere) for place in (page, *page.workers)] == ["Failed to fetch"] * 2


def test_examples_are_test_pictures(project):
    manifest = project / "data/prepared/manifest.csv"
    examples = demo.choose_examples(manifest, project / "data/generated")
    rows = read_csv(manifest).set_index("path").loc[examples]
    assert list(rows["label"]) == ["sad", "happy"] * demo.EXAMPLES
    assert set(rows["split"]) == {"test"}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (None, ["Real faces"]),  # before any run
        ("pictures from a folder called photos", ["Your model", "Real faces"]),
        (DRAWN, ["Real faces", "Drawn faces"]),  # before params.yaml named photos
    ],
)
def test_photos_stay_private(tmp_path, monkeypatch, source, names):
    monkeypatch.setattr(demo, "FILES", [])
    monkeypatch.setattr(demo, "RUNTIME", tmp_path)
    make_project(tmp_path, source="photos")
    opposite(tmp_path / "models/faces/model.onnx")
    if source:
        opposite(tmp_path / "models/export/model.onnx", source=source)
    demo.main(tmp_path)
    site = tmp_path / "demo/site"
    about = read_json(site / "about.json")
    assert ([model["name"] for model in about["models"]], about["examples"]) == (names, [])
    models = {f"{model['folder']}.onnx" for model in about["models"]}
    assert {file.name for file in site.iterdir()} == {"about.json"} | models


def test_what_is_missing_is_named_and_nothing_written(project, tmp_path, monkeypatch):
    make_project(tmp_path)
    shutil.copytree(project / "models", tmp_path / "models")
    monkeypatch.setattr(demo, "RUNTIME", tmp_path)
    with pytest.raises(UserError, match=r"manifest\.csv is missing: run `dvc repro`"):
        demo.main(tmp_path)
    monkeypatch.setattr(demo, "RUNTIME", tmp_path / "absent")
    with pytest.raises(UserError, match=r"absent is missing: run `npm ci"):
        demo.main(tmp_path)
    assert not (tmp_path / "demo").exists()
