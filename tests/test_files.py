import pytest

from happysad.common.files import read_json, write_json


def test_json_never_holds_nan(tmp_path):
    file = tmp_path / "metrics.json"
    write_json(file, {"accuracy": 0.5})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(file, {"accuracy": float("nan")})
    assert read_json(file) == {"accuracy": 0.5}
