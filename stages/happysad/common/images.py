"""The only decoder in the project: prepare and predict get the same pixels from the same file."""

import io
import os
import stat
import sys
import warnings
from pathlib import Path

import numpy as np
from PIL import AvifImagePlugin, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin  # noqa: F401

from happysad.common.errors import UserError

# Plain pixel formats. Pillow knows more, some of which start other programs (EPS) or read other files.
# preinit() loads the first four; importing the others' plugins alone is quicker than init() for all.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")
# Brands of files with HEVC pictures, as phones write.
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
Image.preinit()
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # pictures are decoded side by side already

Image.MAX_IMAGE_PIXELS = None  # our own limit, below, rejects before decoding and says so in our words
warnings.filterwarnings("ignore", module="PIL")  # about odd metadata, in files that decode all the same

MAX_SCANS = 20  # of a progressive JPEG of 64 megapixels, more of a smaller one; encoders write about 10
STRIP = 256  # rows


class Unusable(UserError):
    """A file that cannot serve as a picture; ``reason`` is its word in the manifest, the text says more."""

    def __init__(self, reason: str, text: str):
        super().__init__(reason, text)  # both, so that it survives the way back from a worker process
        self.reason = reason

    def __str__(self) -> str:
        return self.args[1]


def from_bytes(content: bytes, max_megapixels: float) -> tuple[Image.Image, str]:
    """Decode the bytes of one file at full size.

    Returns the RGB picture, turned as its EXIF orientation says, and its format, such as "JPEG". Alpha
    is laid on white, more than 8 bits a channel are scaled, an animation gives its first frame.
    Raises Unusable: "unreadable", or "too_large" above ``max_megapixels``.
    """
    file, formats = io.BytesIO(content), FORMATS
    heic = content[4:8] == b"ftyp" and content[8:12] in HEIC
    try:
        if heic:
            import pi_heif  # here, since few files need it

            pi_heif.register_heif_opener(decode_threads=1)  # pictures are decoded side by side already
            formats = (*FORMATS, "HEIF")  # AVIF files may have the same brands
            _check_boxes(content)
        picture = Image.open(file, formats=formats)
        megapixels = picture.width * picture.height / 1e6
        if megapixels > max_megapixels:
            size = f"{picture.width} x {picture.height} pixels"
            remedy = "make it smaller, or raise prepare.max_megapixels in params.yaml and run dvc repro"
            raise Unusable("too_large", f"{size} are more than {max_megapixels:g} megapixels: {remedy}")
        if picture.format in ("JPEG", "MPO"):
            _check_scans(picture, file, content, megapixels)
        kind = picture.format
        picture.load()
        if kind == "HEIF":  # its plugin decodes again in later calls
            picture = picture.copy()
        ImageOps.exif_transpose(picture, in_place=True)
        return _to_rgb(picture), kind
    except Unusable:
        raise
    except UnidentifiedImageError:
        raise Unusable("unreadable", "a broken HEIC picture" if heic else _what_else(content)) from None
    except MemoryError:
        raise Unusable("unreadable", "not enough memory to decode it") from None
    except Exception as error:  # noqa: BLE001 - a hostile file can make Pillow raise nearly anything
        text = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise Unusable("unreadable", text) from None


def read(path: Path, max_megapixels: float) -> tuple[Image.Image, str]:
    """``from_bytes`` of one file. Raises Unusable for one that cannot be read, or that is too large to be a picture."""
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):  # opening a FIFO would wait for ever
            permitted = os.access(path, os.R_OK)
            raise Unusable("unreadable", "not a regular file" if permitted else "Permission denied")
        most = 64 + 8 * max_megapixels  # megabytes: 16 bits of red, green, blue and alpha, and metadata
        if about.st_size > 1e6 * most:
            raise Unusable("too_large", f"{about.st_size / 1e6:.0f} MB are more than {most:g} MB")
        content = path.read_bytes()
    except OSError as error:
        raise Unusable("unreadable", error.strerror or str(error)) from None
    return from_bytes(content, max_megapixels)


