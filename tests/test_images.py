"""Every kind of file that people have in a folder of pictures."""

import io
import os
import pickle
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


def grey_from(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.round().astype(np.uint8)).convert("RGB")


PICTURE = draw(1)
GREY = np.asarray(PICTURE.convert("L"))
WHITE = Image.new("RGB", PICTURE.size, "white")
TURNED = Image.Exif()
TURNED[0x0112] = 6  # a quarter to the left: to be turned right
HALF_CLEAR = Image.new("P", (20, 20), 0)
HALF_CLEAR.putpalette([0, 0, 0, 255, 0, 0])
HALF_CLEAR.paste(1, (0, 0, 10, 20))
HALF_RED = Image.new("RGB", (20, 20), "white")
HALF_RED.paste("red", (0, 0, 10, 20))
READABLE = {
    "a.jpg": (encode(PICTURE, "JPEG"), PICTURE, 6),
    "a.webp": (encode(PICTURE, "WEBP"), PICTURE, 5),
    "a.bmp": (encode(PICTURE, "BMP"), PICTURE, 0),
    "tiff named.jpg": (encode(PICTURE, "TIFF"), PICTURE, 0),
    "no extension": (encode(PICTURE, "PNG"), PICTURE, 0),
    "späces, äccents and 😀.png": (encode(PICTURE, "PNG"), PICTURE, 0),
    "an animation.gif": (encode(PICTURE, "GIF", save_all=True, append_images=[draw(2)]), PICTURE, 12),
    "CMYK.jpg": (encode(PICTURE.convert("CMYK"), "JPEG", quality=95), PICTURE, 5),
    "turned.jpg": (
        encode(PICTURE, "JPEG", exif=TURNED, quality=95),
        PICTURE.transpose(Image.Transpose.ROTATE_270),
        3,
    ),
    "16 bits.png": (encode(Image.fromarray(GREY.astype(np.uint16) * 257), "PNG"), grey_from(GREY), 0),
    "float.tiff": (
        encode(Image.fromarray(GREY.astype(np.float32) / 999), "TIFF"),
        grey_from((GREY - GREY.min() + 0.0) * 255 / np.ptp(GREY)),
        0.5,
    ),
    "clear.png": (encode(Image.new("RGBA", PICTURE.size), "PNG"), WHITE, 0),
    "clear grey.png": (encode(Image.new("LA", PICTURE.size), "PNG"), WHITE, 0),
    "clear colour.png": (encode(HALF_CLEAR, "PNG", transparency=0), HALF_RED, 0),
}


@pytest.mark.parametrize("name", READABLE)
def test_readable(tmp_path, name):
    content, expected, levels = READABLE[name]
    (tmp_path / name).write_bytes(content)
    picture, _ = images.read(tmp_path / name, 64)
    assert picture.mode == "RGB"
    assert np.abs(np.subtract(picture, expected, dtype=float)).mean() <= levels


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


@pytest.mark.parametrize(
    ("content", "reason", "text"),
    [
        (b"", "unreadable", "empty file"),
        (b"just words\n", "unreadable", "not in a known picture format"),
        (b"<!DOCTYPE html><html></html>", "unreadable", "web page or SVG"),
        (b"\0\0\0\x18ftypheic" + bytes(50), "unreadable", "a broken HEIC picture"),
        (b"\0\0\0\x18ftypisom" + bytes(50), "unreadable", "a video"),
        (png_claiming(60_000, 60_000), "too_large", "make it smaller, or raise prepare.max_megapixels"),
        (encode(Image.new("1", (12_000, 12_000)), "PNG"), "too_large", "12000 x 12000"),
    ],
)
def test_rejected_with_a_reason(tmp_path, content, reason, text):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(images.Unusable, match=f"^[^\n]*{text}") as error:
        images.read(tmp_path / "a.jpg", 64)
    assert pickle.loads(pickle.dumps(error.value)).reason == reason  # on the way back from a worker


def test_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    for name in ("fifo.jpg", "loop.jpg", "missing.jpg", "."):
        with pytest.raises(images.Unusable) as error:
            images.read(tmp_path / name, 64)
        assert error.value.reason == "unreadable"


def test_decode_is_the_squashed_picture(tmp_path):
    PICTURE.save(tmp_path / "a.png")
    pixels = images.decode(tmp_path / "a.png", 24, 64)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, PICTURE.resize((24, 24), Image.Resampling.BILINEAR))
