"""Run prepare on broken and malicious files: each must get a row of the manifest, in bounded time and memory.

    python benchmarks/hostile_files.py

The broken files are of all eight formats: truncated, with bits flipped, bytes deleted or inserted, headers changed, or
the wrong suffix. The malicious ones are cheap to make and expensive to decode. Prints what became of them.
"""

import base64
import io
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from multiprocessing import Process
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image

PROJECT = Path(__file__).resolve().parents[1]
BROKEN = 1000  # files
SIDE = 8000  # pixels: bombs are of 64 megapixels, just what max_megapixels lets through

# A HEIC file of 29 x 100 pixels, a ramp in 10 bits: no library at hand writes the format. From the tests of pi-heif,
# copyright (c) 2021-2023, Pillow-Heif contributors, BSD 3-Clause.
GREY_HEIC = """
AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAWNtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAAA5waXRt
AAAAAAABAAAAImlsb2MAAAAAREAAAQABAAAAAAGHAAEAAAAAAAACZQAAACNpaW5mAAAAAAABAAAAFWluZmUCAAAAAAEAAGh2YzEAAAAA42lw
cnAAAADEaXBjbwAAAHJodmNDAQQIAAAAAAAAAAAA//AA/Pz6+gAADwMgAAEAF0ABDAH//wQIAAADAJ34AAADAAD/ugJAIQABACdCAQEECAAA
AwCd+AAAAwAA/8CCBp8rZbqrprmwIAAAAwAgAAADACEiAAEABkQBwXGLEgAAABRpc3BlAAAAAAAAAEAAAABkAAAAKGNsYXAAAAAdAAAAAQAA
AGQAAAAB////3QAAAAIAAAAAAAAAAgAAAA5waXhpAAAAAAEKAAAAF2lwbWEAAAAAAAAAAQABBIECgwQAAAJtbWRhdAAAAmEoAa4LZz47Vmxn
ySx7NDMf//5AIcnwscN5McCRsE35DNDPQJfYVCES+NVol9kS+NVpEohdAD/E/T9+XXOiK7QmO5Mae7K1JoAASTw61utEEsxQkOP6yvmUQAAd
BZm/Zn0F1tmK7d/ZV5NuVM7XooAMrQAADtJI3EHeuGAxKF7i2LClgAAQ0HDGPdoT/Ua+ABjtS4s5OwA94oqLnaHFKWetmCflWUAAzUVHJGk4
83bEC2EI0gHrQAB0lB74EwLXZHflVeTo7GNPNT0NFr8AAD1IQVsGjyNmOVfl8yfYxcAANE+XvhWoqNsH2cdc3quXsjgDUvrY+ci9w1yFUW5p
XUQAJ9seR68OaEVlUJfvO/WEQADiMj49P8E9/ebxMwEFPcfo2G2sIZEAAHGW4xkZFnX43djkGh4HDoADsJXnPIGiQNMUXHc/c2ychgCWHUv1
G6tctq9pdZPu6gAUjU4c90Xbe5SPbjhW4+sYACxW+BYl3PpmwmNClWxIZvrEvGAipQAAlvRPfE1s97oJVHKm5kt7gAXipYHwVlZwAdIdDc/i
1AmAASBexR9Bw4FFdgx7bfbZIAAew4gsIYWFSMPNaHl1extgAWm2+GQzM+OyNqkteSx3/4AAbeEB61RtugfMpd6Let5duCngAADgMIpTOECK
hiGlVmlxKOMADJRb9QZzv0+AxwmN6IZHbzwA0UP3c1v559DlReA//oAAw83jjPv7S6dY1Cy3A/kdwALxRu9+BK/l66RAA5+5p4wEAOOoMRL4
/iFsMNMX+NWfQnIAAbhodP6BkmaYbFQoefAmPsijW9I=
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        writer = Process(target=write, args=(root,))  # a process of its own, whose memory is not counted
        writer.start()
        writer.join()
        began = time.perf_counter()
        with open(root / "stderr", "w", encoding="utf-8") as errors:
            command = [sys.executable, PROJECT / "stages/prepare.py", "--root", root]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
            _, status, spent = os.wait4(process.pid, 0)
        wall, cpu = time.perf_counter() - began, spent.ru_utime + spent.ru_stime
        print(f"exit status {os.waitstatus_to_exitcode(status)}, {wall:.0f} s, of CPU time {cpu:.0f} s")
        said = (root / "stderr").read_text() or "nothing"
        print(f"the largest process: {spent.ru_maxrss / 2**20:.2f} GiB; on standard error: {said}")
        rows = pd.read_csv(root / "data/prepared/manifest.csv", keep_default_na=False)
        print(f"{len(rows)} rows of {sum(file.is_file() for file in (root / 'photos').rglob('*'))} files")
        print(rows["reason"].replace("", "kept").value_counts().to_string())
        for row in rows[rows["path"].str.contains("bomb")].itertuples():
            print(f"{row.path.removeprefix('sad/'):40} {row.reason or 'kept'}: {row.detail}")


def write(root: Path) -> None:
    """A project whose source holds 60 good pictures, which prepare needs for its splits, and the hostile files."""
    for label in ("happy", "sad"):
        (root / "photos" / label).mkdir(parents=True)
        for i in range(30):
            picture(len(label) * 1000 + i).save(root / f"photos/{label}/{i}.png")
    for name, content in mutations(seed=0, n=BROKEN):
        (root / "photos/happy" / name).write_bytes(content)
    for name, content in bombs(SIDE):
        (root / "photos/sad" / f"bomb {name}").write_bytes(content)
    params = yaml.safe_load((PROJECT / "params.yaml").read_text()) | {"source": "photos"}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    (root / "data").mkdir()
    (root / "data/corrections.csv").write_text("path,label\n")


def picture(seed: int, width: int = 96, height: int = 64) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def intact() -> dict[str, bytes]:
    """A file of each kind."""
    image = picture(0)
    return {
        "baseline.jpg": encoded(image, "JPEG", quality=90),
        "progressive.jpg": encoded(image, "JPEG", quality=90, progressive=True),
        "restarts.jpg": encoded(image, "JPEG", quality=90, restart_marker_blocks=4),
        "rgb.png": encoded(image, "PNG"),
        "alpha.png": encoded(image.convert("RGBA"), "PNG"),
        "palette.gif": encoded(image, "GIF"),
        "animation.gif": encoded(image, "GIF", save_all=True, append_images=[picture(1), picture(2)]),
        "rgb.bmp": encoded(image, "BMP"),
        "lossy.webp": encoded(image, "WEBP"),
        "lossless.webp": encoded(image, "WEBP", lossless=True),
        "raw.tiff": encoded(image, "TIFF"),
        "lzw.tiff": encoded(image, "TIFF", compression="tiff_lzw"),
        "deflate.tiff": encoded(image, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg.tiff": encoded(image, "TIFF", compression="jpeg"),
        "float.tiff": encoded(image.convert("F"), "TIFF"),
        "rgb.avif": encoded(image, "AVIF"),
        "grey.heic": base64.b64decode(GREY_HEIC),
    }


def mutations(seed: int, n: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents of ``n`` broken files, which take the kinds of ``intact`` in turn."""
    files = list(intact().items())
    for i in range(n):
        rng = np.random.default_rng((seed, i))
        name, content = files[i % len(files)]
        changed, suffix = bytearray(content), Path(name).suffix
        at, length = int(rng.integers(len(content))), int(rng.integers(1, 200))
        match how := str(rng.choice(["cut", "flip", "delete", "insert", "header", "renamed"])):
            case "cut":
                del changed[at:]
            case "flip":
                for place in rng.integers(0, len(content), rng.integers(1, 20)):
                    changed[place] ^= 1 << int(rng.integers(8))
            case "delete":
                del changed[at : at + length]
            case "insert":
                changed[at:at] = rng.bytes(length)
            case "header":
                for place in rng.integers(0, 64, rng.integers(1, 4)):
                    changed[place] = int(rng.choice([0, 1, 127, 128, 255]))
            case "renamed":
                suffix = Path(files[rng.integers(len(files))][0]).suffix
        yield f"{i:05} {Path(name).stem} {how}{suffix}", bytes(changed)


