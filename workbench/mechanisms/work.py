"""Describe a published work: its claims with their rules, what is measured for them, and worlds in
which the truth is known.

A rule is written down before a model is asked, and a record keeps the words of the rule it was
judged by. Where a rule, or what it reads, was changed after numbers were seen, the claim says so in
``revised``, which stands wherever its verdict does. The dataclasses check what can be checked
without measuring: that names are unique, and that every rule reads quantities that the work
measures.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workbench.errors import WorkbenchError
from workbench.mechanisms.outcomes import CANNOT_TELL, Estimates, Outcome

Rule = Callable[[Estimates], Outcome]
Simulate = Callable[[np.random.Generator, int], Estimates]
"""A function that draws the estimates of one world with so many questions."""

REVISED = "Changed after numbers were seen"
"""Stands beside the verdict of such a claim."""
NO_TEST = "verdicts on those questions are no test of the rule."
"""Ends what is said of such a change."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ARXIV = re.compile(r"\d{4}\.\d{5}")


@dataclass(frozen=True)
class Quantity:
    """A number that a test measures.

    Attributes:
        name: what records call it.
        label: what pages call it.
        axis: its unit; quantities of one axis share a figure.
        control: whether nothing, or only chance, should be seen in it.
    """

    name: str
    label: str
    axis: str
    control: bool = False


@dataclass(frozen=True)
class Published:
    """A number that the work's authors print, or their words where no number is known here.

    Attributes:
        measure: what it is of, with model and data.
        figure: the number as it is printed, or the words in quotation marks.
        place: where in the paper it stands.
    """

    measure: str
    figure: str
    place: str


def abstract_words(measure: str, words: str) -> Published:
    """Return the ``words`` of a work's abstract, in quotation marks, on what ``measure`` names."""
    return Published(measure, words, "abstract")


@dataclass(frozen=True)
class PlantedWorld:
    """A world in which a claim is known to be true, or false.

    Attributes:
        name: what is planted.
        true: whether the claim is.
        effect: the planted size, in the unit of the claim's quantity.
        simulate: draws what would be measured.
    """

    name: str
    true: bool
    effect: float
    simulate: Simulate


@dataclass(frozen=True)
class Claim:
    """A claim with the rule that decides it.

    Attributes:
        name: what records call it.
        arxiv: the number of the paper, as ``2603.25052``.
        sentence: the claim.
        rule: how it is decided, in words.
        decide: the same as a function of the estimates.
        needs: the quantities that ``decide`` reads.
        published: the authors' numbers; None where none is known.
        worlds: where the rule's power and errors are measured.
        revised: what of the test was changed after numbers were seen, and which, as a sentence; ""
            where nothing was.
    """

    name: str
    arxiv: str
    sentence: str
    rule: str
    decide: Rule
    needs: tuple[str, ...]
    published: tuple[Published, ...] | None
    worlds: tuple[PlantedWorld, ...] = ()
    revised: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise WorkbenchError(
                f"A claim cannot be called {self.name!r}; use lower-case letters, digits and _."
            )
        if not _ARXIV.fullmatch(self.arxiv):
            raise WorkbenchError(f"{self.arxiv!r} is no arXiv number; write it as 2603.25052.")
        if not self.needs:
            raise WorkbenchError(f"The claim {self.name!r} reads no quantity, so nothing decides.")

    @property
    def told_rule(self) -> str:
        """The rule as it is shown, with what was changed of it."""
        return f"{self.rule}. {REVISED}: {self.revised}" if self.revised else self.rule

    def missing(self, estimates: Estimates) -> list[str]:
        """Return the quantities that the rule reads and that were not measured."""
        return [name for name in self.needs if name not in estimates]

    def judge(self, estimates: Estimates) -> Outcome:
        """Return the outcome; where a quantity that the rule reads was not measured, it cannot
        tell.
        """
        return CANNOT_TELL if self.missing(estimates) else self.decide(estimates)


@dataclass(frozen=True)
class Work:
    """A work, or several on one question that are tested together.

    Attributes:
        name: of its experiment.
        title: the question, ending in a question mark.
        test: how it is tested, in a few sentences.
        quantities: everything that is measured, in the order of the page.
        claims: what is decided.
        limits: what the test does not show, a sentence each.
    """

    name: str
    title: str
    test: str
    quantities: tuple[Quantity, ...]
    claims: tuple[Claim, ...]
    limits: tuple[str, ...]

    def __post_init__(self) -> None:
        for kind, names in (
            ("quantities", [each.name for each in self.quantities]),
            ("claims", [each.name for each in self.claims]),
        ):
            if len(set(names)) != len(names):
                raise WorkbenchError(f"Two {kind} of {self.name} share a name: {sorted(names)}.")
        known = {each.name for each in self.quantities}
        for claim in self.claims:
            unknown = sorted({*claim.needs} - known)
            if unknown:
                raise WorkbenchError(
                    f"The claim {claim.name!r} of {self.name} reads {unknown[0]!r}, which is no "
                    "quantity of the work; add it to the quantities."
                )

    def claim(self, name: str) -> Claim:
        """Return the claim of this name.

        Raises:
            WorkbenchError: where there is none.
        """
        found = next((each for each in self.claims if each.name == name), None)
        if found is None:
            raise WorkbenchError(f"{self.name} makes no claim {name!r}.")
        return found
