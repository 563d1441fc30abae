"""Contact sheets: pictures in a grid, each with its caption."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

TILE = 128  # pixels, the height of a tile
GAP = 12
LINE = 15  # from one line of a caption to the next


def sheet(
    pictures: Sequence[np.ndarray], captions: Sequence[str], columns: int, title: str, tile: int = TILE
) -> Image.Image:
    """An RGB page with ``title`` above, and ``columns`` pictures a row.

    ``pictures`` are uint8 (height, width, 3), each of any size: scaled to fit its tile, never distorted. A
    tile is as wide as the widest picture scaled to ``tile`` pixels in height, up to three times that. A caption
    may have several lines; what is too long for the tile loses its beginning, since file names differ at
    the end.
    """
    widest = max((p.shape[1] / p.shape[0] for p in pictures), default=1)
    width = round(tile * min(max(widest, 1), 3))
    lines = max((caption.count("\n") + 1 for caption in captions), default=0)
    height = tile + 4 + lines * LINE
    rows = -(-len(pictures) // columns)
    text_width = ImageFont.load_default(18).getlength(title)
    page_width = max(columns * (width + GAP) + GAP, round(text_width) + 2 * GAP)
    page = Image.new("RGB", (page_width, 40 + rows * (height + GAP)), "white")
    draw = ImageDraw.Draw(page)
    draw.text((GAP, 10), title, "black", ImageFont.load_default(18))
    font = ImageFont.load_default(11)
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        x, y = GAP + i % columns * (width + GAP), 40 + i // columns * (height + GAP)
        scaled = ImageOps.contain(Image.fromarray(picture), (width, tile), Image.Resampling.BICUBIC)
        page.paste(scaled, (x, y))
        for j, line in enumerate(caption.split("\n")):
            draw.text((x, y + tile + 4 + j * LINE), shorten(line, font, width), "black", font)
    return page


def shorten(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """``line`` without as much of its beginning as makes it ``width`` pixels long."""
    line = line.encode("utf-8", "replace").decode()  # a file name may hold bytes that are no text
    if font.getlength(line) <= width:
        return line
    return next(cut for i in range(1, len(line) + 1) if font.getlength(cut := "…" + line[i:]) <= width)
