import io
import random

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from happysad.data import thumbnails


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


def small(pictures: list[Image.Image]) -> list[np.ndarray]:
    return [thumbnails.thumbnail(picture.convert("L")) for picture in pictures]


def pairs(pictures: list[np.ndarray]) -> set[tuple[int, int, bool]]:
    return {(min(a, b), max(a, b), mirrored) for a, b, mirrored in thumbnails.candidates(pictures)}


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


SAMPLE = small([change(scene(k)) for k in range(12) for change in list(CHANGES.values())[1::2]])


def test_candidates_hold_all_copies_and_tell_mirror_images():
    originals = [scene(k) for k in range(20)]
    for name, change in CHANGES.items():
        found = pairs(small(originals + [change(image) for image in originals]))
        assert {(k, k + 20, name == "mirrored") for k in range(20)} <= found, name
        assert len(found) < 40, name


def test_products_of_vectors_are_exact_in_float32():
    """Integers whose partial sums stay below 2**24, by the Cauchy-Schwarz inequality."""
    corner = np.zeros((thumbnails.SIDE, thumbnails.SIDE), np.uint8)
    corner[0, 0] = 9
    even, odd, even_tangents, odd_tangents = thumbnails._vectors(np.stack([*SAMPLE, corner]))
    for vectors in (np.hstack([even, odd])[..., None], np.hstack([even_tangents, odd_tangents])):
        assert vectors.dtype == np.float32 and (vectors % 1 == 0).all()
        assert np.square(vectors, dtype=float).sum(1).max() < 2**24


def test_blocks_of_rows_join_without_a_seam(monkeypatch):
    expected = pairs(SAMPLE)
    monkeypatch.setattr(thumbnails, "CELLS", 200)
    assert pairs(SAMPLE) == expected


def test_many_pictures_from_one_camera_have_few_candidates_each():
    rng = np.random.default_rng(1)
    frames = [np.clip(SAMPLE[0] + rng.normal(0, 3, SAMPLE[0].shape), 0, 255) for _ in range(200)]
    found = thumbnails.candidates([frame.astype(np.uint8) for frame in frames])
    assert len(found) == 200 * thumbnails.NEIGHBOURS
