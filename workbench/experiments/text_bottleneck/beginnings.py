"""Keep the keys and values of what precedes the confidence reply, once for all conditions.

An adapter on the reply leaves them as the base model's, so every stage that goes on from them pays
for the reply and the scale's tokens alone. They are computed here in passes of their own, shorter
than those of the run's stages, and so differ from the run's in the last bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from peft import PeftModel

from workbench.arrays import Rows
from workbench.elicit.conversation import Conversation
from workbench.elicit.reply_tokens import before_reply
from workbench.loop.patching import kept_beginnings
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off
from workbench.patch.model_states import Beginnings


def compute_beginnings(
    context: Run, lm: LanguageModel, conversations: Sequence[Conversation], rows: Rows
) -> Beginnings | None:
    """Compute the questions ``rows`` up to the reply, those that are not kept yet; return what is
    kept by place in ``rows``, or None where every pass computes whole prompts.

    Args:
        conversations: of all questions, by row.
    """
    reply = context.reply
    if reply is None or not lm.architecture.packable:
        return None
    before = [before_reply(conversations[row], reply) for row in rows]
    with adapter_off(lm) if isinstance(lm.model, PeftModel) else nullcontext():
        context.reply_cache.fill(lm, rows.tolist(), before, "reading up to the reply")
    return kept_beginnings(context, lm, conversations, rows)
