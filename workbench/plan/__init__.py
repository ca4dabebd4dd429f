"""Say before anything is loaded what a run costs: passes, tokens, memory, time, and on what."""
