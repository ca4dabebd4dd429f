"""Sample a reply whose middle is written, not sampled: an answer, then the words that lead to a
confidence, then the number.

The reply has the form after which confidence is read everywhere: the answer ends at its first line
break, and the format's words follow. A model that would never write those words by itself still
states a confidence in every reply, and is not trained on the words: they are masked out of the
loss, as is the choice to end the answer, which is cut off. The result does not show whether the
model would state a confidence unasked. Where a tokenizer joins an answer's last mark with a line
break, the tokens differ from those of the whole reply tokenised at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from workbench.compat import sample_turn

Tokens = list[list[int]]


@dataclass(frozen=True)
class Opening:
    """The opening of a reply: at most ``limit`` tokens are sampled, up to the first of ``stop``,
    which is removed; ``written`` follows.
    """

    limit: int
    stop: frozenset[int]
    written: tuple[int, ...]


def opened(
    prompts: Sequence[Sequence[int]], opening: Opening, limit: int
) -> Callable[[list[str], Any], dict[str, Any]]:
    """Return TRL's ``rollout_func`` for prompts named by their number in ``prompts``; ``limit``
    tokens are sampled after the opening.
    """

    def rollout(rows: list[str], trainer: Any) -> dict[str, Any]:
        asked = [list(prompts[int(row)]) for row in rows]
        with _until(trainer, opening.limit, opening.stop):
            answers = [_cut(tokens, opening.stop) for tokens in sample_turn(trainer, asked)]
        written = list(opening.written)
        with _until(trainer, limit, ()):
            rest = sample_turn(
                trainer, [[*a, *b, *written] for a, b in zip(asked, answers, strict=True)]
            )
        # TRL counts sampled tokens; written ones are computed like them.
        trainer.state.num_input_tokens_seen += len(written) * len(rows)
        return {
            "prompt_ids": asked,
            "completion_ids": [[*a, *written, *b] for a, b in zip(answers, rest, strict=True)],
            "logprobs": None,
            "env_mask": [
                [1] * len(a) + [0] * len(written) + [1] * len(b)
                for a, b in zip(answers, rest, strict=True)
            ],
        }

    return rollout


def _cut(tokens: Sequence[int], stop: Collection[int]) -> list[int]:
    end = next((place for place, token in enumerate(tokens) if token in stop), len(tokens))
    return list(tokens[:end])


@contextmanager
def _until(trainer: Any, limit: int, stop: Collection[int]) -> Iterator[None]:
    """Let the trainer sample at most ``limit`` tokens inside the block, and end rows after one of
    ``stop`` as after the end of a turn.
    """
    config = trainer.generation_config
    before = config.max_new_tokens, config.eos_token_id
    config.max_new_tokens = limit
    config.eos_token_id = sorted({*trainer.eos_token_ids, *stop})
    try:
        yield
    finally:
        config.max_new_tokens, config.eos_token_id = before
