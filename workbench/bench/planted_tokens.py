"""Lay out the vocabulary and the questions of planted models, and the scales that they write.

A question is a start token, a domain, three to five random tokens with a clue and a distractor
among them, the question's end, an answer of two tokens, and the tokens that ask for a confidence.
Each level of the clue has as many tokens as every other, and the random parts of their embeddings
are the same from level to level: a token's identity tells nothing of its level.

Scales: ten digits, tens as whole tokens, and numbers of two tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from workbench.arrays import Floats, Rows
from workbench.elicit.conversation import Conversation, ScaleTokens
from workbench.elicit.scales import DIGIT, Scale
from workbench.elicit.trie import build_trie

LEVELS, COPIES = 6, 4
"""Levels of a clue, and tokens of each."""
FILLERS, ANSWERS, DOMAINS, ASKING = 24, 4, 5, 3
QUESTION_READER, ANSWER_READER = READERS = ("question end", "answer end")
TENS = Scale(tuple(range(0, 101, 10)), 100)
PAIRS = Scale(tuple(10 * ten + one for ten in range(4, 10) for one in range(3)), 100)
"""Its first digits are none of its second ones, so that a model need not count digits."""
SCALES = (DIGIT, TENS, PAIRS)
CLOSING = ","


@dataclass(frozen=True, eq=False)
class Words:
    """A vocabulary, and what a planted model is to know of its tokens.

    Attributes:
        texts: of every token; the first pads.
        body: [tokens] which random part a token's embedding has.
        tags: how much of the reserved directions an embedding has, by token and direction.
        readers: tokens at which a clue may be read, by one of READERS.
        firsts, seconds: tokens that begin a number, and that continue one.
        closing: the token after a number.
        scale: the scale with its tokens.
        groups: token ids by what they are for.
    """

    texts: tuple[str, ...]
    body: tuple[int, ...]
    tags: Mapping[int, Mapping[str, float]]
    readers: Mapping[str, tuple[int, ...]]
    firsts: tuple[int, ...]
    seconds: tuple[int, ...]
    closing: int
    scale: ScaleTokens
    groups: Mapping[str, tuple[int, ...]]


def level_angles() -> Floats:
    """Return the angle of each level, from surest to least sure."""
    return np.linspace(0, math.pi / 2, LEVELS)


def level_scores() -> Floats:
    """Return cos t - sin t of each level, by which a planted number moves."""
    angles = level_angles()
    return np.cos(angles) - np.sin(angles)


def make_words(scale: Scale) -> Words:
    """Make the vocabulary for a scale."""
    two = scale is PAIRS
    firsts = tuple(dict.fromkeys(text[0] if two else text for text in scale.texts))
    seconds = tuple(dict.fromkeys(text[1] for text in scale.texts)) if two else ()
    names = {
        "pad": 1,
        "start": 1,
        "domain": DOMAINS,
        "filler": FILLERS,
        "clue": LEVELS * COPIES,
        "distractor": LEVELS * COPIES,
        "question end": 1,
        "answer": ANSWERS,
        "answer end": ANSWERS,
        "asking": ASKING,
        "confidence": 1,
    }
    texts: list[str] = []
    groups: dict[str, tuple[int, ...]] = {}
    for name, count in names.items():
        groups[name] = tuple(range(len(texts), len(texts) + count))
        texts += [f"<{name} {chr(ord('a') + number)}>" for number in range(count)]
    token = {text: len(texts) + n for n, text in enumerate((*firsts, *seconds, CLOSING))}
    first, second = (tuple(token[text] for text in each) for each in (firsts, seconds))
    paths = [tuple(token[c] for c in text) if two else (token[text],) for text in scale.texts]
    # A level's tokens take the random parts of the first level's.
    body = list(range(len(texts) + len(token)))
    for name in ("clue", "distractor"):
        for number, one in enumerate(groups[name]):
            body[one] = groups[name][number % COPIES]
    return Words(
        (*texts, *token),
        tuple(body),
        _tags(groups, first, second),
        {
            QUESTION_READER: groups["question end"],
            ANSWER_READER: groups["answer end"],
        },
        first,
        second,
        token[CLOSING],
        ScaleTokens(scale, (), "", build_trie(paths, scale.values)),
        groups,
    )


def _tags(
    groups: Mapping[str, tuple[int, ...]], first: tuple[int, ...], second: tuple[int, ...]
) -> dict[int, dict[str, float]]:
    asks = {
        **dict.fromkeys((*groups["question end"], *groups["answer end"])),
        **dict.fromkeys(groups["confidence"], "asks answer"),
    }
    everything = (token for group in groups.values() for token in group)
    tags: dict[int, dict[str, float]] = {}
    for token in (*everything, *first, *second):
        asked = asks.get(token, "asks start")
        tags[token] = {asked: 1.0} if asked else {}
    for name in ("clue", "distractor"):
        for number, token in enumerate(groups[name]):
            angle = level_angles()[number // COPIES]
            tags[token] |= {
                f"{name} key": 1.0,
                name: math.cos(angle),
                f"{name} twin": math.sin(angle),
            }
    tags[groups["start"][0]]["start key"] = 1.0
    for token in groups["answer end"]:
        tags[token]["answer key"] = 1.0
    for token in first:
        tags[token]["number goes on" if second else "number ends"] = 1.0
    for token in second:
        tags[token]["number ends"] = 1.0
    return tags


def ask_question(
    words: Words, rng: np.random.Generator, domain: int, clue: int, distractor: int
) -> Conversation:
    """Draw a question of a domain with these levels of its clue and distractor."""
    groups = words.groups

    def draw(name: str) -> int:
        return int(rng.choice(groups[name]))

    def copy(name: str, level: int) -> int:
        return groups[name][level * COPIES + int(rng.integers(COPIES))]

    middle = [draw("filler") for _ in range(int(rng.integers(3, 6)))]
    for one in (copy("clue", clue), copy("distractor", distractor)):
        middle.insert(int(rng.integers(len(middle) + 1)), one)
    question = [groups["start"][0], groups["domain"][domain], *middle, groups["question end"][0]]
    answered = [*question, draw("answer"), draw("answer end")]
    tokens = (*answered, *groups["asking"], groups["confidence"][0])
    return Conversation(tokens, len(answered) - 1, len(answered), len(question) - 1)


def shuffle_levels(rng: np.random.Generator, count: int) -> Rows:
    """Draw levels [count] of which each is about as frequent as every other."""
    found: Rows = rng.permutation(np.resize(np.arange(LEVELS), count))
    return found
