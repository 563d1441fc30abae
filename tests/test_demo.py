"""The demo page in headless Chromium: it predicts as predict.py does, and nothing leaves the computer."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PROJECT, draw, make_project
from PIL import Image, ImageCms
from playwright.sync_api import Page, expect, sync_playwright

import demo
from happysad.common.errors import UserError
from happysad.common.files import read_json
from happysad.common.tables import read_csv

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_chromium = pytest.mark.skipif(
    not (CHROMIUM and demo.RUNTIME.exists()), reason="needs Chromium, and `make demo/node_modules`"
)


@pytest.fixture(scope="module")
def address(finished) -> Iterator[str]:
    """Where the page is served, as `make demo` does it."""
    demo.main(finished)
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, cwd=finished / "demo/site", **pipes) as server:
        yield re.search(r"http://[\d.:]+/", server.stdout.readline())[0]
        server.terminate()


@pytest.fixture(scope="module")
def browser():
    quiet = ("--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)


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
    expect(page.locator("ol [data-label]")).to_have_count(10, timeout=30_000)
    for card, prediction in zip(page.locator("ol > li").all(), expected, strict=True):
        assert card.locator("p").text_content() == Path(prediction["path"]).name
        assert card.locator(".label").text_content() == prediction["label"]
        score = float(card.locator(".score").get_attribute("value"))
        assert score == pytest.approx(prediction["score"], abs=1e-3)


@in_chromium
def test_the_size_limit_is_the_models(page, tmp_path):
    page.route(
        "**/about.json",
        lambda route: route.fulfill(json={**route.fetch().json(), "max_megapixels": "0.01"}),
    )
    page.reload()
    draw(1, 101, 100).save(tmp_path / "large.png")
    draw(1, 100, 100).save(tmp_path / "small.png")
    page.locator("input").set_input_files([tmp_path / "large.png", tmp_path / "small.png"])
    expect(page.locator("ol .failed")).to_have_text(["large.png: larger than 0.01 megapixels"])
    expect(page.locator("ol [data-label]")).to_have_count(1)


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
    expect(page.locator("ol [data-label]")).to_have_count(1)  # so the worker is there
    assert [place.evaluate(send, elsewhere) for place in (page, *page.workers)] == ["Failed to fetch"] * 2


def test_examples_are_test_pictures(finished):
    manifest = finished / "data/prepared/manifest.csv"
    rows = read_csv(manifest).set_index("path").loc[demo.choose_examples(manifest)]
    assert list(rows["label"]) == ["sad", "happy"] * demo.EXAMPLES
    assert set(rows["split"]) == {"test"}


def test_photos_stay_private(finished, tmp_path, monkeypatch):
    make_project(tmp_path, source="photos")
    shutil.copytree(finished / "models/export", tmp_path / "models/export")
    monkeypatch.setattr(demo, "FILES", [])
    monkeypatch.setattr(demo, "RUNTIME", tmp_path)
    demo.main(tmp_path)
    assert read_json(tmp_path / "demo/site/about.json")["examples"] == []
    assert {file.name for file in (tmp_path / "demo/site").iterdir()} == {"about.json", "model.onnx"}


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
