import os

from happysad.common import folders


def test_walk(tmp_path, monkeypatch):
    files = "b.jpg a/z.jpg a/.hidden.jpg .git/c.jpg locked/d.jpg copies/e.jpg @eaDir/f.jpg Thumbs.db"
    for name in files.split():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a/round").symlink_to("..")
    (tmp_path / "link.jpg").symlink_to("b.jpg")
    scandir = os.scandir

    def denied(path):  # as root, who runs tests in containers, may read everything
        if str(path).endswith("locked"):
            raise PermissionError
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    found = folders.walk(tmp_path, skip={os.path.realpath(tmp_path / "copies")})
    names = [os.path.relpath(path, tmp_path) for path in found]
    assert names == ["a/round", "a/z.jpg", "b.jpg", "link.jpg", "locked"]
