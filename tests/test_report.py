"""The report: one page, complete, that asks for nothing from elsewhere."""

import re
import shutil
import subprocess

import pytest

import report
from happysad.common.errors import UserError
from happysad.common.files import read_json
from happysad.evaluation import metrics


@pytest.fixture(scope="module")
def page(finished):
    report.main(finished)
    return finished / "metrics/report.html"


def test_it_says_the_figures_and_needs_no_other_file(page, finished):
    text = page.read_text()
    assert metrics.sentence(read_json(finished / "metrics/test.json")) in text
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


def test_findings():
    """Each verdict follows from its figures."""
    worst = {"corruption": "blur", "setting": "much", "accuracy": "0.6"}
    mirror = {"corruption": "mirror", "setting": "", "accuracy": "0.8", "label_changes": "0.1"}
    table = [{"corruption": "none", "accuracy": "0.5"}, worst, mirror]
    slices = [
        {
            "slice": "flag",
            "value": "dark",
            "worse": "yes",
            "n": "9",
            "accuracy": "0.1",
            "accuracy_of_rest": "0.9",
        },
        {
            "slice": "flag",
            "value": "light",
            "worse": "no",
            "n": "9",
            "accuracy": "0.9",
            "accuracy_of_rest": "0.9",
        },
    ]
    for low, high, verdict in [(0.01, 0.2, "better"), (-0.2, -0.01, "worse"), (-0.1, 0.1, "not shown")]:
        figures = {"gain": (low + high) / 2, "gain_ci_low": low, "gain_ci_high": high}
        baseline, slice_, robust = report.findings(figures, slices, table)
        assert baseline.startswith(f"It is {verdict}")
        assert "flag dark: 10.0% of 9" in slice_
        assert "blur (much) costs most: 60.0%" in robust
        assert "changes 10.0%" in robust


def test_without_results_it_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="dvc repro"):
        report.main(tmp_path)
