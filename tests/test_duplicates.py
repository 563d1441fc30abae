"""Copies, pictures of one scene, and strangers."""

import numpy as np
import pytest
from conftest import draw
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from test_thumbnails import CHANGES, crop, jpeg, scene, strangers

from happysad.data import duplicates
from happysad.data.duplicates import Pair, Signature, find_pairs, signature
from happysad.data.local_features import NEIGHBOURS


def signatures(pictures: list[Image.Image]) -> list[Signature]:
    return [signature(picture) for picture in pictures]


def part(image: Image.Image, share: float) -> Image.Image:
    return crop(image, (1 - share) * 0.3, (1 - share) * 0.6, (1 - share) * 0.7, (1 - share) * 0.4)


def caption(image: Image.Image, words: str = "when it is monday") -> Image.Image:
    result, (width, height) = image.copy(), image.size
    pen = ImageDraw.Draw(result)
    pen.rectangle([0, height * 0.87, width, height], fill="white")
    pen.text((5, height * 0.88), words, fill="black", font_size=height * 0.09)
    return result


def logo(image: Image.Image) -> Image.Image:
    result = image.copy()
    ImageDraw.Draw(result).ellipse([4, 4, 22, 22], fill="red", outline="white", width=4)
    return result


def watermark(image: Image.Image) -> Image.Image:
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).text((5, 50), "sample photo", fill=110, font_size=25)
    return Image.composite(Image.new("RGB", image.size, "white"), image, mask)


COPIES = {
    "75%": lambda image: part(image, 0.75),
    "60%": lambda image: part(image, 0.6),
    "caption": caption,
    "logo": logo,
    "watermark": watermark,
    "border": lambda image: ImageOps.expand(image, 8, "navy"),
    "black bars": lambda image: ImageOps.expand(image, (0, 18, 0, 18)),
    "turned by 3 degrees": lambda image: image.rotate(3, Image.Resampling.BICUBIC, fillcolor="grey"),
    "turned by 8 degrees": lambda image: image.rotate(-8, Image.Resampling.BICUBIC, fillcolor="grey"),
    "caption and frame": lambda image: ImageOps.expand(caption(image), 8, "white"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_picture_changed_as_a_whole_is_a_copy(change):
    originals = [scene(k) for k in range(20)]
    found = find_pairs(signatures(originals + [CHANGES[change](image) for image in originals]))
    assert {pair[:2] for pair in found} == {(k, k + 20) for k in range(20)}
    clipped = change in ("brighter", "more contrast")  # light is white now: in doubt, of one scene
    assert sum(pair.copy for pair in found) >= (4 if clipped else 19)


@pytest.mark.parametrize("change", COPIES)
def test_a_picture_changed_in_part_is_of_the_same_scene_at_least(change):
    originals = [scene(k) for k in range(15)]
    found = find_pairs(signatures(originals + [jpeg(COPIES[change](image)) for image in originals]))
    assert {pair[:2] for pair in found} <= {(k, k + 15) for k in range(15)}
    assert len(found) >= 13


def test_strangers_are_not_paired():
    pictures = strangers()
    assert find_pairs(signatures(pictures + [ImageOps.flip(image) for image in pictures[:20]])) == []


@pytest.mark.parametrize("overlay", [watermark, COPIES["caption and frame"]])
def test_what_is_laid_over_strangers_does_not_pair_them(overlay):
    busy, plain = [scene(k) for k in range(20)], [scene(k, background=255, shapes=6) for k in range(60, 75)]
    assert find_pairs(signatures([overlay(image) for image in busy + plain])) == []


def person(seed: int, happy: bool, side: int = 70) -> Image.Image:
    """One person at one place, at another moment: only the mouth and where the head is depend on the arguments."""
    rng = np.random.default_rng(seed)
    picture = scene(1, size=(320, 240))
    x, y = rng.uniform(110, 120), rng.uniform(60, 70)
    pen = ImageDraw.Draw(picture)
    pen.ellipse([x, y, x + side, y + 1.3 * side], "bisque", "brown", 3)
    for eye in (0.3, 0.7):
        pen.ellipse([x + eye * side - 5, y + side / 2 - 4, x + eye * side + 5, y + side / 2 + 4], "black")
    mouth = [x + 0.25 * side, y + 0.75 * side, x + 0.75 * side, y + 1.1 * side]
    pen.arc(mouth, *((10, 170) if happy else (190, 350)), "darkred", 5)
    light = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.9, 1.1))
    return Image.fromarray(
        (np.asarray(light) + rng.normal(0, 3, (240, 320, 3))).clip(0, 255).astype(np.uint8)
    )


@pytest.mark.parametrize("side", [40, 70])
def test_another_expression_or_place_is_another_picture_of_the_same_scene(side):
    found = find_pairs(signatures([person(seed, seed % 2 == 0, side) for seed in range(10)]))
    assert found and sum(pair.copy for pair in found) <= 3
    assert not any(pair.copy for pair in found if (pair.second - pair.first) % 2)


