import json
from pathlib import Path

from workbench.measure.groups import Settings
from workbench.measure.table_file.measure import measure_file


def test_one_plain_object_per_group(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    rows = [
        f"{g},q{i},{(i * 37) % 101},{(i * 7 + k) % 3 % 2}"
        for k, g in enumerate("ab")
        for i in range(30)
    ]
    file.write_text("condition,id,confidence,correct\n" + "\n".join(rows) + "\n")
    found = measure_file(file, Settings(resamples=20), by=["condition"], against="a").to_dict()
    assert list(found) == ["a", "b"]
    assert "against" not in found["a"]
    assert found["b"]["against"]["group"] == "a"
    assert found["b"]["against"]["n"] == 30
    assert found["a"]["n"] == 30
    assert json.loads(json.dumps(found, allow_nan=False)) == found