def squash(picture: Image.Image, image_size: int) -> np.ndarray:
    """The model's input: uint8 (image_size, image_size, 3), RGB, the aspect ratio given up."""
    # Width first, as Pillow 12 and the exported graph do; in one call, Pillow 13 takes the order by the shape.
    narrow = picture.resize((image_size, picture.height), Image.Resampling.BILINEAR)
    return np.asarray(narrow.resize((image_size, image_size), Image.Resampling.BILINEAR))


def decode(path: Path, image_size: int, max_megapixels: float) -> np.ndarray:
    """``squash`` of ``read``. Raises Unusable."""
    return squash(read(path, max_megapixels)[0], image_size)


def silence_libraries() -> None:
    """For the rest of the process, discard what C libraries print about broken files; keep Python's own messages.

    libtiff reports every fault on file descriptor 2, without the name of the file.
    """
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _check_boxes(content: bytes) -> None:
    """Raises Unusable for a HEIC file that ends early, of which libheif leaves the missing tiles black."""
    end = 0
    while end < len(content):
        size = int.from_bytes(content[end : end + 4])
        if size == 1:  # it is too large for four bytes
            size = int.from_bytes(content[end + 8 : end + 16])
        elif size == 0:  # to the end
            size = len(content) - end
        end += max(size, 8)
    if end > len(content):
        raise Unusable("unreadable", "image file is truncated")


def _check_scans(picture: Image.Image, file: io.BytesIO, content: bytes, megapixels: float) -> None:
    """Raises Unusable for a JPEG with far too many scans; makes libjpeg report data that end too early."""
    begin = file.tell()  # of the first scan
    end = content.find(b"\xff\xd9", begin)
    scans = 1 + content.count(b"\xff\xda", begin, end if end >= 0 else len(content))
    if scans * megapixels > MAX_SCANS * 64:  # each takes time for all pixels, however few its bytes
        raise Unusable("unreadable", f"a JPEG in {scans} scans")
    if picture.info.get("progressive"):
        if scans == 1:
            raise Unusable("unreadable", "image file is truncated in its first scan")
    elif scans == 1 and end >= 0:
        # Before an end marker, libjpeg paints grey what is missing. Without the marker it asks for more data,
        # of which there are none; it looks ahead by a few bytes, which have to be there.
        file.seek(end)
        file.write(bytes(8))
        file.truncate()


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB" and not picture.has_transparency_data:
        return picture
    extrema = picture.getextrema() if picture.mode in ("I", "F") else (0, 65535)
    rgb = Image.new("RGB", picture.size)
    # By strips, since the pictures in between take up to 5 times the memory.
    for top in range(0, picture.height, STRIP):
        strip = picture.crop((0, top, picture.width, min(top + STRIP, picture.height)))
        rgb.paste(_strip_to_rgb(strip, *extrema), (0, top))
    return rgb


def _strip_to_rgb(strip: Image.Image, low: float, high: float) -> Image.Image:
    if strip.mode.startswith(("I", "F")):  # 16 or 32 bits: convert() would clip them to 255
        values = np.asarray(strip)
        if not np.isfinite(values).all():
            raise Unusable("unreadable", "pixels that are not numbers")
        scaled = (values.astype(np.float64) - low) * (255 / max(high - low, 1e-6))
        strip = Image.fromarray(scaled.round().clip(0, 255).astype(np.uint8))
    if strip.has_transparency_data:
        strip = strip.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip).convert("RGB")
    return strip.convert("RGB")


def _what_else(content: bytes) -> str:
    start = content[:64].lstrip()
    if not start:
        return "empty file"
    if start.startswith(b"<"):
        return "a web page or SVG, not pixels"
    if start[4:8] == b"ftyp":
        return "a video"
    return "not in a known picture format"
