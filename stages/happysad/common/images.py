"""The only decoder in the project: prepare and predict get the same pixels from the same file."""

import os
import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import AvifImagePlugin, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin  # noqa: F401

# Plain pixel formats. Pillow knows more, some of which start other programs (EPS) or read other files.
# preinit() loads the first four; importing the others' plugins alone is quicker than init() for all.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")
Image.preinit()

Image.MAX_IMAGE_PIXELS = None  # our own limit, below, rejects before decoding and says so in our words
warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, in files that decode all the same
from happysad.common.errors import UserError


class Unusable(UserError):
    """A file that cannot serve as a picture; ``reason`` is its word in the manifest, the text says more."""

    def __init__(self, reason: str, text: str):
        super().__init__(reason, text)  # both, so that it survives the way back from a worker process
        self.reason = reason

    def __str__(self) -> str:
        return self.args[1]


def read(path: Path, max_megapixels: float) -> tuple[Image.Image, str]:
    """Decode one file at full size.

    Returns the RGB picture, turned as its EXIF orientation says, and its format, such as "JPEG". Alpha
    is laid on white, more than 8 bits a channel are scaled, an animation gives its first frame.
    Raises Unusable: "unreadable", or "too_large" above ``max_megapixels``.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a FIFO would wait for ever
            permitted = os.access(path, os.R_OK)
            raise Unusable("unreadable", "not a regular file" if permitted else "Permission denied")
        with Image.open(path, formats=FORMATS) as picture:
            megapixels = picture.width * picture.height / 1e6
            if megapixels > max_megapixels:
                size = f"{picture.width} x {picture.height} pixels"
                raise Unusable("too_large", f"{size} are more than {max_megapixels:g} megapixels")
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
            return _to_rgb(picture), picture.format
    except Unusable:
        raise
    except UnidentifiedImageError:
        raise Unusable("unreadable", _what_else(path)) from None
    except OSError as error:
        raise Unusable("unreadable", error.strerror or str(error)) from None
    except Exception as error:  # noqa: BLE001 - a hostile file can make Pillow raise nearly anything
        raise Unusable("unreadable", f"{type(error).__name__}: {error}") from None


def squash(picture: Image.Image, image_size: int) -> np.ndarray:
    """The model's input: uint8 (image_size, image_size, 3), RGB, the aspect ratio given up."""
    # Width first, as Pillow 12 and the exported graph do; in one call, Pillow 13 takes the order by the shape.
    narrow = picture.resize((image_size, picture.height), Image.Resampling.BILINEAR)
    return np.asarray(narrow.resize((image_size, image_size), Image.Resampling.BILINEAR))


def decode(path: Path, image_size: int, max_megapixels: float) -> np.ndarray:
    """``squash`` of ``read``: what prepare stores and predict feeds to the model. Raises Unusable."""
    return squash(read(path, max_megapixels)[0], image_size)


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):  # 16 or 32 bits: convert() would clip them to 255
        values = np.asarray(picture, np.float32)
        low, high = (0, 65535) if picture.mode.startswith("I;16") else (values.min(), values.max())
        scaled = (values - low) * (255 / max(high - low, 1e-6))
        picture = Image.fromarray(scaled.round().clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")


def _what_else(path: Path) -> str:
    with open(path, "rb") as file:
        start = file.read(64).lstrip()
    if not start:
        return "empty file"
    if start.startswith(b"<"):
        return "a web page or SVG, not pixels"
    if start[4:8] == b"ftyp":
        return "a HEIC picture or a video: convert it to JPEG"
    return "not in a known picture format"
