"""The report: one page, complete, that asks for nothing from elsewhere."""

import re
import shutil
import subprocess

import pytest

import report
from happysad import scoring
from happysad.files import read_json


@pytest.fixture(scope="module")
def page(finished):
    report.main(finished)
    return finished / "metrics/report.html"


def test_it_says_the_figures_and_needs_no_other_file(page, finished):
    text = page.read_text()
    assert scoring.sentence(read_json(finished / "metrics/test.json")) in text
    assert len(re.findall("<img ", text)) >= 9 + 1
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "url(" not in text
    assert "<script" not in text


def test_a_browser_without_network_shows_every_picture(page, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium to open the page in")
    copy = tmp_path / "report.html"
    count = "[...document.images].filter(i => i.complete && i.naturalWidth > 50).length"
    copy.write_text(page.read_text() + f"<script>onload = () => document.title = {count}</script>")
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", copy.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert f"<title>{len(re.findall('<img ', copy.read_text()))}</title>" in dom


def test_without_results_it_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="dvc repro"):
        report.main(tmp_path)
