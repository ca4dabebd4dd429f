"""A process that is killed in the middle of a pass goes on after its last finished layer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import DynamicCache

from tests.support.streamed import stream_copy
from workbench.models import LanguageModel
from workbench.models.unembed import unembed_reduced
from workbench.stream.call_records import CallRecords
from workbench.stream.gates import LayerStream
from workbench.stream.pass_log import PassLog
from workbench.stream.rounds import run_together
from workbench.trace import Site, record
from workbench.trace.forward import forward
from workbench.trace.hooks import on_outputs
from workbench.trace.layout import empty_tail, pad_prompts

MakeTiny = Callable[..., LanguageModel]
ROWS = [[5, 6, 7, 8, 9, 10, 11], [20, 21, 22, 23], [30, 31]]


class Killed(BaseException):
    """What ends a pass in the middle."""


@pytest.fixture
def make_logged(
    make_tiny: MakeTiny, tmp_path: Path
) -> Iterator[Callable[..., tuple[LanguageModel, LayerStream]]]:
    """``make_logged(family)``: the model read from files, with the same log each time."""
    made: list[LayerStream] = []

    def make(
        family: str = "llama", fingerprint: str = "tiny", most: int = 10**9
    ) -> tuple[LanguageModel, LayerStream]:
        streamed, stream = stream_copy(make_tiny(family), tmp_path / "weights")
        for other in made:
            other.close()
        stream.pass_log = PassLog(tmp_path, fingerprint, most)
        made.append(stream)
        return streamed, stream

    yield make
    for stream in made:
        stream.close()


def generated(lm: LanguageModel, row: list[int], tokens: int = 3) -> tuple[list[int], Tensor]:
    """Greedy tokens after a prompt, by a pass for each with a cache, and all logits."""
    cache, found, scores, new = DynamicCache(), list[int](), [], list(row)
    for _ in range(tokens):
        with torch.no_grad():
            logits = lm.base()(
                input_ids=torch.tensor([new]), past_key_values=cache, use_cache=True
            ).logits
        scores.append(logits[0, -1])
        found.append(int(scores[-1].argmax()))
        new = [found[-1]]
    return found, torch.stack(scores)


def recorded(lm: LanguageModel, row: list[int]) -> Tensor:
    return record(lm, [row], [[0, len(row) - 1]], [Site(layer) for layer in range(lm.n_layers)])


def killed_at(stream: LayerStream, fill: int) -> None:
    """Let the process end, as far as a test can, when it fills a layer for the time ``fill``."""
    whole, count = stream.weights.fill, iter(range(10**6))

    def counted(layer: int, ahead: int | None) -> None:
        if next(count) == fill:
            raise Killed
        whole(layer, ahead)

    stream.weights.fill = counted  # type: ignore[method-assign]


def interrupted(
    work: Callable[..., object], made: tuple[LanguageModel, LayerStream], fill: int
) -> None:
    streamed, stream = made
    killed_at(stream, fill)
    with pytest.raises(Killed):
        run_together([partial(work, streamed, row) for row in ROWS])


def reads(stream: LayerStream) -> list[int]:
    stream.rest()
    return [stream.weights.counts.reads.get(layer, 0) for layer in range(4)]


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "mixtral"])
def test_a_recording_goes_on_after_its_last_layer(
    make_logged: Callable[..., tuple[LanguageModel, LayerStream]],
    make_tiny: MakeTiny,
    tmp_path: Path,
    family: str,
) -> None:
    interrupted(recorded, make_logged(family), 2)
    assert len(list(tmp_path.glob("workbench-pass-*"))) == 1
    streamed, stream = make_logged(family)
    found = run_together([partial(recorded, streamed, row) for row in ROWS])
    assert reads(stream) == [0, 0, 1, 1]
    assert stream.pass_log is not None
    assert stream.pass_log.calls_replayed == 2 * len(ROWS)
    for row, got in zip(ROWS, found, strict=True):
        assert torch.equal(got, recorded(make_tiny(family), row))
    assert not list(tmp_path.glob("workbench-pass-*"))


def test_an_answer_goes_on_after_its_last_token(
    make_logged: Callable[..., tuple[LanguageModel, LayerStream]], make_tiny: MakeTiny
) -> None:
    """Keys and values of the passes before are there too."""
    interrupted(generated, make_logged(), 4 + 4 + 1)
    streamed, stream = make_logged()
    found = run_together([partial(generated, streamed, row) for row in ROWS])
    assert reads(stream) == [0, 1, 1, 1]
    for row, (tokens, scores) in zip(ROWS, found, strict=True):
        expected, logits = generated(make_tiny(), row)
        assert tokens == expected
        torch.testing.assert_close(scores, logits, atol=5e-6, rtol=1e-6)


def patched(lm: LanguageModel, row: list[int], factor: float = 2.0) -> Tensor:
    prompts = pad_prompts([row], 0, lm.device)
    with on_outputs(lm, {1: lambda hidden: factor * hidden}):
        found = forward(lm, prompts, empty_tail(prompts), torch.tensor([[len(row) - 1]]))
    return unembed_reduced(lm, found.final, lambda logits: logits)


def test_other_states_that_are_patched_in_are_computed(
    make_logged: Callable[..., tuple[LanguageModel, LayerStream]], make_tiny: MakeTiny
) -> None:
    """The layers below the patch are those of the run that was killed."""
    interrupted(patched, make_logged(), 3)
    streamed, stream = make_logged()
    found = run_together([partial(patched, streamed, row, factor=3.0) for row in ROWS])
    assert reads(stream) == [0, 0, 1, 1]
    for row, got in zip(ROWS, found, strict=True):
        torch.testing.assert_close(got, patched(make_tiny(), row, 3.0), atol=5e-6, rtol=1e-6)


@pytest.mark.parametrize("change", ["prompts", "model", "damage"])
def test_what_another_run_left_is_not_used(
    make_logged: Callable[..., tuple[LanguageModel, LayerStream]],
    make_tiny: MakeTiny,
    tmp_path: Path,
    change: str,
) -> None:
    interrupted(recorded, make_logged(), 2)
    rows = [[*row[:-1], 99] for row in ROWS] if change == "prompts" else ROWS
    if change == "damage":
        for path in tmp_path.glob("workbench-pass-*/*.records"):
            held = bytearray(path.read_bytes())
            held[-5] ^= 1
            path.write_bytes(held)
    streamed, stream = make_logged(fingerprint="other" if change == "model" else "tiny")
    found = run_together([partial(recorded, streamed, row) for row in rows])
    # Of damaged files the last record is computed again.
    assert reads(stream) == ([0, 1, 1, 1] if change == "damage" else [1, 1, 1, 1])
    for row, got in zip(rows, found, strict=True):
        assert torch.equal(got, recorded(make_tiny(), row))


def test_layers_with_hooks_inside_are_read_again(
    make_logged: Callable[..., tuple[LanguageModel, LayerStream]], make_tiny: MakeTiny
) -> None:
    def inside(lm: LanguageModel, row: list[int]) -> Tensor:
        return record(lm, [row], [[0]], [Site(1, "mlp_out"), Site(3)])

    interrupted(inside, make_logged(), 2)
    streamed, stream = make_logged()
    found = run_together([partial(inside, streamed, row) for row in ROWS])
    assert reads(stream)[:2] == [0, 1]
    for row, got in zip(ROWS, found, strict=True):
        assert torch.equal(got, inside(make_tiny(), row))


def test_the_log_keeps_to_its_bound(
    make_logged: Callable[..., tuple[LanguageModel, LayerStream]], tmp_path: Path
) -> None:
    streamed, stream = make_logged(most=3000)
    with pytest.warns(UserWarning, match=r"fills the 0\.0 GB of model\.resume_bytes"):
        run_together([partial(recorded, streamed, row) for row in ROWS])
    assert stream.pass_log is not None
    assert 0 < stream.pass_log.bytes_written <= 3000 + 1000


def test_a_record_that_was_cut_off_is_written_again(tmp_path: Path) -> None:
    path, given = tmp_path / "0.records", b"x" * 16
    records = CallRecords(path)
    records.append(1, given, {"output": torch.arange(5)})
    records.append(2, given, {"output": torch.arange(9)})
    path.write_bytes(path.read_bytes()[:-3])
    again = CallRecords(path)
    assert again.offers(1, given)
    assert not again.offers(1, b"y" * 16)
    assert 2 not in again
    again.append(2, given, {"output": torch.ones(2)})
    found = CallRecords(path).read(2)
    assert found is not None
    assert torch.equal(found["output"], torch.ones(2))


def test_a_killed_process_goes_on_in_another(make_tiny: MakeTiny, tmp_path: Path) -> None:
    """SIGKILL comes when the third layer has been filled for the first time."""
    make_tiny().model.save_pretrained(tmp_path / "weights")
    worker = [sys.executable, "-m", "tests.stream.pass_log_worker", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.run([*worker, "2"], env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    again = subprocess.run([*worker, "-1"], env=environment, capture_output=True, check=False)
    assert again.returncode == 0, again.stderr.decode()
    found = load_file(tmp_path / "found.safetensors")
    assert found["reads"].tolist() == [0, 0, 1, 1]
    for number, row in enumerate(ROWS):
        assert torch.equal(found[f"states.{number}"], recorded(make_tiny(), row))
