from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.support.tiny_models import PACKABLE as FAMILIES
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, hidden_of, with_hidden
from workbench.models.adapter_switch import adapter_off
from workbench.models.components import missing_component_reason, place_of
from workbench.models.invocation import invoke_adapter_from
from workbench.patch.inputs import ModelInputs
from workbench.patch.metrics import Metric, contrast
from workbench.patch.path_patching import path_effects
from workbench.trace.sites import Component, Site

MakeTiny = Callable[..., LanguageModel]
PROMPTS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 21, 22, 23], [30, 31, 32, 33, 34, 35]]
DONORS = [[15, 6, 17, 8], [20, 25, 22, 23, 40, 24, 23], [31, 30, 32, 33, 35, 34]]
METRIC = contrast([5, 9], [6, 7, 8])
SENT = torch.tensor([4, 1, 3])
REACHED = torch.tensor([7, 3, 4])
FROM = torch.tensor([[3], [5], [2]])
BUDGET = 10**6
Hooked = Callable[[torch.Tensor], torch.Tensor]


@contextmanager
def plain_hooks(lm: LanguageModel, edits: dict[tuple[int, Component], Hooked]) -> Iterator[None]:
    """Plain hooks on modules, tensors as they are there."""
    with ExitStack() as stack:
        for (layer, component), edit in edits.items():
            place = place_of(lm, layer, component)
            if place.side == "output":

                def edited(m: Any, args: Any, out: Any, edit: Hooked = edit) -> Any:
                    return with_hidden(out, edit(hidden_of(out)))

                stack.callback(place.module.register_forward_hook(edited).remove)
                continue

            def before(m: Any, args: Any, kwargs: Any, edit: Hooked = edit) -> Any:
                if args:
                    return (edit(args[0]), *args[1:]), kwargs
                return args, {**kwargs, "hidden_states": edit(kwargs["hidden_states"])}

            stack.callback(place.module.register_forward_pre_hook(before, with_kwargs=True).remove)
        yield


def run(
    lm: LanguageModel, tokens: list[int], edits: dict[tuple[int, Component], Hooked]
) -> torch.Tensor:
    with plain_hooks(lm, edits), torch.no_grad():
        return lm.base()(input_ids=torch.tensor([tokens]), use_cache=False).logits[:, -1].float()


def observe(
    lm: LanguageModel, tokens: list[int], edits: Any = None
) -> dict[tuple[int, Component], torch.Tensor]:
    seen: dict[tuple[int, Component], torch.Tensor] = {}

    def keep(key: tuple[int, Component]) -> Hooked:
        def edit(hidden: torch.Tensor) -> torch.Tensor:
            hidden = (edits or {}).get(key, lambda states: states)(hidden)
            seen[key] = hidden.clone()
            return hidden

        return edit

    parts: tuple[Component, ...] = ("head_out", "attn_out", "mlp_out")
    if lm.architecture.family == "llama":
        parts += ("query", "neuron")
    run(
        lm,
        tokens,
        {(layer, part): keep((layer, part)) for layer in range(lm.n_layers) for part in parts},
    )
    return seen


def at(hidden: torch.Tensor, position: int, site: Site, state: torch.Tensor) -> torch.Tensor:
    new = hidden.clone()
    new[:, position, entries(site)] = state
    return new


def own(hidden: torch.Tensor, position: int, site: Site) -> torch.Tensor:
    return hidden[0, position, entries(site)]


def entries(site: Site) -> slice:
    if site.index is None:
        return slice(None)
    size = 1 if site.component == "neuron" else 8
    return slice(size * site.index, size * (site.index + site.span))


