"""Draw the head of a page as a picture that can be shared: an SVG of 1,200 x 630, the size that
social sites and slides take.

It holds text alone, in fonts every system has, so it needs no network and no library to be drawn.
Everything is escaped. A browser turns it into a PNG with the button on the page.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from html import escape

from workbench.report.findings import Card, CardNumber

CARD_FILE = "card.svg"
WIDTH, HEIGHT = 1200, 630
_LEFT = 60
_TITLE, _TEXT = 33, 70
"""Letters of a line of the title, and of the sentence."""
_MOST_NUMBERS = 4
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def draw_card(title: str, card: Card) -> str:
    """Return the card as an SVG document with ``title`` above its answer."""
    named = escape(title)
    head, below = _lines(title, x=_LEFT, y=104, size=50, letters=_TITLE, weight=700)
    body, end = _lines(card.sentence, x=_LEFT, y=below + 12, size=29, letters=_TEXT)
    numbers = _numbers(card.numbers[:_MOST_NUMBERS], y=max(end + 60, 400))
    source = _text(card.source, _LEFT, HEIGHT - 40, 21, "#6b6b6b")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" role="img" font-family="{escape(_FONT)}">',
            f"<title>{named}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            f'<rect width="14" height="{HEIGHT}" fill="#0072B2"/>',
            *head,
            *body,
            *numbers,
            source,
            "</svg>",
        ]
    )


def _numbers(numbers: Sequence[CardNumber], y: float) -> Iterator[str]:
    """Yield the numbers side by side: the value large, its interval and label below it."""
    step = (WIDTH - 2 * _LEFT) / max(1, len(numbers))
    for at, each in enumerate(numbers):
        x = _LEFT + at * step
        before = f"before: {each.before}" if each.before else ""
        yield _text(each.value, x, y, 56, "#0072B2", 700)
        yield _text(f"{each.interval} {before}".strip(), x, y + 34, 19, "#6b6b6b")
        yield from _lines(each.label, x=x, y=y + 66, size=21, letters=step / 11.5)[0]


def _lines(
    text: str, *, x: float, y: float, size: int, letters: float, weight: int = 400
) -> tuple[list[str], float]:
    """Return text broken into lines of so many letters, and where the next line would stand."""
    lines = textwrap.wrap(" ".join(text.split()), int(letters), max_lines=4, placeholder=" …")
    step = size * 1.3
    drawn = [
        _text(line, x, y + at * step, size, "#222222", weight) for at, line in enumerate(lines)
    ]
    return drawn, y + len(lines) * step


def _text(text: str, x: float, y: float, size: int, colour: str, weight: int = 400) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" font-weight="{weight}" '
        f'fill="{colour}">{escape(text)}</text>'
    )
