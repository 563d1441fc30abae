import io
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from happysad.data import thumbnails
from happysad.data.thumbnails import find, similarity


def scene(seed: int, background: int | None = None, shapes: int = 40, size=(160, 120)) -> Image.Image:
    """Ellipses and lines of random colour, slightly blurred; few of them on white look like a cartoon."""
    rng = random.Random(seed)
    image = Image.new("RGB", size, (rng.randrange(256) if background is None else background,) * 3)
    draw = ImageDraw.Draw(image)
    for _ in range(shapes):
        x, y, r = rng.uniform(0, size[0]), rng.uniform(0, size[1]), min(5 * rng.paretovariate(1.2), 30)
        colour = tuple(rng.randrange(256) for _ in "rgb")
        if rng.random() < 0.7:
            draw.ellipse([x - r, y - r * 0.7, x + r, y + r * 0.7], fill=colour)
        else:
            draw.line([x, y, rng.uniform(0, size[0]), rng.uniform(0, size[1])], fill=colour, width=4)
    return image.filter(ImageFilter.GaussianBlur(1))


def text(seed: int) -> Image.Image:
    rng = random.Random(seed)
    image = Image.new("RGB", (160, 120), "white")
    words = [
        " ".join("".join(rng.choices("abcdefghmnopw", k=rng.randint(2, 8))) for _ in range(4))
        for _ in range(6)
    ]
    ImageDraw.Draw(image).multiline_text((10, 10), "\n".join(words), fill="black", font_size=15)
    return image


def strangers() -> list[Image.Image]:
    pictures = [scene(k) for k in range(100)]
    pictures += [ImageEnhance.Brightness(scene(k)).enhance(0.1) for k in range(100, 130)]
    pictures += [ImageEnhance.Contrast(scene(k)).enhance(0.1) for k in range(130, 160)]
    pictures += [scene(k, background=255, shapes=6) for k in range(160, 190)]
    return pictures + [text(k) for k in range(30)]


def small(pictures: list[Image.Image]) -> np.ndarray:
    return np.stack([thumbnails.thumbnail(picture.convert("L")) for picture in pictures])


def pairs(pictures: np.ndarray) -> set[tuple[int, int]]:
    return {pair[:2] for pair in find(pictures)}


def jpeg(image: Image.Image, quality: int = 90) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def crop(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    w, h = image.size
    return image.crop((int(w * left), int(h * top), int(w * (1 - right)), int(h * (1 - bottom))))


CHANGES = {
    "exact": lambda image: image,
    "jpeg 50": lambda image: jpeg(image, 50),
    "half size": lambda image: jpeg(image.resize((image.width // 2, image.height // 2))),
    "double size": lambda image: jpeg(image.resize((image.width * 2, image.height * 2))),
    "cropped at a corner": lambda image: jpeg(crop(image, 0.08, 0.08, 0, 0)),
    "cropped all round": lambda image: jpeg(crop(image, 0.05, 0.04, 0.06, 0.05)),
    "darker": lambda image: jpeg(ImageEnhance.Brightness(image).enhance(0.7)),
    "brighter": lambda image: jpeg(ImageEnhance.Brightness(image).enhance(1.3)),
    "less contrast": lambda image: jpeg(ImageEnhance.Contrast(image).enhance(0.7)),
    "more contrast": lambda image: jpeg(ImageEnhance.Contrast(image).enhance(1.4)),
    "grey": lambda image: jpeg(image.convert("L")),
    "mirrored": lambda image: jpeg(ImageOps.mirror(image)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_found(change):
    originals = [scene(k) for k in range(40)]
    copies = [CHANGES[change](image) for image in originals]
    found = pairs(small(originals + copies))
    assert found <= {(k, k + 40) for k in range(40)}
    assert len(found) >= 38


def test_strangers_are_not_paired():
    assert pairs(small(strangers())) == set()


def test_upside_down_is_not_a_copy():
    originals = [scene(k) for k in range(20)]
    assert pairs(small(originals + [ImageOps.flip(image) for image in originals])) == set()


def test_flat_pictures_pair_only_if_identical():
    flat = np.stack([np.full((32, 32), grey, np.uint8) for grey in (0, 7, 7, 255)])
    assert find(flat) == [(1, 2, 1.0)]


def test_one_picture_has_no_pairs():
    assert find(small([scene(0)])) == []


def test_identical_pictures_are_paired_with_the_first():
    one, other = small([scene(0), scene(1)])
    assert find(np.stack([one, other, one, other, one])) == [(0, 2, 1.0), (0, 4, 1.0), (1, 3, 1.0)]


SAMPLE = small([change(scene(k)) for k in range(12) for change in list(CHANGES.values())[1::2]])


def test_products_of_vectors_are_exact_in_float32():
    """Integers whose partial sums stay below 2**24, by the Cauchy-Schwarz inequality."""
    even, odd, even_tangents, odd_tangents = thumbnails._vectors(
        np.concatenate([SAMPLE, 9 * np.eye(32)[None]])
    )
    for vectors in (np.hstack([even, odd])[..., None], np.hstack([even_tangents, odd_tangents])):
        assert vectors.dtype == np.float32 and (vectors % 1 == 0).all()
        assert np.square(vectors, dtype=float).sum(1).max() < 2**24


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(len(SAMPLE))))
def test_order_changes_nothing(order):
    found, shuffled = find(SAMPLE), find(SAMPLE[order])
    expected = {(frozenset((i, j)), s) for i, j, s in found}
    assert {(frozenset((order[i], order[j])), s) for i, j, s in shuffled} == expected


def test_blocks_of_rows_join_without_a_seam(monkeypatch):
    expected = find(SAMPLE)
    monkeypatch.setattr(thumbnails, "CELLS", 200)
    assert [pair[:2] for pair in find(SAMPLE)] == [pair[:2] for pair in expected]


def test_copies_by_one_of_two_views():
    """Pictures 0 and 1 share the first view, 1 and 2 the second, and 3 shares neither."""
    first = small([scene(0), jpeg(scene(0)), scene(2), scene(3)])
    second = small([scene(4), scene(5), jpeg(scene(5)), scene(6)])
    found = find(first, second)
    assert [pair[:2] for pair in found] == [(0, 1), (1, 2)]
    assert [pair[:2] for pair in find(first, first)] == [(0, 1)]


def test_a_pair_has_the_similarity_of_its_most_similar_view():
    a, b = small([scene(0), jpeg(scene(0), 50)]), small([scene(1), jpeg(scene(1), 95)])
    assert find(a)[0][2] < find(b)[0][2]
    assert find(a, b) == find(b, a) == find(b)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), *[st.floats(0, 0.08)] * 4, st.floats(0.7, 1.3))
def test_similarity_survives_a_crop_either_way(seed, left, top, right, bottom, gain):
    image = scene(seed)
    copy = ImageEnhance.Brightness(crop(image, left, top, right, bottom)).enhance(gain)
    a, b = small([image]), small([copy])
    assert similarity(a, b) > 0.85
    assert similarity(b, a) > 0.85


def test_thumbnail_is_small_and_grey():
    result = thumbnails.thumbnail(Image.new("RGB", (333, 77), (255, 0, 0)).convert("L"))
    assert result.shape == (32, 32) and result.dtype == np.uint8
    assert set(result.ravel()) == {76}  # ITU-R 601 luma of pure red
