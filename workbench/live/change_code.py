"""Write the Python of views of one change: its distribution, the slider, and generation.

The states come first, with the model they come from, so that an adapter is on only where it is
named; the rest of the cell is :func:`workbench.trace.patch_branches` on these states.
"""

from __future__ import annotations

from workbench.api.grid import PARTS
from workbench.live.code import opening
from workbench.live.requests import (
    Change,
    GenerateView,
    Pair,
    Project,
    Read,
    ScaleRead,
    SliderView,
    Steer,
    Swap,
)
from workbench.live.session import OpenPair, Session

_IMPORTS = [
    "import torch",
    "from workbench.api.prompt_runs import run_as_named",
    "from workbench.api.prompts import encode_prompts",
]


def outcome(session: Session, asked: Pair, pair: OpenPair, read: Read, change: Change) -> str:
    """Return the cell whose ``value`` is the readout under one change."""
    scale = isinstance(read, ScaleRead)
    return "\n".join(
        [
            *_IMPORTS,
            *opening(session, asked, pair, read),
            *_rows(session, pair),
            *_scale(scale),
            *_branch(session, pair, change, "scale.trie.tree.size" if scale else "0"),
            *_reading(scale, "branch", "value = float(values[1])"),
        ]
    )


def slider(session: Session, view: SliderView, pair: OpenPair) -> str:
    """Return the cell whose ``value`` is the readout at every length along the direction."""
    scale = isinstance(view.read, ScaleRead)
    change = Steer(
        kind="steer",
        layer=view.layer,
        position=view.position,
        direction=view.direction,
        length=1.0,
    )
    nodes = "scale.trie.tree.size" if scale else "0"
    steered = _branch(session, pair, change, nodes)[:-1]
    return "\n".join(
        [
            *_IMPORTS,
            *opening(session, view.pair, pair, view.read),
            *_rows(session, pair),
            *_scale(scale),
            *steered,
            f"lengths = {list(view.lengths)!r}",
            f"branches = [[wb.Patch(wb.Site({view.layer}), torch.tensor([place]), "
            "(unit * length * vector)[None], 'add') for place in places] for length in lengths]",
            *_reading(scale, "*branches", "value = values[1:].tolist()"),
        ]
    )


def generated(session: Session, view: GenerateView, pair: OpenPair) -> str:
    """Return the cell whose ``value`` are the token ids written under the change."""
    (length,) = pair.base_tokens.lengths
    ongoing = not isinstance(view.change, Swap) and view.change.position == length - 1
    lines = _branch(session, pair, view.change, "0")
    if ongoing:
        lines.append("branch = wb.TextBranch(held=branch)")
    return "\n".join(
        [
            *_IMPORTS,
            "from workbench.patch.generation import generate_patched",
            *opening(session, view.pair, pair, None),
            *_rows(session, pair),
            *lines,
            "with run_as_named(lm):",
            f"    steps = list(generate_patched(lm, rows[0], branch, {view.tokens}, "
            f"tokens_per_forward={session.tokens_per_forward}))",
            "value = [token for _, token in steps if token is not None]",
        ]
    )


def _rows(session: Session, pair: OpenPair) -> list[str]:
    """Return the lines that tokenise both sides, and name the model of the donor."""
    if pair.lm is pair.donor_lm:
        donor = ["source, theirs = lm, encode_prompts(lm, donor).rows"]
    elif pair.donor_lm is session.tuned:
        donor = ["source, theirs = wb.load_adapter(lm, donor), rows"]
    else:
        donor = ["source, theirs = donor, rows"]
    return ["rows = encode_prompts(lm, prompt).rows", *donor]


def _scale(scale: bool) -> list[str]:
    if not scale:
        return []
    return [
        "from workbench.elicit.conversation import scale_tokens",
        "scale = scale_tokens(lm.tokenizer, read)",
    ]


