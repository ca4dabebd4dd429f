"""Is a reply right? One yes or no from text alone, by the rule of the question's kind.

open     The alias stands in the reply as whole words, case and accents aside; a leading article of the alias is optional.
         An alias that is a number is graded by the numeric rule. An alias of one or two letters (``Au``, ``W``) must be a
         token of exactly that spelling; if it is also an English word (``In``, ``He``, ``I``) it does not count as the first
         word of a sentence unless the sentence is that word alone or a bracket follows (``In (indium)``).
numeric  The reply's number equals the answer as a number. Its number is the first one after the last ``=``; without
         one, the last number that is not also in the question; if all are in the question, a lone number counts, and of
         several the last one left after each number of the question is taken away once. A copy of the whole question
         is left out first.
choice   The reply names exactly one letter, the right one. ``A`` and ``I`` before a lower-case word are an article and a
         pronoun (except before "is"); a lower-case letter counts only when the reply is nothing else. Where the question
         holds its options, letters inside an option's text do not count ("B) Vitamin C" is B), and a reply without a letter
         that holds the text of exactly one option stands for it; letter and text at odds, the letter counts.
Always   A reply that equals an alias is right. Empty replies and refusals are wrong (after "but" a reply counts again).
         An alias inside words copied from the question (the alias and at least two words around it) does not count.
No answer  A question that has none (``answerable`` false) is answered right by a refusal, in the first person or by saying
         that the answer is unknown, cannot be known or does not exist, and wrong by anything else: an answer, a refusal
         followed by "but" and an answer, and an empty reply, which is a format failure and no judgement.

What this does not show: negation ("not Paris" is right for Paris), a list of guesses one of which is right, a right
number overtaken by a later remark ("12, not 13" reads 13), truth beyond the listed aliases, refusals in words that are not
on the list of phrases.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from string import ascii_uppercase

from workbench.questions.normalise import Token, choice_letter, fold, number_of, numbers, question_key, tokens
from workbench.questions.schema import Question

ARTICLES = frozenset({"a", "an", "the"})
_SHORT_WORD_LIST = """
a ah am an as at be by do go ha he hi i if in is it la lo
me my no of oh ok on or os pa so to up us we ye
"""
SHORT_WORDS = frozenset(_SHORT_WORD_LIST.split())
_KEEPS_ARTICLE = SHORT_WORDS | ARTICLES | {"who", "what", "you", "and", "not", "are", "was", "for", "one"}
_COPIED_WORDS = 2
# Shorter options look like letters and articles.
_SHORTEST_OPTION = 2
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
    {"unknown", "no idea", "unsure", "not sure", "none", "n a", "no answer", "not known", "dunno", "idk"}
)
_CHOICE = re.compile(r"(?<![\w'’.])([A-Z])(?![\w'’])(?!\.[A-Za-z])(?P<next>\s+[a-z]+)?")


def grade(reply: str, question: Question) -> bool:
    """Whether ``reply`` gives an accepted answer of ``question``; never raises, whatever the text."""
    if not question.answerable:
        return declines(reply)
    if any(_same(reply, alias, question.kind == "choice") for alias in question.answers):
        return True
    answer = _after_refusal(reply)
    if answer is None:
        return False
    if question.kind == "choice":
        letter = chosen_option(answer, question.options)
        return letter is not None and letter in {choice_letter(alias) for alias in question.answers}
    number = chosen_number(answer, question.text)
    for alias in question.answers:
        value = number_of(alias)
        if value is not None and value == number:
            return True
        if value is None and question.kind == "open" and contains_alias(answer, alias, question.text):
            return True
    return False


def is_refusal(reply: str) -> bool:
    """Whether the reply is empty or declines to answer."""
    return _after_refusal(reply) is None


def declines(reply: str) -> bool:
    """Whether the reply refuses to answer or says that there is no answer to give; an empty reply does neither."""
    return bool(reply.strip()) and _after_refusal(reply, (_REFUSAL, _NO_ANSWER)) is None


def chosen_number(reply: str, question_text: str) -> Fraction | None:
    """The number a reply stands for (rule ``numeric`` above); None when it holds none of its own."""
    own_text = _without_question(reply, question_text)
    before, equals, after = own_text.rpartition("=")
    stated = numbers(after) if equals else []
    if stated:
        return stated[0]
    found = numbers(before if equals else own_text)
    asked = numbers(question_text)
    new = [number for number in found if number not in asked]
    if new or len(found) == 1:
        return (new or found)[-1]
    for number in asked:
        if number in found:
            found.remove(number)
    return found[-1] if found else None


def chosen_letter(reply: str) -> str | None:
    """The one choice letter a reply names (rule ``choice`` above); None when it names none or several."""
    letters = _letters(reply)
    return letters.pop() if len(letters) == 1 else None


def chosen_option(reply: str, options: Sequence[str]) -> str | None:
    """The letter of the one option a reply stands for (rule ``choice`` above); without ``options``, its one letter."""
    if not options:
        return chosen_letter(reply)
    known = ascii_uppercase[: len(options)]
    alone = choice_letter(reply)
    if alone is not None and alone in known:
        return alone
    said = question_key(reply)
    same = next((known[index] for index, option in enumerate(options) if question_key(option) == said), None)
    if same is not None or alone is not None:
        return same
    rest, named = fold(reply), set()
    for index in sorted(range(len(options)), key=lambda i: -len(options[i])):
        text = fold(options[index]).strip(" .")
        if len(text) <= _SHORTEST_OPTION:
            continue
        rest, found = re.subn(rf"(?<!\w){re.escape(text)}(?!\w)", " ; ", rest, flags=re.IGNORECASE)
        if found:
            named.add(known[index])
    letters = _letters(rest) & set(known) or named
    return letters.pop() if len(letters) == 1 else None


def _letters(reply: str) -> set[str]:
    """Every choice letter a reply names."""
    alone = choice_letter(reply)
    if alone is not None:
        return {alone}
    letters = set()
    for match in _CHOICE.finditer(fold(reply)):
        following = (match.group("next") or "").strip()
        if match.group(1) in "AI" and following and following != "is":
            continue
        letters.add(match.group(1))
    return letters


def contains_alias(reply: str, alias: str, question_text: str = "") -> bool:
    """Whether ``alias`` stands in ``reply`` as whole words that are not part of a copy of ``question_text``.

    Both are compared twice, with initials such as ``U.S.`` read as letters and as one word.
    """
    for join_initials in (False, True):
        said = tokens(reply, join_initials)
        wanted = _without_article(tokens(alias, join_initials))
        asked = [token.key for token in tokens(question_text, join_initials)]
        if wanted and any(not _copied(said, at, len(wanted), asked) for at in _places(said, wanted, fold(reply))):
            return True
    return False


def _same(reply: str, alias: str, is_choice: bool) -> bool:
    if reply.strip() == alias.strip():
        return True
    said, wanted = tokens(reply), tokens(alias)
    if is_choice or not wanted or len(said) != len(wanted):
        return False
    if _is_short(wanted):
        return said[0].spelling == wanted[0].spelling
    return [token.key for token in said] == [token.key for token in wanted]


def _after_refusal(reply: str, refusals: Sequence[re.Pattern[str]] = (_REFUSAL,)) -> str | None:
    """The part of the reply that is an answer: all of it, what follows "but" after a refusal, or None."""
    plain = " ".join(re.sub(r"[\W_]+", " ", fold(reply).casefold()).split())
    if not plain or plain in _BARE_REFUSALS:
        return None
    if not any(refusal.search(plain) for refusal in refusals):
        return reply
    rest = re.split(r"\bbut\b", reply, maxsplit=1, flags=re.IGNORECASE)
    return _after_refusal(rest[1], refusals) if len(rest) == 2 else None


def _without_question(reply: str, question_text: str) -> str:
    """The folded reply without its first copy of the whole question."""
    asked, said = question_key(question_text), question_key(reply)
    start = f" {said} ".find(f" {asked} ")
    return fold(reply) if start < 0 else f"{said[:start]} {said[start + len(asked) :]}"


def _without_article(alias: Sequence[Token]) -> Sequence[Token]:
    rest = alias[1:]
    if not rest or alias[0].key not in ARTICLES or (len(rest) == 1 and rest[0].key in _KEEPS_ARTICLE):
        return alias
    return rest


def _is_short(alias: Sequence[Token]) -> bool:
    return len(alias) == 1 and len(alias[0].spelling) <= 2 and alias[0].spelling.isalpha()


def _places(said: Sequence[Token], wanted: Sequence[Token], folded: str) -> list[int]:
    """Indices in ``said`` at which the phrase ``wanted`` starts."""
    if _is_short(wanted):
        exact = [i for i, token in enumerate(said) if token.spelling == wanted[0].spelling]
        return [i for i in exact if wanted[0].key not in SHORT_WORDS or _names_itself(said, i, folded)]
    target = [token.key for token in wanted]
    spoken = [token.key for token in said]
    return [i for i in range(len(spoken) - len(target) + 1) if spoken[i : i + len(target)] == target]


def _names_itself(said: Sequence[Token], index: int, folded: str) -> bool:
    """Whether a token that is also an English word is not merely the first word of a sentence."""
    token = said[index]
    before = folded[: token.start].rstrip(" \"'(*")
    after = folded[token.end :].lstrip(" \"'*")
    opens_sentence = not before or before[-1] in ".!?\n"
    return not opens_sentence or not after or after[0] in "(.!?\n"


def _copied(said: Sequence[Token], at: int, length: int, asked: Sequence[str | Fraction]) -> bool:
    """Whether the phrase at ``at`` sits in a run of the reply that is also in the question and is clearly longer."""
    spoken = [token.key for token in said]
    phrase = spoken[at : at + length]
    for start in range(len(asked) - length + 1):
        if list(asked[start : start + length]) != phrase:
            continue
        left = 0
        while at - left > 0 and start - left > 0 and spoken[at - left - 1] == asked[start - left - 1]:
            left += 1
        right = length
        while at + right < len(spoken) and start + right < len(asked) and spoken[at + right] == asked[start + right]:
            right += 1
        around = [*spoken[at - left : at], *spoken[at + length : at + right]]
        if sum(key not in ARTICLES for key in around) >= _COPIED_WORDS:
            return True
    return False