def test_a_face_that_changed_makes_no_copy_and_a_face_alone_ties_pictures():
    small, box = [person(1, happy, 24) for happy in (True, False)], (90, 50, 180, 130)
    assert [pair.copy for pair in find_pairs(signatures(small))] == [True]
    assert [pair.copy for pair in find_pairs([signature(picture, box) for picture in small])] == [False]
    elsewhere = scene(5, size=(320, 240))
    elsewhere.paste(small[0].crop(box), (20, 100))
    moved = signature(elsewhere, (20, 100, 110, 180))
    assert [pair[::3] for pair in find_pairs([signature(small[0], box), moved])] == [(0, False)]


def smiley(seed: int, happy: bool) -> Image.Image:
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", (150, 150), tuple(rng.integers(0, 256, 3)))
    x, y, r, w = *rng.uniform(65, 85, 2), rng.uniform(35, 60), int(rng.integers(1, 5))
    pen = ImageDraw.Draw(picture)
    pen.ellipse([x - r, y - r, x + r, y + r], "gold", "black", w)
    for side in (-1, 1):
        at = x + side * r / 3
        pen.ellipse([at - r / 8, y - r / 2, at + r / 8, y - r / 4], "black")
    pen.arc([x - r / 2, y, x + r / 2, y + r / 2], *((20, 160) if happy else (200, 340)), "black", w)
    return picture


def test_smileys_of_both_classes_are_no_copies():
    found = find_pairs(signatures([smiley(seed, seed % 2 == 0) for seed in range(24)]))
    assert not any(pair.copy for pair in found if (pair.second - pair.first) % 2)


def test_pictures_without_corners():
    blank = Image.new("RGB", (64, 64), "white")
    tiny, strip = Image.new("RGB", (1, 1)), draw(0, 700, 1)
    assert find_pairs(signatures([blank, blank, scene(0), tiny, strip])) == [Pair(0, 1, 1, True)]
    assert find_pairs(signatures([blank])) == []


def test_order_changes_nothing():
    changes = list(COPIES.values())[::3]
    pictures = signatures([change(scene(k)) for k in range(3) for change in changes])
    expected = {(frozenset(pair[:2]), *pair[2:]) for pair in find_pairs(pictures)}
    assert len(expected) >= 15
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(pictures))
        shuffled = find_pairs([pictures[i] for i in order])
        assert {(frozenset((order[i], order[j])), *rest) for i, j, *rest in shuffled} == expected


def test_more_copies_than_are_compared_with_one():
    """With one descriptor in more pictures than NEIGHBOURS, a chain of pairs still ties all of them."""
    copies = signatures([jpeg(part(scene(0), 0.7 + k / 100), 80) for k in range(3 * NEIGHBOURS)])
    assert len(duplicates.scenes(len(copies), find_pairs(copies))) == 1


# Copies and scenes
def test_scenes_hold_all_copies_of_a_picture_and_most_of_them_are_dropped():
    changes = [*CHANGES.values(), *COPIES.values()]
    pictures = signatures([change(scene(k)) for k in range(2) for change in changes])
    found = find_pairs(pictures)
    n = len(changes)
    assert duplicates.scenes(len(pictures), found) == [list(range(k * n, (k + 1) * n)) for k in range(2)]
    dropped = [i for same in duplicates.copies(pictures, found) for i in same[1:]]
    assert sum(i % n < len(CHANGES) for i in dropped) >= 18  # of 22


@given(st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11), st.booleans()), max_size=30))
def test_no_two_kept_are_copies_and_no_pair_leaves_its_scene(edges):
    pictures = [Signature(np.full((64, 64), i, np.uint8), None, None, None) for i in range(12)]
    found = sorted({Pair(a, b, 0.97, copy) for a, b, copy in edges if a < b})
    linked = {pair[:2] for pair in found if pair.copy}
    copies = duplicates.copies(pictures, found)
    kept = [same[0] for same in copies]
    assert sorted(i for same in copies for i in same) == list(range(12))
    assert not any((a, b) in linked for a in kept for b in kept)
    assert all((same[0], i) in linked for same in copies for i in same[1:])
    number = {i: n for n, group in enumerate(duplicates.scenes(12, found)) for i in group}
    assert all(number[a] == number[b] for a, b, *_ in found)


def test_a_copy_of_one_of_identical_pictures_is_a_copy_of_all():
    one, two, other = signatures([scene(1), jpeg(scene(1), 60), scene(2)])
    assert duplicates.copies([one, other, two, one], find_pairs([one, other, two, one])) == [[0, 2, 3], [1]]
    assert duplicates.copies([two, one, other, one], find_pairs([two, one, other, one])) == [[0, 1, 3], [2]]


def test_neither_a_chain_of_small_changes_nor_a_collage_drops_strangers():
    first, last = (np.asarray(scene(k), float) for k in (1, 2))
    chain = [Image.fromarray((first + (last - first) * k / 30).astype(np.uint8)) for k in range(31)]
    collage = Image.new("RGB", (320, 120))
    for k in (1, 2):
        collage.paste(scene(k), (160 * (k - 1), 0))
    for pictures in (chain, [collage, *chain[::30]]):
        signed = signatures(pictures)
        found = find_pairs(signed)
        assert len(duplicates.scenes(len(signed), found)) == 1
        assert not any({0, len(signed) - 1} <= set(same) for same in duplicates.copies(signed, found))
