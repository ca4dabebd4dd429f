"""Run experiments: each gathers readings, turns them into results, and writes their page."""
