from __future__ import annotations

from xml.etree import ElementTree

from workbench.report.card import HEIGHT, WIDTH, draw_card
from workbench.report.findings import Card, CardNumber

SVG = "{http://www.w3.org/2000/svg}"


def drawn(title: str = "Does <it> know?", sentence: str = "It does.") -> ElementTree.Element:
    numbers = [CardNumber(f"number {n}", f"0.{n}", "[0.1, 0.9]") for n in range(1, 6)]
    return ElementTree.fromstring(draw_card(title, Card(sentence, numbers, "on 12 questions")))


def texts(picture: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in picture.iter(f"{SVG}text")]


def test_a_card_is_valid_svg_with_its_words_as_text() -> None:
    picture = drawn()
    assert picture.attrib["viewBox"] == f"0 0 {WIDTH} {HEIGHT}"
    assert {"Does <it> know?", "It does.", "on 12 questions", "0.1"} <= set(texts(picture))
    assert "0.5" not in texts(picture)  # four numbers have room


def test_long_texts_are_broken_and_stay_on_the_card() -> None:
    picture = drawn("a-model-of-a-long-name " * 4, "and so on " * 60)
    for text in picture.iter(f"{SVG}text"):
        # Widths of a letter in the fonts that systems have, as a share of the size.
        width = 0.64 if text.attrib["font-weight"] == "700" else 0.53
        letters = len(text.text or "") * width * float(text.attrib["font-size"])
        assert float(text.attrib["x"]) + letters < WIDTH
        assert float(text.attrib["y"]) < HEIGHT