def slow_effect(
    lm: LanguageModel, donor: list[int], base: list[int], sender: Site, receiver: Site, row: int
) -> float:
    """Four plain forwards: donor; base; sender at donor with every other part held at base; base
    with the receiver's answer.
    """
    sent, reached, source = int(SENT[row]), int(REACHED[row]), int(FROM[row])
    theirs, kept = observe(lm, donor), observe(lm, base)
    key, target = (sender.layer, sender.component), (receiver.layer, receiver.component)
    moved = at(kept[key], sent, sender, own(theirs[key], source, sender))
    changed = {key: lambda hidden: moved}
    through: Component = "mlp_out" if sender.component == "neuron" else "attn_out"
    if sender.index is not None:
        # With everything else held, the layer adds whatever the moved head or neurons make of it.
        added = observe(lm, base, changed)[sender.layer, through]
    hold: dict[tuple[int, Component], Hooked] = {}
    for place, states in kept.items():
        if place[1] in ("attn_out", "mlp_out") and place != target:
            hold[place] = lambda hidden, states=states: states
    if sender.index is not None:
        hold[sender.layer, through] = lambda hidden: added
    else:
        hold[key] = changed[key]
    answer: list[torch.Tensor] = []

    def listen(hidden: torch.Tensor) -> torch.Tensor:
        answer.append(own(hidden, reached, receiver).clone())
        return hidden

    hold[target] = listen
    run(lm, base, hold)
    final = run(lm, base, {target: lambda hidden: at(hidden, reached, receiver, answer[0])})
    return float(METRIC.readout(final) - METRIC.readout(run(lm, base, {})))


