"""Where the model is worse: accuracy by slice of the test set, from the rows of predictions.csv."""

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact

from happysad.evaluation.intervals import proportion


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per slice: slice, value, n, accuracy with its interval, accuracy_of_rest, p_value, worse.

    ``p_value`` tests whether the accuracy of a slice is lower than that of the rest (Fisher's exact test,
    one-sided); ``worse`` is yes where it stays below 5% after Holm's correction (1979) for the number of
    slices. These come first, the smallest at the top. A slice that holds all pictures is left out.
    """
    right = (rows["label"] == rows["predicted"]).to_numpy()
    found = []
    for name, values in attributes(rows).items():
        for value, members in values.groupby(values, observed=True):
            part = rows.index.isin(members.index)
            if part.all():
                continue
            row = {"slice": name, "value": value, "n": int(part.sum())}
            row |= proportion("accuracy", right[part])
            counts = [[side.sum(), (~side).sum()] for side in (right[part], right[~part])]
            p_value = fisher_exact(counts, alternative="less").pvalue
            row |= {"accuracy_of_rest": right[~part].mean(), "p_value": p_value}
            found.append(row)
    slices = pd.DataFrame(found)
    ranked = slices["p_value"].sort_values(kind="stable")
    adjusted = (ranked * np.arange(len(ranked), 0, -1)).cummax()
    slices["worse"] = np.where(adjusted.sort_index() < 0.05, "yes", "no")
    worse = slices["worse"] == "yes"
    return pd.concat([slices[worse].sort_values("n", kind="stable"), slices[~worse]], ignore_index=True)


def attributes(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """For each kind of slice, its value by picture; a picture has as many flags as it has, or none."""
    side = np.sqrt(rows["width"] * rows["height"])
    return {
        "format": rows["format"],
        "source_split": rows["source_split"].replace("", "none"),
        "colour": rows["colour"],
        "size": terciles(side, ("small", "middle", "large"), "px"),
        "brightness": terciles(rows["brightness"], ("dark", "middle", "light"), "of 255"),
        "flag": rows["flags"].str.split().explode().dropna(),
    }


def terciles(values: pd.Series, names: tuple[str, str, str], unit: str) -> pd.Series:
    """The tercile of each value, named with its range; equal values share one, so that there may be fewer."""
    number = np.searchsorted(values.quantile([1 / 3, 2 / 3]), values)
    ranges = {
        i: f"{names[i]}: {part.min():.0f} to {part.max():.0f} {unit}" for i, part in values.groupby(number)
    }
    return pd.Series(pd.Categorical([ranges[i] for i in number], ranges.values()), values.index)
