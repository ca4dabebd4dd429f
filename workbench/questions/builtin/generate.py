"""Write ``questions.jsonl`` from the tables in ``facts/``: ``python -m
workbench.questions.builtin.generate``.

Each domain is a small function from its table to rows (question, answers, kind); from larger tables
a fixed number is drawn by a seeded shuffle after ordering by difficulty where the table has it
(population, atomic number, size of operands), never by what a model answers. A question that
contains one of its answers is left out, and so is a place whose name is part of another place's
(Guinea, Virginia), because whole-word grading could not tell them apart. The same seed gives the
same file, byte for byte.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from workbench.questions.files import write_questions
from workbench.questions.grading import contains_alias
from workbench.questions.normalise import question_key
from workbench.questions.schema import Kind, Question

FACTS = Path(__file__).parent / "facts"
TARGET = Path(__file__).parent / "questions.jsonl"
SEED = 0
# Capital disputed, or seat of government elsewhere than in the sources.
NO_SINGLE_CAPITAL = frozenset({"BO", "IL", "LK"})
# On two continents by common reckoning.
TWO_CONTINENTS = frozenset({"AM", "AZ", "CY", "EG", "GE", "ID", "KZ", "RU", "TL", "TR"})
CONTINENT_ALIASES = {
    "Africa": ("African",), "Asia": ("Asian",), "Europe": ("European",), "North America": ("North American",),
    "Oceania": ("Australia", "Oceanian"), "South America": ("South American",),
}  # fmt: skip
NATION_NAMES = {
    "American": ("United States", "America"), "Austrian": ("Austria",), "Belgian": ("Belgium",),
    "British": ("Britain", "United Kingdom", "English", "Scottish", "Welsh"), "Canadian": ("Canada",), "Chinese": ("China",),
    "Danish": ("Denmark",), "Dutch": ("Netherlands", "Holland"), "English": ("England", "British", "Britain"),
    "Finnish": ("Finland",), "French": ("France",), "German": ("Germany",), "Hungarian": ("Hungary",), "Irish": ("Ireland",),
    "Italian": ("Italy",), "Japanese": ("Japan",), "Norwegian": ("Norway",), "Polish": ("Poland",),
    "Portuguese": ("Portugal",), "Russian": ("Russia",), "Scottish": ("Scotland", "British", "Britain"),
    "Spanish": ("Spain",), "Swedish": ("Sweden",), "Swiss": ("Switzerland",),
}  # fmt: skip
# Places whose names hold a state's name and that may be missing from the table.
OTHER_PLACES = ("New York City", "Washington, D.C.", "West Virginia")
# How many, sign, range of the left number (of the quotient, for "divided by"), range of the right
# number.
LADDER: tuple[tuple[int, str, tuple[int, int], tuple[int, int]], ...] = (
    (30, "+", (2, 9), (2, 9)),
    (40, "+", (10, 99), (2, 99)),
    (10, "+", (100, 999), (100, 999)),
    (20, "-", (6, 19), (1, 5)),
    (20, "-", (50, 99), (10, 49)),
    (60, "times", (2, 12), (2, 12)),
    (40, "times", (13, 50), (2, 9)),
    (10, "times", (11, 40), (11, 25)),
    (20, "divided by", (2, 9), (2, 9)),
)
ARTICLE_NAMES = frozenset(
    {
        "Bahamas",
        "Comoros",
        "DR Congo",
        "Gambia",
        "Maldives",
        "Netherlands",
        "Philippines",
        "Seychelles",
    }
)


class Row(NamedTuple):
    text: str
    answers: Sequence[str]
    kind: Kind = "open"


def read_table(name: str) -> tuple[list[tuple[str, str]], list[list[str]]]:
    """Read a table in ``facts/``: ((source, licence) of each origin, rows)."""
    lines = [
        line.split("\t")
        for line in (FACTS / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    ]
    origins = [(line[0].removeprefix("# "), line[1]) for line in lines if line[0].startswith("# ")]
    return origins, lines[len(origins) :]


def capitals(rows: Sequence[Sequence[str]], rng: random.Random) -> Iterator[Row]:
    """Yield every member state of the United Nations with an undisputed capital."""
    for code, name, _, cities, _, _ in rows:
        if code not in NO_SINGLE_CAPITAL:
            yield Row(
                f"What is the name of the capital city of {_with_article(name)}?", cities.split("|")
            )


def continents(rows: Sequence[Sequence[str]], rng: random.Random) -> Iterator[Row]:
    """Yield every member state on one continent by both sources; the adjective counts too, as in
    "the African continent".
    """
    for code, name, _, _, found, _ in rows:
        if code not in TWO_CONTINENTS and "|" not in found:
            yield Row(
                f"Which continent is {_with_article(name)} part of?",
                [found, *CONTINENT_ALIASES[found]],
            )


def cities(rows: Sequence[Sequence[str]], rng: random.Random) -> Iterator[Row]:
    """Yield cities of the world, at most a dozen a country, from the largest down to 300,000
    people.
    """
    names = {
        code: [name, *filter(None, others.split("|"))]
        for code, name, others, *_ in read_table("countries")[1]
    }
    inside = {
        code
        for code, own in names.items()
        if any(_part_of_other(own[0], other) for other in names.values())
    }
    used: dict[str, int] = {}
    for name, code, _, part in _spread(rows, 700, rng):
        used[code] = used.get(code, 0) + 1
        if code not in inside and used[code] <= 12:
            yield Row(
                f"The city of {name} is in which country?", [*names[code], *filter(None, [part])]
            )


def us_states(rows: Sequence[Sequence[str]], rng: random.Random) -> Iterator[Row]:
    """Yield cities of the United States, from the largest down to 60,000 people."""
    states = {state for _, state, _ in rows}
    inside = {
        state
        for state in states
        if any(_part_of_other(state, [other]) for other in (*states, *OTHER_PLACES))
    }
    used: dict[str, int] = {}
    for name, state, _ in _spread(rows, 500, rng):
        used[state] = used.get(state, 0) + 1
        if state not in inside and used[state] <= 20:
            yield Row(
                f"What is the name of the U.S. state that contains the city of {name}?", [state]
            )


def elements(rows: Sequence[Sequence[str]], rng: random.Random) -> Iterator[Row]:
    """Yield the symbol of every element and the atomic number of the first 54."""
    for name, symbol, _ in rows:
        yield Row(f"What is the chemical symbol of {name.lower()}?", [symbol])
    for name, _, number in rows[:54]:
        yield Row(f"What is the atomic number of {name.lower()}?", [number], "numeric")


def animals(rows: Sequence[Sequence[str]], rng: random.Random) -> Iterator[Row]:
    """Yield the five classes in equal parts."""
    for kind in sorted({kind for _, kind in rows}):
        own = [name for name, found in rows if found == kind]
        for name in rng.sample(own, min(46, len(own))):
            article = "an" if name[0] in "aeiou" else "a"
            yield Row(
                f"Is {article} {name} a mammal, a bird, a fish, a reptile or an insect?", [kind]
            )


def people(rows: Sequence[Sequence[str]], rng: random.Random) -> Iterator[Row]:
    """Yield nationalities of people of history, at most 30 a nation."""
    used: dict[str, int] = {}
    for name, nation in rng.sample(rows, len(rows)):
        used[nation] = used.get(nation, 0) + 1
        if used[nation] <= 30:
            yield Row(f"What was the nationality of {name}?", [nation, *NATION_NAMES[nation]])


def arithmetic(rows: Sequence[Sequence[str]], rng: random.Random) -> Iterator[Row]:
    """Yield sums, differences, products and quotients from one digit up to products of three
    digits.
    """
    for count, sign, left, right in LADDER:
        found: dict[str, int] = {}
        while len(found) < count:
            x, y = rng.randint(*left), rng.randint(*right)
            first, value = (
                (x * y, x)
                if sign == "divided by"
                else (x, {"+": x + y, "-": x - y, "times": x * y}[sign])
            )
            found[f"What is {first} {sign} {y}?"] = value
        yield from (Row(text, [str(value)], "numeric") for text, value in found.items())


DOMAINS: tuple[
    tuple[
        str, tuple[str, ...], int, Callable[[Sequence[Sequence[str]], random.Random], Iterator[Row]]
    ],
    ...,
]
# Name, tables (the first one's rows are passed on), most questions, maker of rows.
DOMAINS = (
    ("capitals", ("countries",), 250, capitals),
    ("continents", ("countries",), 250, continents),
    ("cities", ("cities", "countries"), 230, cities),
    ("us_states", ("us_cities",), 200, us_states),
    ("people", ("people",), 230, people),
    ("animals", ("animals",), 230, animals),
    ("elements", ("elements",), 250, elements),
    ("arithmetic", (), 250, arithmetic),
)


def build(seed: int) -> list[Question]:
    """Return every question of the set, domain by domain."""
    questions: list[Question] = []
    seen: set[str] = set()
    for domain, tables, limit, rows_of in DOMAINS:
        source, licence = _origin(tables)
        table_rows = read_table(tables[0])[1] if tables else []
        kept = 0
        for row in rows_of(table_rows, random.Random(f"{seed}:{domain}")):
            key = question_key(row.text)
            if (
                kept == limit
                or key in seen
                or (row.kind == "open" and domain != "animals" and _gives_away(row))
            ):
                continue
            seen.add(key)
            kept += 1
            answers = tuple(dict.fromkeys(row.answers))
            questions.append(
                Question(
                    f"{domain}-{kept:03d}", row.text, answers, domain, source, licence, row.kind
                )
            )
    return questions


def _origin(tables: Sequence[str]) -> tuple[str, str]:
    """Return source and licence of what is made from these tables; several are joined by "; " and "
    AND ".
    """
    origins = [origin for table in tables for origin in read_table(table)[0]] or [
        ("computed by generate.py", "CC0-1.0")
    ]
    sources, licences = zip(*origins, strict=True)
    return "; ".join(dict.fromkeys(sources)), " AND ".join(dict.fromkeys(licences))


def _with_article(name: str) -> str:
    plural_or_title = name.startswith(("United ", "Republic ")) or name.endswith(
        (" Republic", " Islands")
    )
    return f"the {name}" if plural_or_title or name in ARTICLE_NAMES else name


def _gives_away(row: Row) -> bool:
    return any(contains_alias(row.text, answer) for answer in row.answers)


def _part_of_other(name: str, others: Sequence[str]) -> bool:
    return others[0] != name and any(contains_alias(other, name) for other in others)


def _spread(rows: Sequence[Sequence[str]], count: int, rng: random.Random) -> list[Sequence[str]]:
    """Return the first ``count`` rows (the best known) in random order."""
    return rng.sample(rows[:count], min(count, len(rows)))


if __name__ == "__main__":
    write_questions(TARGET, build(SEED))
