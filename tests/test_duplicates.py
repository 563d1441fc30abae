"""Copies by local features, and the groups that all copies form."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps
from test_thumbnails import CHANGES, crop, jpeg, scene, strangers

from happysad.common import images
from happysad.data.duplicates import Pair, Signature, find, group, signature
from happysad.data.local_features import NEIGHBOURS


def signatures(pictures: list[Image.Image]) -> list[Signature]:
    return [signature(picture) for picture in pictures]


def part(image: Image.Image, share: float) -> Image.Image:
    return crop(image, (1 - share) * 0.3, (1 - share) * 0.6, (1 - share) * 0.7, (1 - share) * 0.4)


def caption(image: Image.Image, words: str = "when it is monday") -> Image.Image:
    result, (width, height) = image.copy(), image.size
    draw = ImageDraw.Draw(result)
    draw.rectangle([0, height * 0.87, width, height], fill="white")
    draw.text((5, height * 0.88), words, fill="black", font_size=height * 0.09)
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


@pytest.mark.parametrize("change", COPIES)
def test_copies_are_found(change):
    originals = [scene(k) for k in range(30)]
    found = find(signatures(originals + [jpeg(COPIES[change](image)) for image in originals]))
    assert {pair[:2] for pair in found} <= {(k, k + 30) for k in range(30)}
    assert len(found) >= 28


def test_strangers_are_not_paired():
    assert find(signatures(strangers())) == []


@pytest.mark.parametrize("overlay", [caption, logo, watermark, COPIES["caption and frame"]])
def test_what_is_laid_over_strangers_does_not_pair_them(overlay):
    busy, plain = [scene(k) for k in range(30)], [scene(k, background=255, shapes=6) for k in range(60, 80)]
    assert find(signatures([overlay(image) for image in busy + plain])) == []


def test_a_transparent_corner(tmp_path):
    """It is white once it is decoded."""
    originals = [scene(k, background=60) for k in range(10)]
    decoded = []
    for k, image in enumerate(originals):
        y, x = np.mgrid[: image.height, : image.width]
        image = image.copy()
        image.putalpha(Image.fromarray(np.where(x + y < 60, 0, 255).astype(np.uint8)))
        image.save(tmp_path / f"{k}.png")
        decoded.append(images.read(Path(tmp_path, f"{k}.png"), 64)[0])
    assert {pair[:2] for pair in find(signatures(originals + decoded))} == {(k, k + 10) for k in range(10)}


def test_a_pair_tells_what_each_picture_shows_of_the_other():
    image = scene(0)
    (pair,) = find(signatures([crop(image, 0.2, 0.1, 0.2, 0.3), image]))
    assert pair.shown[0] == (0, 0, 1, 1)
    assert np.allclose(pair.shown[1], (0.2, 0.1, 0.8, 0.7), atol=0.04)


def test_pictures_without_corners():
    blank = Image.new("RGB", (64, 64), "white")
    assert find(signatures([blank, blank, scene(0), Image.new("RGB", (1, 1))])) == [Pair(0, 1, 1)]
    assert find(signatures([blank])) == []


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(20)))
def test_order_changes_nothing(order):
    found, shuffled = find(SAMPLE), find([SAMPLE[i] for i in order])
    expected = {(frozenset(pair[:2]), pair.similarity) for pair in found}
    assert {(frozenset((order[i], order[j])), s) for i, j, s, _ in shuffled} == expected
    groups, mixed = group(found, SAMPLE), group(shuffled, [SAMPLE[i] for i in order])
    assert partition(groups, range(len(order))) == partition(mixed, order)


SAMPLE = signatures([change(scene(k)) for k in range(4) for change in list(COPIES.values())[::2]])


def partition(groups: np.ndarray, names) -> set[frozenset]:
    return {frozenset(n for n, g in zip(names, groups, strict=True) if g == k) for k in groups}


def test_more_copies_than_are_compared_with_one():
    """With one descriptor in more pictures than NEIGHBOURS, a chain of pairs still ties all of them."""
    copies = signatures([jpeg(part(scene(0), 0.7 + k / 100), 80) for k in range(3 * NEIGHBOURS)])
    assert len(set(group(find(copies), copies))) == 1


# Groups


def test_groups_hold_all_copies_of_a_picture():
    changes = [*CHANGES.values(), *COPIES.values()]
    pictures = signatures([change(scene(k)) for k in range(6) for change in changes])
    groups = group(find(pictures), pictures)
    assert (groups.reshape(6, -1) == groups[:: len(changes), None]).mean() > 0.97
    assert len(set(groups[:: len(changes)])) == 6


def test_a_chain_of_small_changes_does_not_tie_strangers():
    first, last = (np.asarray(scene(k), float) for k in (1, 2))
    chain = [Image.fromarray((first + (last - first) * k / 30).astype(np.uint8)) for k in range(31)]
    pictures = signatures(chain)
    found = find(pictures)
    assert {(k, k + 1) for k in range(30)} <= {pair[:2] for pair in found}
    groups = group(found, pictures)
    assert groups[0] != groups[-1]
    assert groups[0] == groups[1] and groups[-2] == groups[-1]


def collage(*parts: Image.Image) -> Image.Image:
    result = Image.new("RGB", (parts[0].width * len(parts), parts[0].height))
    for k, image in enumerate(parts):
        result.paste(image, (k * image.width, 0))
    return result


@pytest.mark.parametrize("times", [1, 3])
def test_a_collage_does_not_tie_strangers(times):
    both = collage(scene(1), scene(2))
    pictures = signatures([scene(1), caption(scene(1)), jpeg(scene(2)), *[both] * times])
    found = find(pictures)
    assert {(0, 3), (2, 3)} <= {pair[:2] for pair in found}
    groups = group(found, pictures)
    assert groups[0] == groups[1] != groups[2]
    assert set(groups[3:]) in ({groups[0]}, {groups[2]})


def thumbnails_alone(*views: list[Image.Image]) -> list[Signature]:
    none = np.zeros((0, 35), np.uint8)
    return [Signature(signature(*images).thumbnails, none) for images in zip(*views, strict=True)]


def test_copies_by_one_of_two_views():
    """Pictures 0 and 1 share the first view, 1 and 2 the second, and 3 shares neither."""
    first = [scene(0), jpeg(scene(0)), scene(2), scene(3)]
    second = [scene(4), scene(5), jpeg(scene(5)), scene(6)]
    pictures = [signature(*views) for views in zip(first, second, strict=True)]
    assert list(group(find(pictures), pictures)) == [0, 0, 0, 1]


def test_a_member_of_a_group_resembles_its_representative_in_any_view():
    whole = [scene(k) for k in range(4)]
    shown = [jpeg(scene(9), quality) for quality in (95, 80, 65, 50)]
    both, alone = thumbnails_alone(whole, shown), thumbnails_alone(whole)
    chain = [pair for pair in find(both) if pair.second - pair.first == 1]
    assert len(chain) == 3
    assert list(group(chain, both)) == [0, 0, 0, 0]
    assert len(set(group(chain, alone))) > 1


def test_groups_are_numbered_from_zero():
    assert sorted(group([], SAMPLE[::5])) == list(range(len(SAMPLE[::5])))
