from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from workbench.teach.rollout import Opening, opened

PROMPTS = [(1, 2), (3,)]
OPENING = Opening(limit=4, stop=frozenset({9}), written=(7, 8))


class Trainer:
    """What TRL's trainer is asked for: replies to the first call, then to the second, and what
    it was asked.
    """

    def __init__(self, *replies: list[list[int]]) -> None:
        self.replies, self.asked = iter(replies), []
        self.generation_config = SimpleNamespace(max_new_tokens=99, eos_token_id=[5])
        self.eos_token_ids, self.num_generations = [5], 2
        self.state = SimpleNamespace(num_input_tokens_seen=100)

    def _generate_single_turn(
        self, prompts: Any, images: Any, more: Any, count: int
    ) -> tuple[Any, None]:
        config = self.generation_config
        self.asked.append((prompts, config.max_new_tokens, config.eos_token_id))
        return next(self.replies), None


def test_the_number_is_sampled_behind_the_answer_and_what_is_written() -> None:
    trainer = Trainer([[4, 9, 6], [9]], [[6, 6], [5]])
    found = opened(PROMPTS, OPENING, 3)(["0", "1"], trainer)
    assert trainer.asked == [
        ([[1, 2], [3]], 4, [5, 9]),
        ([[1, 2, 4, 7, 8], [3, 7, 8]], 3, [5]),
    ]
    assert found["prompt_ids"] == [[1, 2], [3]]
    assert found["completion_ids"] == [[4, 7, 8, 6, 6], [7, 8, 5]]
    assert found["env_mask"] == [[1, 0, 0, 1, 1], [0, 0, 1]]
    assert trainer.state.num_input_tokens_seen == 104
    assert vars(trainer.generation_config) == {"max_new_tokens": 99, "eos_token_id": [5]}


def test_settings_come_back_after_an_error() -> None:
    trainer = Trainer()
    with pytest.raises(StopIteration):
        opened(PROMPTS, OPENING, 3)(["0"], trainer)
    assert vars(trainer.generation_config) == {"max_new_tokens": 99, "eos_token_id": [5]}
