"""The demo page in headless Chromium: it answers as predict does, and nothing leaves the computer."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PROJECT, draw
from PIL import Image, ImageCms
from playwright.sync_api import Page, expect, sync_playwright

import demo
from happysad.common.errors import UserError
from happysad.common.files import read_csv

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
    """The page, loaded anew; at the end, nothing may have gone wrong or to another address."""
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
    assert f"{address}model.onnx" in requests  # so what the worker asks for is seen
    assert {url.removeprefix("blob:")[: len(address)] for url in requests} == {address}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Ten pictures that are easy to read wrongly."""
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
def test_the_page_answers_as_predict_does(page, pictures, finished):
    model = finished / "models/export/model_batch.onnx"
    command = [sys.executable, PROJECT / "stages/predict.py", "--json", "--model", model, pictures]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    expected = [json.loads(line) for line in printed.splitlines()]
    page.locator("input").set_input_files(sorted(pictures.iterdir()))
    expect(page.locator("ol [data-label]")).to_have_count(10, timeout=30_000)
    for card, answer in zip(page.locator("ol > li").all(), expected, strict=True):
        assert card.locator("p").text_content() == Path(answer["path"]).name
        assert card.locator(".label").text_content() == answer["label"]
        score = float(card.locator(".score").get_attribute("value"))
        assert score == pytest.approx(answer["score"], abs=1e-3)


HAND_OVER = """([event, names]) => {
    const files = new DataTransfer();
    for (const name of names) files.items.add(new File(["no picture"], name));
    document.dispatchEvent(event === "drop"
        ? new DragEvent(event, { dataTransfer: files }) : new ClipboardEvent(event, { clipboardData: files }));
}"""


@in_chromium
@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_bad_file_gets_a_line_and_the_next_one_its_answer(page, event):
    page.evaluate(HAND_OVER, [event, ["notes.txt", "broken.jpg"]])
    expect(page.locator("ol .failed")).to_have_text(
        [f"{name}: this browser cannot read it as a picture" for name in ("notes.txt", "broken.jpg")]
    )
    page.locator("#examples button").first.press("Enter")
    expect(page.get_by_role("status")).to_have_text(re.compile("(1 happy, 0|0 happy, 1) sad, 2 not readable"))
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#results")).to_be_hidden()


@in_chromium
def test_webcam(page):
    page.get_by_role("button", name="Use the webcam").click()
    expect(page.get_by_role("alert")).to_contain_text("The browser may not use the camera")
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
    rows = {row["path"]: row for row in read_csv(finished / "data/prepared/manifest.csv")}
    examples = demo.find_examples(finished)
    assert [rows[path]["label"] for path in examples] == ["sad", "happy"] * demo.EXAMPLES
    assert {rows[path]["split"] for path in examples} == {"test"}


def test_what_is_missing_is_named_and_nothing_written(finished, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"model\.onnx is missing: run `dvc repro`"):
        demo.main(tmp_path)
    monkeypatch.setattr(demo, "RUNTIME", tmp_path / "absent")
    with pytest.raises(UserError, match=r"absent is missing: run `npm ci"):
        demo.main(finished)
    assert not (tmp_path / "demo").exists()
