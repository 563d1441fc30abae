"""Every kind of file that people have in a folder of pictures."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from conftest import draw
from PIL import Image

from happysad.common import images


def encode(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def close(path, expected: Image.Image, levels: float) -> bool:
    picture, _ = images.read(path, 64)
    difference = np.abs(np.asarray(picture, float) - np.asarray(expected, float))
    return picture.mode == "RGB" and difference.mean() <= levels


@pytest.mark.parametrize(
    ("name", "kind", "levels"),
    [
        ("a.jpg", "JPEG", 6),
        ("a.png", "PNG", 0),
        ("a.webp", "WEBP", 5),
        ("a.bmp", "BMP", 0),
        ("a.gif", "GIF", 12),
        ("tiff named.jpg", "TIFF", 0),
        ("no extension", "PNG", 0),
        ("späces, äccents and 😀.png", "PNG", 0),
    ],
)
def test_readable_whatever_the_name(tmp_path, name, kind, levels):
    (tmp_path / name).write_bytes(encode(draw(1), kind))
    assert close(tmp_path / name, draw(1), levels)
    assert images.read(tmp_path / name, 64)[1] == kind


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter to the left: to be turned right
    draw(1).save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert close(tmp_path / "a.jpg", draw(1).transpose(Image.Transpose.ROTATE_270), 3)


def test_16_bits_are_scaled_not_clipped(tmp_path):
    grey = np.asarray(draw(1).convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "a.png")
    assert close(tmp_path / "a.png", Image.fromarray(grey).convert("RGB"), 0)


def test_float_pixels_are_scaled(tmp_path):
    grey = np.asarray(draw(1).convert("L"))
    stretched = (grey.astype(float) - grey.min()) * 255 / (grey.max() - grey.min())
    Image.fromarray(grey.astype(np.float32) / 999).save(tmp_path / "a.tiff")
    assert close(tmp_path / "a.tiff", Image.fromarray(stretched.round().astype(np.uint8)).convert("RGB"), 0.5)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_on_white(tmp_path, mode):
    picture = draw(1).convert(mode)
    picture.putalpha(Image.new("L", picture.size, 0))
    picture.save(tmp_path / "a.png")
    assert close(tmp_path / "a.png", Image.new("RGB", picture.size, "white"), 0)


def test_palette_with_transparency(tmp_path):
    picture = Image.new("P", (20, 20), 0)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.paste(1, (0, 0, 10, 20))
    picture.save(tmp_path / "a.png", transparency=0)
    expected = Image.new("RGB", (20, 20), "white")
    expected.paste((255, 0, 0), (0, 0, 10, 20))
    assert close(tmp_path / "a.png", expected, 0)


def test_cmyk(tmp_path):
    draw(1).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert close(tmp_path / "a.jpg", draw(1), 5)


def test_first_frame_of_an_animation(tmp_path):
    draw(1).save(tmp_path / "a.gif", save_all=True, append_images=[draw(2), draw(3)])
    assert close(tmp_path / "a.gif", draw(1), 12)


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


JPEG, PNG = encode(draw(1), "JPEG", quality=90), encode(draw(1), "PNG")


@pytest.mark.parametrize(
    ("content", "reason", "text"),
    [
        (b"", "unreadable", "empty file"),
        (b"just words\n", "unreadable", "not in a known picture format"),
        (b"<!DOCTYPE html><html></html>", "unreadable", "web page or SVG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unreadable", "web page or SVG"),
        (b"\0\0\0\x18ftypheic" + bytes(50), "unreadable", "a broken HEIC picture"),
        (b"\0\0\0\x18ftypisom" + bytes(50), "unreadable", "a video"),
        (JPEG[: len(JPEG) // 2], "unreadable", "truncated"),
        (JPEG[: -len(JPEG) // 20], "unreadable", "truncated"),
        (PNG[: len(PNG) // 2], "unreadable", ""),
        (png_claiming(60_000, 60_000), "too_large", "make it smaller, or raise prepare.max_megapixels"),
        (encode(Image.new("1", (12_000, 12_000)), "PNG"), "too_large", "12000 x 12000"),
    ],
)
def test_rejected_with_a_reason(tmp_path, content, reason, text):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(images.Unusable) as error:
        images.read(tmp_path / "a.jpg", 64)
    assert error.value.reason == reason
    assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    for name in ("fifo.jpg", "loop.jpg", "missing.jpg", "."):
        with pytest.raises(images.Unusable) as error:
            images.read(tmp_path / name, 64)
        assert error.value.reason == "unreadable"


def test_unusable_survives_the_way_back_from_a_worker():
    import pickle

    error = pickle.loads(pickle.dumps(images.Unusable("too_large", "words")))
    assert (error.reason, str(error)) == ("too_large", "words")


def test_decode_is_the_squashed_picture(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    pixels = images.decode(tmp_path / "a.png", 24, 64)
    assert pixels.shape == (24, 24, 3)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, draw(1).resize((24, 24), Image.Resampling.BILINEAR))
