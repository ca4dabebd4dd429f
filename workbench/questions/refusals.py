"""Recognise replies that decline to answer, by their phrases.

Refusals in words that are not on the list of phrases are not recognised.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from workbench.questions.clean import clean

_REFUSAL = re.compile(
    r"\b(?:i|we) (?:do not|don ?t|cannot|can not|can ?t|am unable to|m unable to|could not|couldn ?t) "
    r"(?:really |actually |currently )?(?:know|answer|say|tell|provide|determine|find|help|recall|remember|give)\b"
    r"|\b(?:i am|i m|im) (?:not sure|unsure|not certain|sorry|unable)\b|\b(?:i have|have) no idea\b|\bas an ai\b"
    r"|\bnot enough information\b|\bcannot be (?:answered|determined)\b"
)
_NO_ANSWER = re.compile(
    r"\b(?:no one|nobody|science does not|we do not|humans do not) (?:really |truly |yet |currently )?"
    r"(?:knows?|can (?:know|say|tell|answer|predict))\b"
    r"|\b(?:it|this|that|answer|question|future) (?:is|remains|s|can be) (?:currently |still |really |simply |as yet |yet )?"
    r"(?:unknown|unclear|uncertain|unanswerable|unknowable|unpredictable|impossible|debatable|subjective"
    r"|not (?:yet )?(?:known|possible|clear|certain|answerable))\b"
    r"|\b(?:i|we|one|you) (?:cannot|can not|can ?t) (?:really )?(?:know|predict|foresee)\b"
    r"|\b(?:impossible|hard|difficult|not possible) to (?:know|say|tell|answer|determine|predict)\b|\b(?:cannot|can not|can ?t) be (?:known|predicted)\b"
    r"|\b(?:there is|there s|has|have) no (?:(?:clear|definitive|definite|known|single|correct|right|scientific|simple|one"
    r"|universal|general|objective|real) )*(?:answer|consensus|agreement|way (?:to|of) know)"
)
_BARE_REFUSALS = frozenset(
    {
        "unknown",
        "no idea",
        "unsure",
        "not sure",
        "none",
        "n a",
        "no answer",
        "not known",
        "dunno",
        "idk",
    }
)
_BUT = re.compile(r"\bbut\b", re.IGNORECASE)


def is_refusal(reply: str) -> bool:
    """Return whether the reply is empty or declines to answer."""
    return after_refusal(reply) is None


def declines(reply: str) -> bool:
    """Return whether the reply refuses to answer or says that there is no answer to give; an empty
    reply does neither.
    """
    return bool(reply.strip()) and after_refusal(reply, (_REFUSAL, _NO_ANSWER)) is None


def after_refusal(reply: str, refusals: Sequence[re.Pattern[str]] = (_REFUSAL,)) -> str | None:
    """Return the part of the reply that is an answer: all of it, what follows "but" after its last
    refusal, or None.
    """
    parts = _BUT.split(reply)
    refused = [
        at
        for at, part in enumerate(parts)
        if any(refusal.search(_plain(part)) for refusal in refusals)
    ]
    rest = parts[refused[-1] + 1 :] if refused else parts
    if not rest:
        return None
    plain = _plain("but".join(rest))
    if not plain or plain in _BARE_REFUSALS:
        return None
    return "but".join(rest) if refused else reply


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", clean(text).casefold()).split())
