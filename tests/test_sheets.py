"""Contact sheets: every picture is there, undistorted, and captions stay within their tile."""

import numpy as np
from PIL import ImageFont

from happysad.plotting.contact_sheet import GAP, TILE, sheet, shorten


def test_each_picture_has_its_tile():
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    pictures = [np.full((32, 32, 3), colour, np.uint8) for colour in colours]
    page = np.asarray(sheet(pictures, ["a\n0.1", "b", "c"], 2, "three"))
    for colour in colours:
        assert (page == colour).all(axis=2).sum() == TILE * TILE
    assert (page[: TILE + 40, GAP : GAP + TILE] == colours[0]).all(axis=2).sum() == TILE * TILE
    assert sheet([], [], 3, "none").width > 0


def test_a_wide_picture_keeps_its_shape():
    picture = np.full((32, 128, 3), (200, 0, 0), np.uint8)
    red = (np.asarray(sheet([picture], [""], 1, "")) == (200, 0, 0)).all(axis=2)
    assert (red.any(axis=1).sum(), red.any(axis=0).sum()) == (TILE * 3 // 4, TILE * 3)


def test_captions_fit_and_keep_their_end():
    font = ImageFont.load_default(11)
    short = shorten("a/very/long/folder/name/that/does/not/fit/IMG_0001.jpg", font, TILE)
    assert short.endswith("IMG_0001.jpg")
    assert font.getlength(short) <= TILE
    assert shorten("IMG.jpg", font, TILE) == "IMG.jpg"
    assert shorten("caf\udce9.jpg", font, TILE) == "caf?.jpg"
