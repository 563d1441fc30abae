"""CSV files as pandas tables: each is written whole or not at all; text reads back as it was, floats rounded."""

from pathlib import Path
from typing import BinaryIO

import pandas as pd

from happysad.common.files import replacing_file

# Columns of text, also where all of it is empty. Ids are hexadecimal, and "12e4" is no number; a file may be called 7.
TEXT = dict.fromkeys(("path", "label", "predicted", "corrected", "status", "reason", "detail"), str)
TEXT |= dict.fromkeys(("split", "source_split", "group", "id", "of", "format", "flags", "setting"), str)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Floats keep six significant digits: the last ones of 17 differ between types of processor."""
    with replacing_file(path) as partial:
        # A file name may hold bytes that are not text; written back as they came, they still find their file.
        table.to_csv(partial, index=False, float_format="%.6g", lineterminator="\n", errors="surrogateescape")


def read_csv(path: Path | BinaryIO) -> pd.DataFrame:
    """Where nothing is written, text is "" and a number NaN."""
    table = pd.read_csv(
        path, dtype=TEXT, keep_default_na=False, na_values=[""], encoding_errors="surrogateescape"
    )
    return table.fillna(dict.fromkeys(TEXT, ""))
