"""Contact sheets and a chart to look at: faces, copies, scenes, what was rejected."""

from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from happysad import CLASSES
from happysad.common import images
from happysad.common.params import Prepare
from happysad.data import faces
from happysad.data.duplicates import Pair
from happysad.data.manifest import Picture
from happysad.data.splits import SPLITS
from happysad.plotting.colours import BLUE, ORANGE
from happysad.plotting.contact_sheet import sheet

MOST = 48  # pictures on a sheet


def write(
    pictures: list[Picture],
    pairs: list[tuple[Picture, Picture, Pair]],
    source: Path,
    pages: Path,
    params: Prepare,
) -> None:
    """Write the sheets and the chart to ``pages``; ``pairs`` are of pictures that are copies, or of one scene."""

    def page(name: str, title: str, shown: list[tuple[Picture, str]]) -> None:
        tiles = [framed(source, picture, params) for picture, _ in shown]
        captions = [caption for _, caption in shown]
        sheet(tiles, captions, 4, title).save(pages / f"{name}.jpg", quality=85)

    if params.crop == "face":
        flagged = [p for p in pictures if p.status == "kept" and len(p.faces) != 1]
        some = sorted(flagged, key=lambda p: p.id)[:MOST]  # ids are hashes, so this is a random sample
        some.sort(key=lambda p: len(p.faces))
        title = f"no face or several: {len(some)} of {len(flagged)}. The model sees what is framed, or all"
        page("faces", title, [(p, f"{p.path}\n{p.flags}") for p in some])

    for name, title in (("near_duplicates", "copies"), ("scenes", "no copies, but of one scene")):
        some = [p for p in pairs if p[2].copy == (name == "near_duplicates") and p[0].id != p[1].id]
        doubtful = sorted(some, key=lambda p: p[2].similarity)[: MOST // 2]
        shown = [(p, f"{p.path}\nsimilarity {pair.similarity:.3f}") for *both, pair in doubtful for p in both]
        page(name, f"{title}, side by side: the {len(doubtful)} least similar of {len(some)} pairs", shown)

    sizes = Counter(p.group for p in pictures if p.group)
    largest = {group for group, size in sizes.most_common(6) if size > 1}
    members = sorted((p for p in pictures if p.group in largest), key=lambda p: (-sizes[p.group], p.group))
    shown = [(p, f"group {p.group[:6]} of {sizes[p.group]}\n{p.path}") for p in members[:MOST]]
    page("largest_scenes", "the largest scenes, copies included", shown)

    elsewhere = ("", "blank", "unreadable", "too_large", "exact_duplicate", "near_duplicate")
    rejected = [p for p in pictures if p.reason not in elsewhere]
    some = sorted(rejected, key=lambda p: (p.reason, p.group, p.path))[:MOST]
    title = f"rejected for other reasons: {len(some)} of {len(rejected)}"
    page("rejected", title, [(p, f"{p.reason}\n{p.path}\n{p.detail}") for p in some])

    chart(pictures).savefig(pages / "classes_and_sizes.png", dpi=100, metadata={"Software": None})


def framed(source: Path, picture: Picture, params: Prepare) -> np.ndarray:
    """The raw picture at the size of a tile, with a frame around what the model is shown of it."""
    try:
        image, _ = images.read(source / picture.path, params.max_megapixels)
    except images.Unusable:  # deleted meanwhile: prepare stops with an error
        return np.zeros((128, 128, 3), np.uint8)
    size = image.size
    image.thumbnail((384, 128), Image.Resampling.BILINEAR, reducing_gap=2)
    if picture.faces:
        box = np.reshape(faces.square_box(size, picture.faces[0], params.crop_margin), (2, 2))
        corners = np.rint(box * image.size / size) - [[0, 0], [1, 1]]
        ImageDraw.Draw(image).rectangle(corners.ravel().tolist(), outline=ORANGE, width=2)
    return np.asarray(image)


def chart(pictures: list[Picture]) -> Figure:
    """The number of kept pictures by split and class, and the sizes of their raw files where these differ."""
    kept = [p for p in pictures if p.status == "kept"]
    panels = 1 + (len({min(p.width, p.height) for p in kept}) > 1)
    figure = Figure((5 * panels, 4), layout="constrained")
    bars, *sizes = figure.subplots(1, panels, squeeze=False)[0]
    for label, offset, colour in zip(CLASSES, (-0.2, 0.2), (BLUE, ORANGE), strict=True):
        own = [p for p in kept if p.label == label]
        heights = [sum(p.split == split for p in own) for split in SPLITS]
        drawn = bars.bar(np.arange(len(SPLITS)) + offset, heights, 0.38, color=colour, label=label)
        bars.bar_label(drawn)
        for axes in sizes:
            sides = [min(p.width, p.height) for p in own]
            edges = [8 * 2 ** (k / 3) for k in range(31)]  # np.geomspace misses 64 by a last bit
            axes.hist(np.clip(sides, 8, 8191), edges, histtype="step", color=colour, label=label)
    bars.set(title="Kept pictures", xticks=range(len(SPLITS)), xticklabels=SPLITS, ylabel="pictures")
    for axes in sizes:
        axes.set(title="Their original size", xscale="log", xlabel="short side, pixels", ylabel="pictures")
        axes.set_xticks([16, 64, 256, 1024, 4096], ["16", "64", "256", "1024", "4096"])
    for axes in (bars, *sizes):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    return figure