def bombs(side: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents of files that take long, or much memory, to decode."""
    for name, size, scans in (("2000 scans.jpg", side, 2000), ("500 scans.jpg", side // 2, 500)):
        yield name, progressive_jpeg(size, scans)
    small = encoded(picture(0), "JPEG")
    yield "20 million fill bytes.jpg", small[:2] + b"\xff" * 20_000_000 + small[2:]
    yield "10 million comments.jpg", small[:2] + b"\xff\xfe\0\2" * 10_000_000 + small[2:]
    yield "strips.tiff", tiff_of_strips(side, 100_000_000)
    yield "runs of one.bmp", rle_bmp(side)
    yield "float.tiff", encoded(Image.new("F", (side, side)), "TIFF")
    grey = Image.new("L", (side, side), 128)
    yield "zeros.png", encoded(grey, "PNG")
    yield "clear.png", encoded(Image.new("RGBA", (side, side)), "PNG")
    yield "text.png", png_with_comment(10**9)
    yield "large.gif", encoded(grey, "GIF")
    yield "large.webp", encoded(grey.convert("RGB"), "WEBP", method=0)
    yield "large.avif", encoded(grey.convert("RGB"), "AVIF", speed=10)


def png_with_comment(size: int) -> bytes:
    """A small picture with a comment of ``size`` zeros, compressed to a thousandth."""
    compressor = zlib.compressobj(9)
    zeros = b"".join(compressor.compress(bytes(10**6)) for _ in range(size // 10**6)) + compressor.flush()
    chunk = b"zTXtComment\0\0" + zeros
    png = encoded(picture(0), "PNG")
    return (
        png[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]
    )


def progressive_jpeg(side: int, scans: int) -> bytes:
    """A grey picture whose AC coefficient 1 is sent as nothing again and again: 200 bytes a scan, all blocks to visit."""

    def segment(marker: int, content: bytes) -> bytes:
        return struct.pack(">BBH", 255, marker, 2 + len(content)) + content

    def table(kind: int, symbol: int) -> bytes:  # one code, a 0 bit
        return segment(0xC4, bytes([kind << 4, 1, *[0] * 15, symbol]))

    blocks = (side + 7) // 8
    quantiser = segment(0xDB, bytes([0, *[1] * 64]))
    frame = segment(0xC2, struct.pack(">BHHBBBB", 8, side, side, 1, 1, 0x11, 0))
    first = segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + bytes(blocks * blocks // 8 + 8)
    runs = -(-blocks * blocks // 16384)  # of 2^14 empty blocks: a 0 bit, then 14 bits of zeros
    later = segment(0xDA, bytes([1, 1, 0, 1, 1, 0])) + bytes(runs * 15 // 8 + 8)
    tables = table(0, 0) + table(1, 0xE0)
    return b"\xff\xd8" + quantiser + frame + tables + first + later * scans + b"\xff\xd9"


def tiff_of_strips(side: int, strips: int) -> bytes:
    """A grey, uncompressed picture that lists the places of that many strips of pixels."""
    tags = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 3, strips, 14 + 12 * 7), (278, 4, 1, side)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4 + 2 * strips)


def rle_bmp(side: int) -> bytes:
    row = b"\1\0\1\1" * (side // 2) + b"\0\0"
    palette = bytes(i for level in range(256) for i in (level, level, level, 0))
    begin = 14 + 40 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, side * len(row), 2835, 2835, 256, 0)
    return struct.pack("<2sIHHI", b"BM", begin + side * len(row), 0, 0, begin) + header + palette + row * side


if __name__ == "__main__":
    main()