def runs(lm: LanguageModel, same_token: bool = False) -> tuple[ModelInputs, ModelInputs]:
    reached = SENT if same_token else REACHED
    return ModelInputs(lm, PROMPTS, torch.stack([SENT, reached], dim=1)), ModelInputs(
        lm, DONORS, FROM
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_paths_into_attention_are_those_of_plain_hooks(make_tiny: MakeTiny, family: str) -> None:
    lm = make_tiny(family)
    senders = [Site(0, "head_out", 1), Site(0, "mlp_out"), Site(1, "attn_out")]
    receivers = [Site(2, "head_out", 3), Site(2, "attn_out"), Site(3, "head_out", 0)]
    found = path_effects(*runs(lm), senders, receivers, METRIC, tokens_per_forward=BUDGET)
    assert found.effects.abs().max() > 1e-3
    size = float(found.effects.abs().max())
    for row in range(3):
        for i, sender in enumerate(senders):
            for j, receiver in enumerate(receivers):
                expected = slow_effect(lm, DONORS[row], PROMPTS[row], sender, receiver, row)
                assert float(found.effects[row, i, j]) == pytest.approx(
                    expected, rel=1e-3, abs=1e-4 * size
                )


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_neox", "granite", "gpt2"])
def test_paths_into_the_mlp_and_small_passes(
    make_tiny: MakeTiny, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sender and receiver at one token; the attention of the receiver's own layer may send where
    the family runs it before.
    """
    lm = make_tiny(family)
    monkeypatch.setitem(globals(), "REACHED", SENT)
    senders = [Site(0, "mlp_out"), Site(1, "head_out", 2)]
    if not missing_component_reason(lm, "resid_mid"):
        senders.append(Site(2, "attn_out"))
    receivers = [Site(2, "mlp_out")]
    found = path_effects(
        *runs(lm, same_token=True), senders, receivers, METRIC, tokens_per_forward=BUDGET
    )
    small = path_effects(
        *runs(lm, same_token=True), senders, receivers, METRIC, tokens_per_forward=9
    )
    torch.testing.assert_close(small.effects, found.effects, rtol=1e-3, atol=1e-4)
    size = float(found.effects.abs().max())
    assert size > 1e-4
    for row in range(3):
        for i, sender in enumerate(senders):
            expected = slow_effect(lm, DONORS[row], PROMPTS[row], sender, receivers[0], row)
            assert float(found.effects[row, i, 0]) == pytest.approx(
                expected, rel=1e-3, abs=1e-4 * size
            )


@pytest.mark.parametrize("family", ["llama", "gemma2", "olmo2", "gpt_neox", "granite", "gpt2"])
def test_paths_into_what_an_mlp_is_given_are_those_into_the_mlp(
    make_tiny: MakeTiny, family: str
) -> None:
    """What an MLP adds follows from what it is given alone; olmo2 gives it the stream itself."""
    lm = make_tiny(family)
    senders = [Site(0, "mlp_out"), Site(1, "head_out", 2)]
    receivers = [Site(2, "mlp_in"), Site(2, "mlp_out")]
    found = path_effects(
        *runs(lm, same_token=True), senders, receivers, METRIC, tokens_per_forward=BUDGET
    ).effects
    size = float(found.abs().max())
    assert size > 1e-4
    torch.testing.assert_close(found[..., 0], found[..., 1], rtol=1e-3, atol=1e-4 * size)


def test_paths_from_neurons_and_into_queries(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queries read their own token alone; all neurons of a layer are its MLP."""
    monkeypatch.setitem(globals(), "REACHED", SENT)
    window, every = Site(1, "neuron", 10, 30), Site(1, "neuron", 0, tiny_lm.mlp_width)
    senders = [window, every, Site(1, "mlp_out"), Site(0, "head_out", 2)]
    receivers = [Site(3, "query", 1), Site(2, "query", 3), Site(2, "neuron", 5, 20)]
    found = path_effects(
        *runs(tiny_lm, same_token=True), senders, receivers, METRIC, tokens_per_forward=BUDGET
    ).effects
    torch.testing.assert_close(found[:, 1], found[:, 2], rtol=1e-4, atol=1e-6)
    size = float(found.abs().max())
    assert size > 1e-4
    for row in range(3):
        for i, sender in enumerate(senders):
            for j, receiver in enumerate(receivers):
                expected = slow_effect(tiny_lm, DONORS[row], PROMPTS[row], sender, receiver, row)
                assert float(found[row, i, j]) == pytest.approx(expected, rel=1e-3, abs=1e-4 * size)


def keep_only(lm: LanguageModel, heads: dict[int, int]) -> None:
    """No MLP; of attention only one head in each layer named."""
    with torch.no_grad():
        for index, layer in enumerate(lm.layers()):
            layer.get_submodule("mlp.down_proj").weight.zero_()
            weight = layer.get_submodule("self_attn.o_proj").weight
            kept = weight.clone()
            weight.zero_()
            if index in heads:
                columns = slice(8 * heads[index], 8 * heads[index] + 8)
                weight[:, columns] = kept[:, columns]


def test_only_the_planted_path_has_an_effect(make_tiny: MakeTiny) -> None:
    """Layer 0's head 1 writes at the sender's token, layer 2's head 3 alone reads it from there."""
    lm = make_tiny("llama")
    keep_only(lm, {0: 1, 2: 3})
    base = ModelInputs(lm, PROMPTS, torch.tensor([[row - 3, row - 1] for row in map(len, PROMPTS)]))
    senders = [Site(layer, "head_out", head) for layer in (0, 1) for head in range(4)]
    receivers = [Site(layer, "head_out", head) for layer in (2, 3) for head in range(4)]
    found = path_effects(
        base, ModelInputs(lm, DONORS, FROM), senders, receivers, METRIC, tokens_per_forward=BUDGET
    )
    planted = found.effects[:, 1, 3].clone()
    assert planted.abs().min() > 1e-4
    found.effects[:, 1, 3] = 0
    assert float(found.effects.abs().max()) < 1e-6


def test_a_path_through_a_third_part_is_not_direct(make_tiny: MakeTiny) -> None:
    """Sender in layer 0, relay in layer 1, receiver in layer 2 that reads only the relay's
    subspace: direct effect nothing.
    """
    lm = make_tiny("llama")
    keep_only(lm, {0: 1, 1: 2, 2: 3})
    with torch.no_grad():
        # Layer 0 writes coordinates 0-7, layer 1 reads the whole stream and writes 8-15, layer 2's
        # values see only 8-15.
        projections = [layer.get_submodule("self_attn.o_proj").weight for layer in lm.layers()]
        projections[0][8:] = 0
        projections[1][:8] = 0
        projections[1][16:] = 0
        attention = lm.layers()[2].get_submodule("self_attn")
        for name in ("q_proj", "k_proj"):
            attention.get_submodule(name).weight.zero_()
        values = attention.get_submodule("v_proj").weight
        values[:, :8] = 0
        values[:, 16:] = 0
    lm.layers()[2].get_submodule("self_attn").register_forward_pre_hook(
        _freeze_scale, with_kwargs=True
    )
    base = ModelInputs(lm, PROMPTS, torch.tensor([[row - 3, row - 1] for row in map(len, PROMPTS)]))
    pairs = path_effects(
        base,
        ModelInputs(lm, DONORS, FROM),
        [Site(0, "head_out", 1), Site(1, "head_out", 2)],
        [Site(2, "head_out", 3)],
        METRIC,
        tokens_per_forward=BUDGET,
    )
    assert float(pairs.effects[:, 0].abs().max()) < 1e-5
    assert float(pairs.effects[:, 1].abs().min()) > 1e-4


def _freeze_scale(module: Any, args: Any, kwargs: Any) -> Any:
    """Undo the norm's scale by the untouched coordinates 16-31, so that a write elsewhere cannot
    be seen through it.
    """
    hidden = kwargs["hidden_states"]
    return args, {
        **kwargs,
        "hidden_states": hidden / hidden[..., 16:].norm(dim=-1, keepdim=True).clamp_min(1e-6),
    }


def test_direct_effect_on_the_output(make_tiny: MakeTiny) -> None:
    """The stream behind the last layer as receiver: the final norm of the base's stream plus the
    sender's difference.
    """
    lm = make_tiny("llama")
    ends = torch.tensor([[len(row) - 1] * 2 for row in PROMPTS])
    base, donor = ModelInputs(lm, PROMPTS, ends), ModelInputs(lm, DONORS, FROM)
    found = path_effects(
        base,
        donor,
        [Site(1, "mlp_out"), Site(0, "resid_pre")],
        [Site(3)],
        METRIC,
        tokens_per_forward=BUDGET,
    )
    for row, tokens in enumerate(PROMPTS):
        theirs, kept = observe(lm, DONORS[row]), observe(lm, tokens)
        with torch.no_grad():
            states = lm.decoder()(
                input_ids=torch.tensor([tokens]), output_hidden_states=True
            ).hidden_states
            embedded = [
                lm.embedding()(torch.tensor(ids))[i]
                for ids, i in ((DONORS[row], int(FROM[row])), (tokens, -1))
            ]
            last = states[3][0, -1] + kept[3, "attn_out"][0, -1] + kept[3, "mlp_out"][0, -1]
            moves = [
                theirs[1, "mlp_out"][0, FROM[row, 0]] - kept[1, "mlp_out"][0, -1],
                embedded[0] - embedded[1],
            ]
            values = [
                METRIC.readout(lm.head()(lm.final_norm()(state))[None])
                for state in (last, *(last + m for m in moves))
            ]
        for index in (0, 1):
            assert float(found.effects[row, index, 0]) == pytest.approx(
                float(values[1 + index] - values[0]), abs=1e-4
            )


def test_tuned_states_into_the_base_model(make_tiny: MakeTiny) -> None:
    """One set of weights with the adapter off equals two models; the receiver is computed by the
    base model.
    """
    config = LoraConfig(r=4, target_modules=["down_proj", "v_proj"], init_lora_weights=False)
    other, reference, plain = (make_tiny("llama") for _ in range(3))
    with torch.random.fork_rng():
        torch.manual_seed(5)
        tuned = other.with_model(get_peft_model(other.base(), config).eval())
        torch.manual_seed(5)
        merged = reference.with_model(
            get_peft_model(reference.base(), config).eval().merge_and_unload()
        )
    positions, senders, receivers = (
        runs(plain)[0].positions,
        [Site(0, "mlp_out"), Site(1, "head_out", 2)],
        [Site(2, "attn_out")],
    )
    results = [
        path_effects(
            base,
            ModelInputs(donor, PROMPTS, SENT[:, None]),
            senders,
            receivers,
            METRIC,
            tokens_per_forward=BUDGET,
        ).effects
        for base, donor in (
            (ModelInputs(tuned, PROMPTS, positions, lambda: adapter_off(tuned)), tuned),
            (ModelInputs(plain, PROMPTS, positions), merged),
        )
    ]
    torch.testing.assert_close(results[0], results[1], rtol=1e-3, atol=1e-4)
    assert results[0].abs().max() > 1e-3


@pytest.mark.parametrize(
    ("sender", "receiver", "message"),
    [
        (Site(2, "mlp_out"), Site(2, "attn_out"), "read before it is written"),
        (Site(1, "attn_out"), Site(1, "head_out", 0), "read before it is written"),
        (Site(0, "mlp_out"), Site(1, "mlp_out"), "reads its own token alone"),
        (Site(0, "mlp_out"), Site(4, "attn_out"), "Layer 4 does not exist"),
        (Site(0, "head_out", 4), Site(2, "attn_out"), "Head 4 does not exist"),
        (Site(0, "key", 2), Site(2, "attn_out"), "Head 2 does not exist; the model has key-value"),
        (Site(0, "neuron", 60, 5), Site(2, "attn_out"), "Neuron 64 does not exist"),
        (Site(0, "value", 1), Site(2, "attn_out"), "adds nothing to the stream itself"),
        (Site(0, "mlp_in"), Site(2, "attn_out"), "name the mlp_out it goes into"),
        (Site(0, "mlp_out"), Site(2, "query", 1), "reads its own token alone"),
    ],
)
def test_pairs_without_a_path_are_named(
    tiny_lm: LanguageModel, sender: Site, receiver: Site, message: str
) -> None:
    with pytest.raises(WorkbenchError, match=message):
        path_effects(*runs(tiny_lm), [sender], [receiver], METRIC, tokens_per_forward=BUDGET)


def test_wrong_runs_are_named(tiny_lm: LanguageModel) -> None:
    base, donor = runs(tiny_lm)
    pair: tuple[list[Site], list[Site], Metric] = (
        [Site(0, "mlp_out")],
        [Site(2, "attn_out")],
        METRIC,
    )
    backwards = ModelInputs(tiny_lm, PROMPTS, base.positions.flip(1))
    with pytest.raises(WorkbenchError, match="cannot come before"):
        path_effects(backwards, donor, *pair, tokens_per_forward=BUDGET)
    with pytest.raises(WorkbenchError, match="sender's and receiver's token"):
        path_effects(donor, donor, *pair, tokens_per_forward=BUDGET)
    with pytest.raises(WorkbenchError, match="at least one sender"):
        path_effects(base, donor, [], *pair[1:], tokens_per_forward=BUDGET)


@pytest.mark.parametrize("length", [2, 7])
def test_senders_before_an_adapters_reach_are_refused_and_others_as_by_hooks(
    make_tiny: MakeTiny, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The adapter starts at token 1 of the first row; the slow reference's forwards are told so,
    row by row.
    """
    # Donors as long as their base, so that the adapter starts at one token in both.
    monkeypatch.setitem(
        globals(), "DONORS", [[token + 3 for token in prompt] for prompt in PROMPTS]
    )
    monkeypatch.setitem(globals(), "FROM", SENT[:, None])
    lm = make_tiny("llama")
    modules = ["q_proj", "v_proj", "o_proj", "down_proj"]
    config = LoraConfig(
        r=4,
        target_modules=modules,
        task_type="CAUSAL_LM",
        alora_invocation_tokens=list(range(length)),
    )
    model = get_peft_model(lm.base(), config).eval()
    generator = torch.Generator().manual_seed(4)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data = 0.2 * torch.randn(weight.shape, generator=generator)
    tuned = lm.with_model(model, length)
    senders, receivers = (
        [Site(0, "head_out", 1), Site(0, "mlp_out")],
        [Site(2, "head_out", 3), Site(2, "attn_out")],
    )
    if length == 2:
        with pytest.raises(WorkbenchError, match="a patch comes before them"):
            path_effects(*runs(tuned), senders, receivers, METRIC, tokens_per_forward=BUDGET)
        return
    found = path_effects(*runs(tuned), senders, receivers, METRIC, tokens_per_forward=BUDGET)
    size = float(found.effects.abs().max())
    for row in range(3):
        with invoke_adapter_from(tuned, max(0, len(PROMPTS[row]) - length)):
            answers = {
                (i, j): slow_effect(tuned, DONORS[row], PROMPTS[row], sender, receiver, row)
                for i, sender in enumerate(senders)
                for j, receiver in enumerate(receivers)
            }
        for (i, j), expected in answers.items():
            assert float(found.effects[row, i, j]) == pytest.approx(
                expected, rel=1e-3, abs=1e-4 * size
            )