def _state(variable: str, model: str, rows: str, index: int, site: str) -> list[str]:
    return [
        f"with run_as_named({model}):",
        f"    {variable} = wb.record({model}, {rows}, [[{index}]], [{site}])[0, 0, 0]",
    ]


def _branch(session: Session, pair: OpenPair, change: Change, nodes: str) -> list[str]:
    """Return the lines that make ``branch``; of a direction, the last two make ``places`` and
    then ``branch``.
    """
    partner = pair.partners[change.position]
    own = change.position
    if isinstance(change, Swap):
        assert partner is not None
        return _swap(pair, change, partner)
    lines = []
    if change.direction == "difference":
        assert partner is not None
        site = f"wb.Site({change.layer})"
        lines += _state("there", "source", "theirs", partner, site)
        lines += _state("here", "lm", "rows", own, site)
        lines += ["vector = there - here", "unit = float(vector.norm())"]
    else:
        lines += [
            "from workbench.loop.positions import run_positions",
            "from workbench.loop.states import states_of_stage",
            "from workbench.patch.steering import spread_of",
            "at = run_positions(run).index('confidence')",
            f"weights = run.stage('probe').tensors('probe')['weights'][{change.layer}, at]",
            "vector = torch.as_tensor(weights, dtype=torch.float32)",
            f"unit = spread_of(states_of_stage(run.stage('elicit'))[:, {change.layer}, at])",
        ]
    last = own == pair.base_tokens.lengths[0] - 1
    after = f", *range(len(rows[0]), len(rows[0]) + {nodes})" if last else ""
    lines += ["vector = vector / vector.norm()", f"places = [{own}{after}]"]
    if isinstance(change, Project):
        kind = "mode='without', subspace=wb.Subspace(vector)"
    else:
        kind = f"({change.length!r} * unit * vector)[None], 'add'"
    patch = f"wb.Patch(wb.Site({change.layer}), torch.tensor([place]), {kind})"
    return [*lines, f"branch = [{patch} for place in places]"]


def _swap(pair: OpenPair, change: Swap, partner: int) -> list[str]:
    part, sites = PARTS[change.component], f"[wb.Site({change.layer}, {{part!r}})]"
    if change.component in ("heads", "queries", "keys", "values"):
        count = pair.lm.n_heads if part in ("head_out", "query") else pair.lm.n_key_value_heads
        chosen = f"range({count})" if change.head is None else f"[{change.head}]"
        sites = f"[wb.Site({change.layer}, {{part!r}}, head) for head in {chosen}]"
    return [
        f"sites = {sites.format(part=part)}",
        "with run_as_named(source):",
        f"    states = wb.record(source, theirs, [[{partner}]], sites)[0, :, 0]",
        f"place = torch.tensor([{change.position}])",
        "branch = [wb.Patch(site, place, state[None]) for site, state in zip(sites, states)]",
    ]


def _reading(scale: bool, branches: str, ending: str) -> list[str]:
    """Return the lines that read the prompt and every branch into ``values`` [1 + branches]."""
    bound = "tokens_per_forward=8192"
    if scale:
        return [
            "from workbench.patch.written_confidence import read_written",
            "with run_as_named(lm):",
            f"    found = read_written(lm, rows, scale.trie, [{branches}], {bound})",
            "shares = torch.as_tensor(found.distribution[0])",
            "worth = torch.tensor(scale.trie.values, dtype=shares.dtype) / scale.scale.certain",
            "values = (shares @ worth) / shares.sum(dim=1)",
            ending,
        ]
    return [
        "from workbench.api.readouts import readout_of",
        "readout = readout_of(lm, read, encode_prompts(lm, prompt))",
        "with run_as_named(lm):",
        f"    found = wb.patch_branches(lm, rows, [{branches}], lambda x: x.float(), {bound})",
        "logits = torch.cat([found.base[:, None], found.patched], dim=1)[0]",
        "values = torch.cat([readout.value(readout.reduce(row[None])) for row in logits])",
        ending,
    ]
