"""Kills, races and damages on a tiny run, as many as asked for; too long for the suite, run by
hand:

    python -m tests.faults.campaign kills --trials 30
    python -m tests.faults.campaign races --trials 20
    python -m tests.faults.campaign damages --trials 60

Each makes a reference first, undisturbed, and compares every table, tensor and number of the
summary with it afterwards. Prints a line a trial and a count at the end; exits with 1 where
anything was lost, wrong or left over.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from tests.support.runs import planted_questions, save_number_writer
from workbench.files.writing import TEMPORARY
from workbench.loading import load_model
from workbench.questions import write_questions

ROOT = Path(__file__).parents[2]
SETTINGS: dict[str, Any] = {
    "model": {"device": "cpu", "precision": "float32"},
    "questions": {"limit": 132, "train_fraction": 0.5},
    "elicit": {"answer_tokens": 6},
    "probe": {"folds": 3, "inner_folds": 2, "inverse_penalties": [0.01, 0.1], "shuffles": 2},
    "teach": {
        "lora": {"rank": 8, "alpha": 16},
        "learning_rate": 1e-3,
        "epochs": 1,
        "checkpoint_steps": 3,
    },
    "patch": {"n_questions": 8, "share": 0, "control_layers": 2},
    "bootstrap_resamples": 200,
}
DAMAGES: dict[str, Callable[[Path, random.Random], object]] = {
    "flip": lambda path, rng: _flip(path, rng),
    "truncate": lambda path, rng: path.write_bytes(
        path.read_bytes()[: rng.randrange(path.stat().st_size)]
    ),
    "zero": lambda path, rng: path.write_bytes(bytes(path.stat().st_size)),
    "empty": lambda path, rng: path.write_bytes(b""),
    "delete": lambda path, rng: path.unlink(),
    "symlink": lambda path, rng: (path.rename(path.with_name("moved")), path.symlink_to("moved")),
}


def _flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(content))


class Bench:
    """A tiny model, its questions, and the commands that are disturbed."""

    def __init__(self, place: Path) -> None:
        self.place = place
        save_number_writer(place / "model")
        write_questions(
            place / "questions.jsonl",
            planted_questions(load_model(str(place / "model"), device="cpu")),
        )
        settings = json.loads(json.dumps(SETTINGS))
        settings["model"]["name"] = str(place / "model")
        settings["questions"]["source"] = str(place / "questions.jsonl")
        (place / "config.json").write_text(json.dumps(settings))

    def start(self, command: str, folder: Path, *more: str) -> subprocess.Popen[bytes]:
        """The command as a process with its output in ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        common = ["--config", str(self.place / "config.json"), "--name", "x"]
        workbench = [sys.executable, "-m", "workbench"]
        line = {
            "run": [*workbench, "run", *common],
            "teach": [*workbench, "teach", "doubt", "--arms", "log", *common],
            "baselines": [
                *workbench,
                "baselines",
                *common,
                "--baselines",
                "agreement,expected",
                "--samples",
                "3",
            ],
            "steering": [
                sys.executable,
                str(ROOT / "analyses" / "steering.py"),
                *common,
                "--set",
                "n_questions=12",
            ],
        }[command]
        own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        output = (folder / "output.txt").open("ab")
        return subprocess.Popen(
            [*line, *more], cwd=folder, env={**os.environ, **own}, stdout=output, stderr=output
        )

    def reference(self, command: str) -> tuple[dict[str, Any], float]:
        """All numbers of the undisturbed command, and its seconds."""
        folder, started = self.place / f"reference-{command}", time.monotonic()
        if self.start(command, folder).wait():
            raise SystemExit((folder / "output.txt").read_text())
        return numbers(folder), time.monotonic() - started


