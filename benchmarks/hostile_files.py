"""Run prepare on broken and malicious files: each must get a row of the manifest, in bounded time and memory.

The broken files are of all eight formats: truncated, with bits flipped, bytes deleted or inserted, headers changed, or
the wrong suffix. The malicious ones are cheap to make and expensive to decode. Prints what became of them. The same
seed gives the same files.

    python benchmarks/hostile_files.py --mutations 2000 --seed 1
"""

import argparse
import base64
import csv
import io
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from multiprocessing import Process
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

PROJECT = Path(__file__).resolve().parents[1]
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own, whose memory is not counted.
        writer = Process(target=write, args=(Path(folder), options.seed, options.mutations))
        writer.start()
        writer.join()
        report(Path(folder))


def write(root: Path, seed: int, n: int) -> None:
    for label in ("happy", "sad"):
        (root / "photos" / label).mkdir(parents=True)
    for i in range(60):  # prepare needs some for each split
        picture(1000 + i).save(root / f"photos/{('happy', 'sad')[i % 2]}/{i}.png")
    for name, content in mutations(seed, n):
        (root / "photos/happy" / name).write_bytes(content)
    for name, content in bombs():
        (root / "photos/sad" / f"bomb {name}").write_bytes(content)


def report(root: Path) -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text()) | {"source": "photos"}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    (root / "data").mkdir()
    (root / "data/corrections.csv").write_text("path,label\n")
    began = time.perf_counter()
    with open(root / "stderr", "w+", encoding="utf-8") as errors:
        command = [sys.executable, PROJECT / "stages/prepare.py", "--root", root]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, spent = os.wait4(process.pid, 0)
        errors.seek(0)
        said = errors.read() or "nothing"
    cpu = spent.ru_utime + spent.ru_stime
    print(f"status {status}, {time.perf_counter() - began:.0f} s, CPU {cpu:.0f} s")
    print(f"the largest process: {spent.ru_maxrss / 2**20:.2f} GiB; on standard error: {said}")
    with open(root / "data/prepared/manifest.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    print(f"{len(rows)} rows of {sum(file.is_file() for file in (root / 'photos').rglob('*'))} files")
    for reason, number in Counter(row["reason"] or "kept" for row in rows).most_common():
        print(f"{number:6} {reason}")
    for row in rows:
        if "bomb" in row["path"]:
            print(f"{row['path'].removeprefix('sad/'):40} {row['reason'] or 'kept'}: {row['detail']}")


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
    suffixes = [Path(name).suffix for name, _ in files]
    for i in range(n):
        rng = np.random.default_rng((seed, i))
        name, content = files[i % len(files)]
        stem, suffix = name.split(".")
        how = rng.choice(["cut", "flip", "delete", "insert", "header", "renamed"])
        at = int(rng.integers(len(content)))
        length = int(rng.integers(1, 200))
        changed = bytearray(content)
        if how == "cut":
            del changed[at:]
        elif how == "flip":
            for place in rng.integers(0, len(content), rng.integers(1, 20)):
                changed[place] ^= 1 << int(rng.integers(8))
        elif how == "delete":
            del changed[at : at + length]
        elif how == "insert":
            changed[at:at] = rng.bytes(length)
        elif how == "header":
            for place in rng.integers(0, 64, rng.integers(1, 4)):
                changed[place] = int(rng.choice([0, 1, 127, 128, 255]))
        ending = rng.choice(suffixes) if how == "renamed" else "." + suffix
        yield f"{i:05} {stem} {how}{ending}", bytes(changed)


def bombs(side: int = SIDE) -> Iterator[tuple[str, bytes]]:
    """Names and contents of files that take long, or much memory, to decode."""
    for name, size, scans in (("2000 scans.jpg", side, 2000), ("500 scans.jpg", side // 2, 500)):
        yield name, progressive_jpeg(size, scans)
    small = encoded(picture(0), "JPEG")
    yield "20 million fill bytes.jpg", small[:2] + b"\xff" * 20_000_000 + small[2:]
    yield "10 million comments.jpg", small[:2] + b"\xff\xfe\0\2" * 10_000_000 + small[2:]
    yield "strips.tiff", tiff(side, side, [(273, 3, 100_000_000, bytes(200_000_000))])
    yield "runs of one.bmp", rle_bmp(side)
    yield "float.tiff", tiff(side, side, [(258, 3, 1, 32), (339, 3, 1, 3)], pixels=bytes(4 * side * side))
    grey = Image.new("L", (side, side), 128)
    yield "zeros.png", encoded(grey, "PNG")
    yield "clear.png", encoded(Image.new("RGBA", (side, side)), "PNG")
    # A compressed comment of 1 GB in 1 MB.
    zeros = zlib.compressobj(9)
    packed = b"Comment\0\0" + b"".join(zeros.compress(bytes(10**6)) for _ in range(1000)) + zeros.flush()
    chunk = (
        struct.pack(">I", len(packed)) + b"zTXt" + packed + struct.pack(">I", zlib.crc32(b"zTXt" + packed))
    )
    yield "text.png", (png := encoded(picture(0), "PNG"))[:33] + chunk + png[33:]
    yield "large.gif", encoded(grey, "GIF")
    yield "large.webp", encoded(grey.convert("RGB"), "WEBP", method=0)
    yield "large.avif", encoded(grey.convert("RGB"), "AVIF", speed=10)


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


def tiff(width: int, height: int, tags: list, pixels: bytes = b"") -> bytes:
    """Grey, uncompressed; ``tags`` are (tag, type, count, value or bytes)."""
    plain = {
        256: (4, 1, width),
        257: (4, 1, height),
        258: (3, 1, 8),
        259: (3, 1, 1),
        262: (3, 1, 1),
        277: (3, 1, 1),
    }
    plain |= {278: (4, 1, height), 273: (4, 1, 8), 279: (4, 1, len(pixels))}
    plain |= {tag: rest for tag, *rest in tags}
    entries, extra = b"", b""
    begin = 8 + len(pixels)
    after = begin + 2 + 12 * len(plain) + 4
    for tag, (kind, count, value) in sorted(plain.items()):
        if isinstance(value, bytes):
            value, extra = after + len(extra), extra + value
        entries += struct.pack("<HHII", tag, kind, count, value)
    return (
        struct.pack("<2sHI", b"II", 42, begin)
        + pixels
        + struct.pack("<H", len(plain))
        + entries
        + bytes(4)
        + extra
    )


def rle_bmp(side: int) -> bytes:
    row = b"\1\0\1\1" * (side // 2) + b"\0\0"
    palette = bytes(i for level in range(256) for i in (level, level, level, 0))
    begin = 14 + 40 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, side * len(row), 2835, 2835, 256, 0)
    return struct.pack("<2sIHHI", b"BM", begin + side * len(row), 0, 0, begin) + header + palette + row * side


if __name__ == "__main__":
    main()
