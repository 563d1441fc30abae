"""Slices against SciPy and values worked out by hand: a bad one comes first, chance is not mistaken for one."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, fisher_exact

from happysad.evaluation import slices


def predictions(n: int, **columns) -> pd.DataFrame:
    """Rows of predictions.csv: one in ten is wrong, squares of 10 to n + 9 pixels, ever lighter."""
    table = pd.DataFrame({"format": "JPEG", "source_split": "", "colour": "colour", "flags": ""}, range(n))
    table["width"] = table["height"] = 10 + np.arange(n)
    table["brightness"] = np.arange(n, dtype=float)
    table["label"] = "sad"
    table["predicted"] = np.where(np.arange(n) % 10, "sad", "happy")
    return table.assign(**columns)


def test_every_slice_by_hand():
    nine = predictions(
        9,
        format=["JPEG"] * 6 + ["PNG"] * 3,
        source_split=["train"] * 4 + [""] * 5,
        flags=["dark", "dark blurry", "", "blurry", "", "", "", "", ""],
        height=[40, 10, 10, 10, 10, 10, 10, 10, 10],
        width=[40, 50, 60, 70, 10, 20, 30, 80, 90],
        brightness=[90.0, 80, 70, 60, 50, 40, 30, 20, 10.4],
        predicted=["happy", "happy", "sad", "happy", "sad", "sad", "sad", "sad", "happy"],
    )
    right_of_n = {  # sides: 40, 22.4, 24.5, 26.5, 10, 14.1, 17.3, 28.3, 30
        ("format", "JPEG"): (3, 6),
        ("format", "PNG"): (2, 3),
        ("source_split", "none"): (4, 5),
        ("source_split", "train"): (1, 4),
        ("size", "small: 10 to 17 px"): (3, 3),
        ("size", "middle: 22 to 26 px"): (1, 3),
        ("size", "large: 28 to 40 px"): (1, 3),
        ("brightness", "dark: 10 to 30 of 255"): (2, 3),
        ("brightness", "middle: 40 to 60 of 255"): (2, 3),
        ("brightness", "light: 70 to 90 of 255"): (1, 3),
        ("flag", "blurry"): (0, 2),
        ("flag", "dark"): (0, 2),
    }
    table = slices.table(nine)
    assert list(zip(table["slice"], table["value"], strict=True)) == list(right_of_n)
    for row, (right, n) in zip(table.itertuples(), right_of_n.values(), strict=True):
        interval = binomtest(right, n).proportion_ci(method="wilson")
        p_value = fisher_exact([[right, n - right], [5 - right, 4 - n + right]], alternative="less").pvalue
        found = row.n, row.accuracy, row.accuracy_of_rest, row.p_value
        assert found == pytest.approx((n, right / n, (5 - right) / (9 - n), p_value))
        assert (row.accuracy_ci_low, row.accuracy_ci_high) == pytest.approx((interval.low, interval.high))
        assert row.worse == "no"


def test_significantly_worse_slices_come_first_the_smallest_at_the_top():
    i = np.arange(300)
    webp, dark, grey = i % 15 == 1, i < 50, i // 20 == 12
    made = predictions(
        300,
        format=np.where(webp, "WEBP", "JPEG"),
        flags=np.where(dark, "dark blurry", ""),
        colour=np.where(grey, "grey", "colour"),
        predicted=np.where(webp | dark | (grey & (i % 2 == 0)) | (i % 10 == 0), "happy", "sad"),
    )
    table = slices.table(made)
    worse = (table["worse"] == "yes").to_numpy()
    slices_found = list(zip(table["slice"], table["value"], strict=True))
    assert slices_found[0] == ("format", "WEBP")
    assert slices_found[1:3] == [("flag", "blurry"), ("flag", "dark")]
    assert table["n"][worse].is_monotonic_increasing
    assert worse[: worse.sum()].all()
    # Holm (1979): reject while the i-th smallest of m p-values, from 0, is below 0.05 / (m - i).
    p_values = np.sort(table["p_value"])
    rejected = p_values < 0.05 / (len(p_values) - np.arange(len(p_values)))
    assert worse.sum() == np.argmin(rejected)
    assert (table["p_value"][~worse] < 0.05).any()  # which would be worse without the correction


def test_chance_is_not_a_slice():
    rng = np.random.default_rng(0)
    predicted, colour = rng.choice(["sad", "happy"], 300), rng.choice(["grey", "colour"], 300)
    assert set(slices.table(predictions(300, predicted=predicted, colour=colour))["worse"]) == {"no"}


def test_equal_values_share_a_tercile_and_what_all_pictures_share_is_left_out():
    table = slices.table(predictions(30, width=20, height=20, brightness=[5.0] * 15 + [6.0] * 15))
    assert set(table["slice"]) == {"brightness"}
    assert table["n"].tolist() == [15, 15]