def numbers(folder: Path) -> dict[str, Any]:
    """Every table, tensor and number that a command left, but for times and memory."""
    found: dict[str, Any] = {}
    for path in sorted((folder / "runs").rglob("*")):
        name = path.relative_to(folder).as_posix()
        if "/parts/" in name or "/checkpoints/" in name:
            continue
        if path.suffix == ".parquet":
            found[name] = pd.read_parquet(path)
        elif path.suffix == ".safetensors":
            found |= {f"{name}:{key}": value for key, value in load_file(path).items()}
        elif path.name == "summary.json":
            content = json.loads(path.read_text())
            found[name] = {
                k: v for k, v in content.items() if not k.startswith(("seconds.", "memory."))
            }
    return found


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names of what is not the same to the bit."""
    out = sorted(before.keys() ^ after.keys())
    for name in before.keys() & after.keys():
        one, two = before[name], after[name]
        if isinstance(one, pd.DataFrame):
            timed = [column for column in one if "seconds" in str(column)]
            same = one.drop(columns=timed).equals(two.drop(columns=timed, errors="ignore"))
        else:
            same = (
                np.array_equal(one, two, equal_nan=True)
                if isinstance(one, np.ndarray)
                else one == two
            )
        if not same:
            out.append(name)
    return out


def left_over(folder: Path) -> list[str]:
    """Temporary files, and what is there for resuming, of a run that ended."""
    gone = [
        path
        for path in folder.rglob("*")
        if path.name.endswith(TEMPORARY) or path.name == ".lock-holder.json"
    ]
    return [path.relative_to(folder).as_posix() for path in gone]


def kills(bench: Bench, trials: int, rng: random.Random) -> Iterator[tuple[str, bool]]:
    """SIGKILL at random moments, half of them while a temporary file is there, until the command
    went through.
    """
    commands = ["run", "teach", "baselines", "steering"]
    references = {command: bench.reference(command) for command in commands}
    done = 0
    for index in range(10 * trials):
        command = commands[index % len(commands)]
        wanted, seconds = references[command]
        folder, here = bench.place / f"kills-{index}", 0
        for _ in range(5):
            process = bench.start(command, folder)
            deadline = time.monotonic() + rng.uniform(0.1, 1.0) * seconds
            temporary = rng.random() < 0.5
            while time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.002 if temporary else 0.05)
                if temporary and time.monotonic() > deadline - 0.8 * seconds and _writing(folder):
                    break
            if process.poll() is None:
                process.kill()
                here += 1
            process.wait()
        code = bench.start(command, folder).wait()
        done += here
        wrong = differences(wanted, numbers(folder)) if not code else [f"exit {code}"]
        left = left_over(folder)
        yield (
            f"{command}: {here} kills, differences {wrong[:4]}, left over {left[:4]}",
            not wrong and not left,
        )
        if done >= trials:
            return


def _writing(folder: Path) -> bool:
    try:
        return any(folder.rglob(f".*{TEMPORARY}"))
    except OSError:
        return True


def races(bench: Bench, trials: int, rng: random.Random) -> Iterator[tuple[str, bool]]:
    """Two and three processes on one folder: one works, the others are refused."""
    wanted, seconds = bench.reference("run")
    for index in range(trials):
        folder, processes = bench.place / f"races-{index}", []
        for _ in range(2 + index % 2):
            processes.append(bench.start("run", folder))
            time.sleep(rng.choice([0.0, rng.uniform(0, 3), rng.uniform(0, 0.5) * seconds]))
        codes = sorted(process.wait() for process in processes)
        said = (folder / "output.txt").read_text()
        wrong = differences(wanted, numbers(folder))
        refused = said.replace("\n", " ").count("is being worked on by")
        fine = not wrong and set(codes) <= {0, 2} and codes[0] == 0 and codes.count(2) == refused
        fine &= "Traceback" not in said and not left_over(folder)
        yield f"exits {codes}, {refused} refused, differences {wrong[:4]}", fine


def damages(bench: Bench, trials: int, rng: random.Random) -> Iterator[tuple[str, bool]]:
    """One file of a finished or an unfinished run is damaged: it is named, or done again with
    the same numbers.
    """
    commands = ["run", "teach"]
    wanted = {command: bench.reference(command)[0] for command in commands}
    for index in range(trials):
        command, folder = commands[index % 2], bench.place / f"damages-{index}"
        shutil.copytree(bench.place / f"reference-{command}", folder, symlinks=True)
        unfinished = index % 3 == 0
        if unfinished:
            _unfinish(bench, command, folder, rng)
        files = [
            path for path in sorted((folder / "runs").rglob("*"))
            if path.is_file() and path.stat().st_size and not path.name.startswith(".")
        ]  # fmt: skip
        path = rng.choice([each for each in files if "/parts/" in str(each) or "/checkpoints/" in str(each)] or files
                          if unfinished and rng.random() < 0.5 else files)  # fmt: skip
        kind = rng.choice(list(DAMAGES))
        DAMAGES[kind](path, rng)
        (folder / "output.txt").write_text("")
        code = bench.start(command, folder).wait()
        said = " ".join((folder / "output.txt").read_text().split())
        what = (
            f"{command}{' unfinished' if unfinished else ''}: {kind} "
            f"{path.relative_to(folder / 'runs')}"
        )
        if code == 2 and "Traceback" not in said and str(path.name) in said.replace(" ", ""):
            at = path.parent
            while not (at / "done.json").exists() and at != folder:
                at = at.parent
            if (at != folder and not path.is_symlink()) or at != folder:
                shutil.rmtree(at)
            code = bench.start(command, folder).wait()
            wrong = (
                differences(wanted[command], numbers(folder))
                if not code
                else [f"exit {code} after the mend"]
            )
            yield f"{what}: named; after the mend {wrong[:4] or 'the same'}", not wrong
        else:
            wrong = (
                differences(wanted[command], numbers(folder))
                if not code
                else [f"exit {code}: {said[-300:]}"]
            )
            yield f"{what}: done again; {wrong[:4] or 'the same'}", not wrong
        shutil.rmtree(folder)


def _unfinish(bench: Bench, command: str, folder: Path, rng: random.Random) -> None:
    """Take a stage's result away and kill the command while it makes it again."""
    stages = [path.parent for path in (folder / "runs").rglob("done.json")]
    shutil.rmtree(rng.choice(stages))
    process = bench.start(command, folder)
    deadline = time.monotonic() + 40
    while (
        time.monotonic() < deadline
        and process.poll() is None
        and not any((folder / "runs").rglob("parts/*.parquet"))
    ):
        time.sleep(0.02)
    process.kill()
    process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["kills", "races", "damages"])
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    count: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="workbench-faults-") as place:
        trial = {"kills": kills, "races": races, "damages": damages}[given.kind]
        for line, fine in trial(Bench(Path(place)), given.trials, random.Random(given.seed)):
            count["fine" if fine else "FAULT"] += 1
            sys.stdout.write(f"{'fine' if fine else 'FAULT'}: {line}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{dict(count)}\n")
    return int(count["FAULT"] > 0)


if __name__ == "__main__":
    sys.exit(main())
