"""The report: one page, complete, of the last run's figures alone, that loads nothing from elsewhere."""

import contextlib
import re
import shutil
import subprocess
from hashlib import md5
from html import unescape

import pytest
import yaml
from conftest import PROJECT
from dvc.repo import Repo
from PIL import Image
from playwright.sync_api import sync_playwright

import report
from happysad.common.errors import UserError
from happysad.common.files import read_json, write_json
from happysad.evaluation import findings


def git(root, *command):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *command], cwd=root, check=True)


@pytest.fixture(scope="module")
def project(finished, tmp_path_factory):
    """A DVC project that has recorded a small run in a committed dvc.lock."""
    root = tmp_path_factory.mktemp("reported") / "project"
    shutil.copytree(finished, root)
    shutil.copytree(PROJECT / "stages", root / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "models/faces").mkdir()
    for name in ("dvc.yaml", "pyproject.toml", "models/faces/model.keras"):
        shutil.copy(PROJECT / name, root / name)
    with contextlib.chdir(root):  # where DVC takes paths to start from
        Repo.init(no_scm=True)
        Repo().commit(force=True)
    git(root, "init", "-q")
    git(root, "add", "dvc.lock")
    git(root, "commit", "-qm", "a")
    return root


@pytest.fixture(scope="module")
def page(project):
    report.main(project)
    return project / "metrics/report.html"


def test_it_has_the_figures_and_needs_no_other_file(page, project):
    text = page.read_text()
    figures, intervals = (read_json(project / f"metrics/{name}.json") for name in ("test", "test_intervals"))
    assert findings.headline(figures, intervals) in text
    assert len(re.findall("<img ", text)) >= 8
    targets = re.findall('href="#(.*?)"', text)
    assert targets == re.findall('<h2 id="(.*?)"', text) and len(targets) == 6
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert "url(" not in text
    assert "<script" not in text


def test_params_and_commit_are_those_of_the_run(page, project):
    params, dvc_lock = project / "params.yaml", project / "dvc.lock"
    before = params.read_text()
    expected = yaml.safe_load(before)
    params.write_text(before.replace("epochs: 2", "epochs: 77"))
    git(project, "add", "params.yaml")
    git(project, "commit", "-qm", "a later commit")
    try:
        report.main(project)
        text = page.read_text()
        assert yaml.safe_load(unescape(re.search("<pre>(.*)</pre>", text, re.DOTALL)[1])) == expected
        command = ["git", "log", "--format=%h", "HEAD~1"]
        commit = subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout
        assert f"commit {commit.strip()}" in text
        dvc_lock.write_text(dvc_lock.read_text() + "# changed\n")
        report.main(project)
        assert "not committed" in page.read_text()
    finally:
        params.write_text(before)
        git(project, "checkout", "-q", "dvc.lock")


def test_figures_of_another_run_are_refused(project, tmp_path):
    root = tmp_path / "project"
    shutil.copytree(project, root, ignore=shutil.ignore_patterns(".dvc", ".git"))
    figures, lock = root / "metrics/test.json", root / "dvc.lock"
    write_json(figures, read_json(figures) | {"accuracy": 1.0})  # as by python stages/evaluate.py
    with pytest.raises(UserError, match=r"test\.json is not the one in dvc\.lock"):
        report.main(root)
    shutil.copy(project / "metrics/test.json", figures)
    content = yaml.safe_load(lock.read_text())
    model = next(out for out in content["stages"]["train"]["outs"] if out["path"] == "models/model.keras")
    (root / "models/model.keras").write_bytes(b"trained again, and not yet evaluated")
    model["md5"] = md5((root / "models/model.keras").read_bytes()).hexdigest()
    lock.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"models/model\.keras is newer than the test figures"):
        report.main(root)
    del content["stages"]["evaluate"]
    lock.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="no stage evaluate"):
        report.main(root)


def test_label_errors_of_other_data_are_left_out(tmp_path):
    sheet, manifest = tmp_path / "label_errors.jpg", tmp_path / "manifest.csv"
    manifest.write_bytes(b"hello\n")
    assert report.label_errors(sheet, manifest) == ""
    for comment, shown in (("b1946ac92492d2347c6235b4d2611184", True), ("another", False), (None, False)):
        Image.new("RGB", (60, 60)).save(sheet, comment=comment)
        assert ("<img" in report.label_errors(sheet, manifest)) == shown
    manifest.unlink()
    assert report.label_errors(sheet, manifest) == ""


@pytest.mark.parametrize(("width", "scheme"), [(1000, "light"), (390, "dark")])
def test_a_browser_without_network_shows_every_picture_on_a_page_that_fits(page, width, scheme):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium to open the page in")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        shown = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
        shown.goto(page.as_uri())
        size = shown.evaluate(
            "(({ scrollWidth, scrollHeight }) => [scrollWidth, scrollHeight])(document.documentElement)"
        )
        assert size[0] == width and size[1] <= 8000
        ink = shown.evaluate("getComputedStyle(document.body).color")
        assert (ink == "rgb(0, 0, 0)") == (scheme == "light")
        shown.evaluate("document.querySelectorAll('details').forEach((details) => (details.open = true))")
        complete = shown.evaluate(
            "[...document.images].map((image) => image.complete && image.naturalWidth > 50)"
        )
        assert complete == [True] * len(re.findall("<img ", page.read_text()))


def test_without_results_it_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="dvc repro"):
        report.main(tmp_path)
