"""Name the files of recorded states, for rooms that look whether there are any without loading
torch.
"""

from __future__ import annotations

MANIFEST = "manifest.jsonl"
ENDING = ".safetensors"
