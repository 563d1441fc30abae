"""prepare, predict and the any-size ONNX model get the same pixels from the same file.

Equal bytes for the first two; within one level of 255 for the third, which resizes pictures itself.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import PROJECT, draw, draw_faces
from PIL import Image

import predict
import prepare
from happysad.common import images, params
from happysad.data.manifest import Picture
from happysad.prediction.classifier import Classifier

SIZE = 32  # of the finished project
SIZES = "1x1 1x9 300x2 31x33 32x32 33x31 64x64 640x480 97x1001 2000x1500"
UNREADABLE = {"truncated.jpg", "text.jpg"}


def draw_files(folder: Path) -> None:
    """Ordinary pictures, odd ones, faces, and files that are not pictures."""
    for i, size in enumerate(SIZES.split()):
        width, height = map(int, size.split("x"))
        draw(i, width, height).save(folder / f"{size}.{('png', 'jpg')[i % 2]}")
    picture = draw(90, 80, 60)
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"):
        picture.save(folder / f"{kind} without suffix", kind)
    for orientation in (2, 5, 6):
        picture.save(folder / f"turned {orientation}.jpg", exif=turned(orientation))
    for mode in ("1", "L", "LA", "P", "RGBA"):
        picture.convert(mode).save(folder / f"{mode}.png")
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    grey = np.asarray(picture.convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "16 bits.png")
    Image.fromarray(grey / np.float32(255)).save(folder / "float.tiff")
    picture.save(folder / "progressive.jpg", progressive=True)
    picture.save(folder / "animation.gif", save_all=True, append_images=[draw(91, 80, 60)])
    for name, size, boxes in (
        ("in a corner", (300, 200), [(210, 110, 90)]),
        ("across the edge", (120, 160), [(-20, 30, 100)]),
        ("fills it", (64, 64), [(0, 0, 64)]),
        ("three", (420, 300), [(10, 20, 200), (290, 10, 120), (300, 180, 90)]),
    ):
        draw_faces(*size, *boxes).save(folder / f"{name}.jpg")
    on_its_side = draw_faces(300, 200, (210, 110, 90)).rotate(90, expand=True)
    on_its_side.save(folder / "turned face.jpg", exif=turned(6))
    draw_faces(300, 200, (20, 50, 90)).save(folder / "palette.gif")
    content = (folder / "turned face.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(content[: len(content) // 2])
    (folder / "text.jpg").write_text("no picture")


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    draw_files(folder)
    return sorted(folder.iterdir())


def prepared(file: Path, folder: Path, crop: str) -> np.ndarray | None:
    """What prepare stores for the file, with its filters for small and blank pictures off."""
    settings = params.load(PROJECT)
    every = replace(settings.prepare, image_size=SIZE, crop=crop, min_side=1, min_contrast=0)
    row = Picture(file.name, "happy", "")
    prepare.decode(row, file.parent, folder, replace(settings, prepare=every))
    return None if row.status == "rejected" else np.asarray(Image.open(folder / f"{row.id}.png"))


def predicted(file: Path, monkeypatch, crop: str) -> np.ndarray | None:
    """What predict passes to the model."""
    seen = []
    margin = params.load(PROJECT).prepare.crop_margin
    blind = Classifier(
        lambda picture: seen.append(picture) or 0.5, SIZE, 64, crop, margin, 0.5, "answer", True, ""
    )
    monkeypatch.setattr(predict, "load", lambda path: blind)
    status = predict.main(["--model", str(file), str(file)])
    assert status == (0 if seen else 1)
    return seen[0] if seen else None


@pytest.mark.parametrize("crop", ["face", "whole"])
def test_predict_sees_what_training_saw(files, tmp_path, monkeypatch, crop):
    unreadable, cropped = set(), set()
    for file in files:
        ours, theirs = predicted(file, monkeypatch, crop), prepared(file, tmp_path, crop)
        if ours is None:
            assert theirs is None
            unreadable.add(file.name)
        else:
            assert ours.shape == (SIZE, SIZE, 3)
            assert ours.tobytes() == theirs.tobytes(), file.name
            if (ours != images.decode(file, SIZE, 64)).any():
                cropped.add(file.stem)
    assert unreadable == UNREADABLE
    drawn = {"in a corner", "across the edge", "three", "turned face", "palette", "fills it"}
    assert cropped == (drawn if crop == "face" else set())


def test_the_any_size_graph_resizes_as_pillow_does(files, finished):
    model = onnx.load(finished / "models/export/model.onnx")
    model.graph.output.append(onnx.ValueInfoProto(name="model_pictures"))  # after its Resize
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for file in files:
        if file.name not in UNREADABLE:
            picture, _ = images.read(file, 64)
            resized = session.run(["model_pictures"], {"picture": np.asarray(picture)})[0][0]
            difference = np.abs(resized.astype(int) - images.squash(picture, SIZE))
            assert difference.max() <= 1, file.name
