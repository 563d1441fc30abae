import numpy as np
import pandas as pd

from happysad.common.tables import read_csv, write_csv


def test_a_table_reads_back_as_it_was(tmp_path):
    scores = np.random.default_rng(1).random(1000)
    table = pd.DataFrame({"path": "a.jpg", "id": "12e4", "score": scores, "width": 7.0, "flags": ""})
    table.loc[:4, "path"] = ["NA", "7", "x,\n\"'", "b\udcff.jpg", ""]
    table.loc[0, "width"] = None
    write_csv(tmp_path / "table.csv", table)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "table.csv"), table)
