"""What prepare decides does not depend on the processor."""

from conftest import on_each_processor
from test_faces import drawn

DECIDE = """
from pathlib import Path

import numpy as np
from PIL import Image

from happysad.data import faces
from happysad.data import duplicates, quality, thumbnails

rng = np.random.default_rng(1)
pictures = []
for size in range(48, 88, 2):
    blobs = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    picture = blobs.resize((size, size), Image.Resampling.BICUBIC)
    pictures += [picture, picture.crop((3, 2, size, size)), picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
across = np.add.outer(np.arange(64), np.arange(64))  # its derivatives by x and y are the same
pictures += [Image.fromarray(np.uint8(across * step % 128)).convert("RGB") for step in range(1, 20)]
turned = [picture.rotate(6).crop((8, 8, 48, 48)) for picture in pictures[:60:3]]
signatures = [duplicates.signature(picture) for picture in [*pictures, *turned]]
pairs = duplicates.find_pairs(signatures)
print(pairs)
print(duplicates.scenes(len(signatures), pairs), duplicates.copies(signatures, pairs))
print([thumbnails.perceptual_hash(s.thumbnail) for s in signatures[: len(pictures)]])
print([quality.scores(picture, 64) for picture in pictures])
print([faces.find(Image.open(file)) for file in sorted(Path(FOLDER).iterdir())])
"""


def test_same_decisions_on_every_processor(tmp_path):
    for seed in range(10):
        drawn(seed, size=100 + 80 * seed)[0].save(tmp_path / f"{seed}.png")
    script = f"FOLDER = {str(tmp_path)!r}\n{DECIDE}"
    decisions = [output.splitlines() for output in on_each_processor(script)]
    pairs, _, hashes, scores, boxes = decisions[0]
    assert pairs.count(b"Pair(") >= 50
    assert 20 < pairs.count(b"copy=True") < pairs.count(b"Pair(")
    assert hashes.count(b",") == scores.count(b"{") - 1 == 78
    assert boxes.count(b"Face(") == 10
    assert all(decision == decisions[0] for decision in decisions)
