import numpy as np
import plotly.graph_objects as go

from workbench.measure.interval import IntervalCurve
from workbench.plots.theme import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    Role,
    Style,
    add_curve,
    apply_theme,
    faded,
    safe,
    short,
    styles,
)


def test_roles_decide_the_colour_and_repeats_the_dash() -> None:
    names = ["base", "base, probed", "tuned", "permuted", "linear", "reverse", "random"]
    roles: dict[str, Role] = {
        "base": "before",
        "base, probed": "before",
        "tuned": "after",
        "permuted": "control",
        "linear": "probe",
    }
    look = styles(names, roles)
    assert [look[name].colour for name in names[:5]] == [GREY, GREY, BLUE, ORANGE, GREEN]
    assert look["base"].dash == "solid"
    assert look["base, probed"].dash != "solid"
    assert look["reverse"].colour != look["random"].colour
    assert look["reverse"].dash != "solid"


def test_a_name_alone_has_no_colour_of_its_own() -> None:
    """Groups of anyone's file may be called "before" or "my probe"."""
    plain = [style.colour for style in styles(["a", "b"]).values()]
    assert [style.colour for style in styles(["before", "my probe"]).values()] == plain
    assert styles(["before"])["before"].colour == BLUE
    assert styles(["before"], {"before": "before"})["before"].colour == GREY


def test_markup_is_drawn_literally() -> None:
    assert safe('<a href="x">1 & 2</a>\nnext') == '&lt;a href="x"&gt;1 &amp; 2&lt;/a&gt; next'


def test_text_is_cut_before_it_is_escaped() -> None:
    assert short("<<<<<<", 4) == "&lt;&lt;&lt;…"
    assert short("<<<<", 4) == "&lt;&lt;&lt;&lt;"


def test_a_faded_colour_keeps_its_channels() -> None:
    assert faded("#0072B2", 0.5) == "rgba(0,114,178,0.5)"


def test_titles_are_escaped_wrapped_and_given_room() -> None:
    one = apply_theme(go.Figure(), title="short", caption="n = 3", x="x", y="y", height=400)
    long = apply_theme(
        go.Figure(), title="<b>word</b> " * 12, caption="n = 3", x="x", y="y", height=400
    )
    assert "&lt;b&gt;" in long.layout.title.text
    assert "<b>" not in long.layout.title.text
    assert long.layout.title.text.count("<br>") == 2
    assert long.layout.margin.t == one.layout.margin.t + 48
    assert one.layout.width is None


def test_a_number_stays_with_its_per_cent_sign() -> None:
    caption = "x" * 80 + " about 95 % bootstrap"
    assert (
        "95 %"
        in apply_theme(
            go.Figure(), title="t", caption=caption, x="", y="", height=400
        ).layout.title.subtitle.text
    )


def test_the_band_runs_forward_on_top_and_back_below() -> None:
    figure = go.Figure()
    curve = IntervalCurve(
        np.array([1.0, 2.0, 3.0]), np.array([0.0, np.nan, 2.0]), np.array([2.0, np.nan, 4.0])
    )
    add_curve(figure, np.array([4, 5, 6]), curve, "a", Style(BLUE, "solid", "circle"), "shift")
    band, line = figure.data
    assert band.x.tolist() == [4, 6, 6, 4]
    assert band.y.tolist() == [2, 4, 2, 0]
    assert line.y.tolist() == [1, 2, 3]
    assert not band.showlegend
    assert band.legendgroup == line.legendgroup
