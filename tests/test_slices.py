"""Slices: a bad one comes first, chance is not taken for one."""

import numpy as np

from happysad.evaluation import slices


def rows(n: int, **columns) -> list[dict]:
    """Rows of predictions.csv: right by turns of ten, sides of 10 to n + 9 pixels."""
    plain = {"format": "JPEG", "source_split": "", "colour": "colour", "flags": "", "height": "10"}
    made = []
    for i in range(n):
        right = i % 10 != 0
        row = {**plain, "label": "sad", "predicted": "sad" if right else "happy"}
        row |= {"width": str(10 + i), "brightness": str(float(i))}
        made.append(row | {name: value(i) for name, value in columns.items()})
    return made


def test_a_bad_slice_comes_first_the_smallest_before_the_others():
    made = rows(
        300, format=lambda i: "WEBP" if i % 15 == 1 else "JPEG", flags=lambda i: "dark blurry" * (i < 50)
    )
    for i, row in enumerate(made):
        if row["format"] == "WEBP" or i < 50:
            row["predicted"] = "happy"
    table = slices.table(made)
    worse = [(row["slice"], row["value"]) for row in table if row["worse"] == "yes"]
    assert worse[0] == ("format", "WEBP")
    assert {("flag", "dark"), ("flag", "blurry")} <= set(worse)
    assert [row["worse"] for row in table] == sorted((row["worse"] for row in table), reverse=True)
    sizes = [row["n"] for row in table if row["worse"] == "yes"]
    assert sizes == sorted(sizes)


def test_chance_is_no_slice():
    rng = np.random.default_rng(0)
    made = rows(
        300, predicted=lambda i: rng.choice(["sad", "happy"]), colour=lambda i: rng.choice(["grey", "colour"])
    )
    assert {row["worse"] for row in slices.table(made)} == {"no"}


def test_terciles_name_their_range_and_equal_values_share_one():
    thirds = list(slices.terciles("size", np.arange(9.0), ("small", "middle", "large"), "px"))
    assert [value for _, value, _ in thirds] == ["small: 0 to 2 px", "middle: 3 to 5 px", "large: 6 to 8 px"]
    assert sum(part for _, _, part in thirds).tolist() == [1] * 9
    assert len(list(slices.terciles("size", np.ones(9), ("small", "middle", "large"), "px"))) == 1


def test_what_all_pictures_share_is_left_out():
    table = slices.table(rows(30))
    assert {row["slice"] for row in table} == {"size", "brightness"}
