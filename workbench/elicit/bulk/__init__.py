"""Let another engine write answers and samples in bulk, and compare it with the exact path.

Engines made for serving (:mod:`workbench.elicit.bulk.vllm_engine`) write text many times faster
than passes that can be hooked. Prompts go to them as token ids, so the chat template and the
tokenizer are the workbench's, and what is read afterwards (scales, states, patches) is computed by
the exact path from the text they wrote.
"""
