"""The property tests of every reader and parser, with new seeds until the time is over; run by
hand:

    python -m tests.faults.fuzz --minutes 10 settings tables grading models

Prints a line a round; exits with 1 at the first example that fails, which hypothesis has made
small.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROPERTIES = {
    "settings": ("tests/settings/test_file.py", "any_"),
    "tables": (
        "tests/tables/test_fuzzed.py tests/questions/test_files.py "
        "tests/questions/test_graded_answers.py tests/questions/hub/test_readers.py",
        "",
    ),
    "grading": ("tests/questions/test_grading_properties.py tests/elicit/test_parse.py", ""),
    "models": (
        "tests/models/test_broken_models.py tests/models/test_sentencepiece_gguf.py",
        "any or random or damaged",
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(PROPERTIES))
    parser.add_argument("--minutes", type=float, default=10.0, help="for each kind")
    parser.add_argument("--seed", type=int, default=None, help="default: another at each call")
    given = parser.parse_args()
    first = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    sys.stdout.write(f"seed {first}\n")
    rng, broken = random.Random(first), False
    unknown = [kind for kind in given.kinds if kind not in PROPERTIES]
    if unknown:
        parser.error(f"{unknown[0]!r} is none of {', '.join(PROPERTIES)}")
    for kind in given.kinds or PROPERTIES:
        files, words = PROPERTIES[kind]
        over, rounds, failed = time.monotonic() + 60 * given.minutes, 0, False
        while time.monotonic() < over and not failed:
            seed = rng.randrange(2**32)
            command = [
                sys.executable,
                "-m",
                "pytest",
                *files.split(),
                "-q",
                "-x",
                f"--hypothesis-seed={seed}",
            ]
            done = subprocess.run(
                [*command, "-k", words] if words else command,
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            rounds += 1
            failed = done.returncode != 0
            if failed:
                sys.stdout.write(done.stdout + done.stderr)
        sys.stdout.write(f"{kind}: {rounds} rounds, {'FAILED' if failed else 'none failed'}\n")
        sys.stdout.flush()
        broken |= failed
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
