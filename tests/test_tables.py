import numpy as np
import pandas as pd

from happysad.common.files import read_json, write_json
from happysad.common.tables import read_csv, write_csv


def test_a_table_reads_back_as_it_was(tmp_path):
    scores = np.random.default_rng(1).random(1000).round(6)
    table = pd.DataFrame({"path": "a.jpg", "id": "12e4", "score": scores, "width": 7.0, "flags": ""})
    table.loc[:4, "path"] = ["NA", "7", "x,\n\"'", "b\udcff.jpg", ""]
    table.loc[0, "width"] = None
    write_csv(tmp_path / "table.csv", table)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "table.csv"), table)


def test_floats_keep_six_digits(tmp_path):
    value, rounded = 1234.56789 + 1e-12, 1234.57
    write_json(tmp_path / "a.json", {"n": 1234567, "inside": [{"value": value, "small": 1.23456789e-9}]})
    assert read_json(tmp_path / "a.json") == {
        "n": 1234567,
        "inside": [{"value": rounded, "small": 1.23457e-9}],
    }
    write_csv(tmp_path / "a.csv", pd.DataFrame({"n": [1234567], "value": [value]}))
    assert (tmp_path / "a.csv").read_text() == f"n,value\n1234567,{rounded}\n"
