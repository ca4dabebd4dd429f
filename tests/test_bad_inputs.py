"""Named mistakes on the command line, each with the exact sentence it ends in; nothing is
written, nothing is begun.
"""

from __future__ import annotations

import os
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from typer.main import get_command

from workbench.cli.app import app

TEACH = (
    "adapter_scope, target, target_std, lora, start_layer, start_layer_questions, start_layer_slope, "
    "activation_cache_bytes, resident_bytes, gradient_checkpointing, learning_rate, loraplus_lr_ratio, weight_decay, epochs, on_policy_steps, "
    "group_size, calibration_fraction, head, batch_size, gradient_accumulation_steps, checkpoint_steps"
)
GROUPS = (
    "model, questions, elicit, probe, teach, patch, attribution, "
    "measure, bootstrap_resamples, seed, trainings"
)
WHOLE, NUMBER = "it must be a whole number, not", "it must be a number, not"
COMMA = "has a comma, or nothing, where a name belongs; name some by commas, as a,b."
DOUBT = "log, brier, log-free, grpo, rloo, log-whole, tokenised-brier"
PARTS = (
    "sweep, map, knockout, texts, record, lens, growth, memory, libraries loop, transformer-lens, "
    "nnsight, pyvene"
)

# One setting, as --set reads it -> what is wrong with it.
SETTINGS: dict[str, str] = {
    "seed=yes": f"'seed': {WHOLE} 'yes'.",
    "seed=no": f"'seed': {WHOLE} 'no'.",
    "seed=true": "'seed': it must not be true, a truth value.",
    "seed=false": "'seed': it must not be false, a truth value.",
    "seed=-1": "'seed': it must be at least 0, not -1.",
    "seed=4294967295": "'seed': it must be at most 4,294,957,295, not 4294967295.",
    "seed=4294967296": "'seed': it must be at most 4,294,957,295, not 4294967296.",
    "seed=1180591620717411303424": "'seed': it must be at most 4,294,957,295, not 1180591620717411303424.",
    "seed=1.5": f"'seed': {WHOLE} 1.5.",
    "seed=.nan": "'seed': it must be a finite number, not nan.",
    "seed=.inf": "'seed': it must be a finite number, not inf.",
    "seed=": f"'seed': {WHOLE} null.",
    "seed=null": f"'seed': {WHOLE} null.",
    "seed=[1]": f"'seed': {WHOLE} [1].",
    "seed={a: 1}": "'seed' holds a value, so 'seed.a' cannot be set in it.",
    "seed=1:30": f"'seed': {WHOLE} '1:30'.",
    "seed=0x10": f"'seed': {WHOLE} '0x10'.",
    "seed.deep=1": "'seed' holds a value, so 'seed.deep' cannot be set in it.",
    "bootstrap_resamples=99": "'bootstrap_resamples': it must be at least 100, not 99.",
    "bootstrap_resamples=10000000": "'bootstrap_resamples': it must be at most 1,000,000, not 10000000.",
    "model=null": "'model': it must hold keys and values, not null.",
    "model=default": "'model': it must hold keys and values, not 'default'.",
    "model.name=": "'model.name': it must be text, not null.",
    "model.name=''": "'model.name': it must not be empty.",
    "model.name=' '": "'model.name': it must not be empty.",
    "model.name=12": "'model.name': it must be text, not 12; put it in quotes.",
    "model.name=true": "'model.name': it must not be true, a truth value.",
    "model.name=[a]": "'model.name': it must be text, not ['a'].",
    "model.name.deep=1": "'model.name' holds a value, so 'model.name.deep' cannot be set in it.",
    'model.name="a\\0b"': r"'model.name': it must not hold a null character, as 'a\x00b' does.",
    'model.name="\\uD800"': r"'model.name': it must be readable as UTF-8, as '\ud800' is not.",
    "model.dtype=int8": "'model.dtype': it must be one of 'auto', 'float32', 'bfloat16' or 'float16', not 'int8'.",
    "model.dtype=32": "'model.dtype': it must be one of 'auto', 'float32', 'bfloat16' or 'float16', not 32.",
    "model.precision=half": "'model.precision': it must be one of 'auto', 'float32' or 'bfloat16', not 'half'.",
    "model.trust_remote_code=maybe": "'model.trust_remote_code': it must be true or false, not 'maybe'.",
    "model.trust_remote_code=2": "'model.trust_remote_code': it must be true or false, not 2.",
    "model.chat_template=3": "'model.chat_template': it must be the path of a file, not 3; put it in quotes.",
    "model.chat_template=''": "'model.chat_template': it must not be empty.",
    "model.tokens_per_forward=0": "'model.tokens_per_forward': it must be at least 1, not 0.",
    "model.tokens_per_forward=1e3000": "'model.tokens_per_forward': it must be a finite number, not inf.",
    "model.kv_cache_bytes=-1": "'model.kv_cache_bytes': it must be at least 0, not -1.",
    "model.kv_cache_bytes=2GB": f"'model.kv_cache_bytes': {WHOLE} '2GB'.",
    "model.names=a": "'model.names': there is no such setting; did you mean 'model.name'?",
    "questions=builtin": "'questions': it must hold keys and values, not 'builtin'.",
    "questions.source=''": "'questions.source': it must not be empty.",
    'questions.source="\\0"': r"'questions.source': it must not hold a null character, as '\x00' does.",
    "questions.mirror=''": "'questions.mirror': it must not be empty.",
    "questions.ask_as=closed": "'questions.ask_as': it must be one of 'published', 'choice' or 'open', not 'closed'.",
    "questions.options=1": "'questions.options': it must be at least 2, not 1.",
    "questions.options=27": "'questions.options': it must be at most 26, not 27.",
    "questions.graded_file=[]": "'questions.graded_file': it must be the path of a file, not [].",
    "questions.domains=geography": "'questions.domains': it must be a list, such as [a, b], not 'geography'.",
    "questions.domains=[1900]": "'questions.domains.0': it must be text, not 1900; put it in quotes.",
    "questions.domains=[a, a]": "'questions.domains': it names 'a' twice.",
    "questions.domains=['']": "'questions.domains': it must not be empty.",
    "questions.held_out=[a]": "'questions.held_out': there is no such setting; did you mean 'questions.held_out_domains'?",
    "questions.limit=-1": "'questions.limit': it must be at least 1, not -1.",
    "questions.limit=all": f"'questions.limit': {WHOLE} 'all'.",
    "questions.train_fraction=0": "'questions.train_fraction': it must be above 0, not 0.",
    "questions.train_fraction=1": "'questions.train_fraction': it must be below 1, not 1.",
    "questions.train_fraction=.nan": "'questions.train_fraction': it must be a finite number, not nan.",
    "elicit.format=3": "'elicit.format': it must be text, not 3; put it in quotes.",
    "elicit.answer_tokens=0": "'elicit.answer_tokens': it must be at least 1, not 0.",
    "elicit.answer_tokens=1000000": "'elicit.answer_tokens': it must be at most 100,000, not 1000000.",
    "elicit.reasoning_tokens=0": "'elicit.reasoning_tokens': it must be at least 1, not 0.",
    "elicit.formats=a": "'elicit.formats': there is no such setting; did you mean 'elicit.format'?",
    "probe.folds=2": "'probe.folds': it must be at least 3, not 2.",
    "probe.folds=1001": "'probe.folds': it must be at most 1,000, not 1001.",
    "probe.inner_folds=1": "'probe.inner_folds': it must be at least 2, not 1.",
    "probe.inverse_penalties=[]": "'probe.inverse_penalties': it must hold at least 1 value, not [].",
    "probe.inverse_penalties=0.1": "'probe.inverse_penalties': it must be a list, such as [a, b], not 0.1.",
    "probe.inverse_penalties=[0]": "'probe.inverse_penalties.0': it must be at least 1e-09, not 0.",
    "probe.inverse_penalties=[0.1, -1]": "'probe.inverse_penalties.1': it must be at least 1e-09, not -1.",
    "probe.inverse_penalties=[1e300]": "'probe.inverse_penalties.0': it must be at most 100,000, not 1e+300.",
    "probe.inverse_penalties=[.inf]": "'probe.inverse_penalties.0': it must be a finite number, not inf.",
    "probe.inverse_penalties=[.nan]": "'probe.inverse_penalties.0': it must be a finite number, not nan.",
    "probe.inverse_penalties=[0.1, 0.1]": "'probe.inverse_penalties': it names 0.1 twice.",
    "probe.inverse_penalties=[true]": "'probe.inverse_penalties': it must not be true, a truth value.",
    "probe.inverse_penalties=[[0.1]]": "'probe.inverse_penalties': it must be a plain list.",
    "probe.inverse_penalties=[x]": f"'probe.inverse_penalties.0': {NUMBER} 'x'.",
    "probe.ensemble_sites=0": "'probe.ensemble_sites': it must be at least 1, not 0.",
    "probe.shuffles=0": "'probe.shuffles': it must be at least 1, not 0.",
    "probe.shuffles=true": "'probe.shuffles': it must not be true, a truth value.",
    "teach=3": "'teach': it must hold keys and values, not 3.",
    "teach=[lora]": "'teach': it must hold keys and values, not ['lora'].",
    "teach.adapter_scope=answer": "'teach.adapter_scope': it must be one of 'reply' or 'conversation', not 'answer'.",
    "teach.target=number": "'teach.target': it must be one of 'distribution' or 'text', not 'number'.",
    "teach.target_std=0": "'teach.target_std': it must be at least 0.0001, not 0.",
    "teach.target_std=1e-300": "'teach.target_std': it must be at least 0.0001, not 1e-300.",
    "teach.target_std=.inf": "'teach.target_std': it must be a finite number, not inf.",
    "teach.target_std=1e300": "'teach.target_std': it must be at most 100, not 1e+300.",
    "teach.lora=16": "'teach.lora': it must hold keys and values, not 16.",
    "teach.lora.rank=0": "'teach.lora.rank': it must be at least 1, not 0.",
    "teach.lora.rank=1000000": "'teach.lora.rank': it must be at most 100,000, not 1000000.",
    "teach.lora.alpha=0": "'teach.lora.alpha': it must be at least 1, not 0.",
    "teach.lora.dropout=1": "'teach.lora.dropout': it must be below 1, not 1.",
    "teach.lora.dropout=-0.1": "'teach.lora.dropout': it must be at least 0, not -0.1.",
    "teach.lora.target_modules=[]": "'teach.lora.target_modules': it must hold at least 1 value, not [].",
    "teach.lora.target_modules=q_proj": "'teach.lora.target_modules': it must be a list, such as [a, b], not 'q_proj'.",
    "teach.lora.target_modules=[q_proj, q_proj]": "'teach.lora.target_modules': it names 'q_proj' twice.",
    "teach.lora.target_modules=[1]": "'teach.lora.target_modules.0': it must be text, not 1; put it in quotes.",
    "teach.lora.r=8": "'teach.lora.r': there is no such setting; the settings of 'teach.lora' are rank, alpha, dropout, target_modules.",
    "teach.start_layer=first": "'teach.start_layer': it must be a whole number or be one of 'middle' or 'patching', not 'first'.",
    "teach.start_layer=-1": "'teach.start_layer': it must be at least 0 or be one of 'middle' or 'patching', not -1.",
    "teach.start_layer=1.5": "'teach.start_layer': it must be a whole number or be one of 'middle' or 'patching', not 1.5.",
    "teach.activation_cache_bytes=-1": "'teach.activation_cache_bytes': it must be at least 0, not -1.",
    "teach.learning_rate=0": "'teach.learning_rate': it must be above 0, not 0.",
    "teach.learning_rate=.inf": "'teach.learning_rate': it must be a finite number, not inf.",
    "teach.learning_rate=.nan": "'teach.learning_rate': it must be a finite number, not nan.",
    "teach.learning_rate=1e9": "'teach.learning_rate': it must be at most 10, not 1000000000.0.",
    "teach.learning_rate=high": f"'teach.learning_rate': {NUMBER} 'high'.",
    "teach.learning_rte=1": "'teach.learning_rte': there is no such setting; did you mean 'teach.learning_rate'?",
    "teach.loraplus_lr_ratio=0.5": "'teach.loraplus_lr_ratio': it must be at least 1, not 0.5.",
    "teach.loraplus_lr_ratio=1e300": "'teach.loraplus_lr_ratio': it must be at most 10,000, not 1e+300.",
    "teach.loraplus_lr_ratio=.inf": "'teach.loraplus_lr_ratio': it must be a finite number, not inf.",
    "teach.weight_decay=-1": "'teach.weight_decay': it must be at least 0, not -1.",
    "teach.weight_decay=.inf": "'teach.weight_decay': it must be a finite number, not inf.",
    "teach.epochs=0": "'teach.epochs': it must be at least 1, not 0.",
    "teach.epochs=many": f"'teach.epochs': {WHOLE} 'many'.",
    "teach.on_policy_steps=0": "'teach.on_policy_steps': it must be at least 1, not 0.",
    "teach.batch_size=0": "'teach.batch_size': it must be at least 1, not 0.",
    "teach.gradient_accumulation_steps=true": "'teach.gradient_accumulation_steps': it must not be true, a truth value.",
    "teach.checkpoint_steps=0": "'teach.checkpoint_steps': it must be at least 1, not 0.",
    "teach.xyz=1": f"'teach.xyz': there is no such setting; the settings of 'teach' are {TEACH}.",
    "patch.n_questions=7": "'patch.n_questions': it must be at least 8, not 7.",
    "patch.layers=[]": "'patch.layers': it must hold at least 2 values, not [].",
    "patch.layers=[1]": "'patch.layers': it must hold at least 2 values, not [1].",
    "patch.layers=[1, 1]": "'patch.layers': it names 1 twice.",
    "patch.layers=[-1, 2]": "'patch.layers.0': it must be at least 0, not -1.",
    "patch.layers=[a, b]": f"'patch.layers.0': {WHOLE} 'a'.",
    "patch.layers=all": "'patch.layers': it must be a list, such as [a, b], not 'all'.",
    "patch.control_layers=1": "'patch.control_layers': it must be at least 2, not 1.",
    "patch.n_reference=0": "'patch.n_reference': it must be at least 1, not 0.",
    "tech.epochs=3": "'tech': there is no such setting; did you mean 'teach'?",
    "learning_rate=1": "'learning_rate': there is no such setting; did you mean 'teach.learning_rate'?",
    "learning_rte=1": "'learning_rte': there is no such setting; did you mean 'teach.learning_rate'?",
    "bogus=1": f"'bogus': there is no such setting; there are {GROUPS}.",
    "a.b.c.d=3": f"'a': there is no such setting; there are {GROUPS}.",
}

# What --set cannot read at all.
UNREADABLE: dict[str, tuple[tuple[str, ...], str]] = {
    "no value": (
        ("teach.epochs",),
        "--set 'teach.epochs' must read key=value, for example --set teach.epochs=2.",
    ),
    "no key": (("=3",), "--set '=3' must read key=value, for example --set teach.epochs=2."),
    "a hole in the key": (
        ("teach..epochs=3",),
        "--set 'teach..epochs=3' must read key=value, for example --set teach.epochs=2.",
    ),
    "an open bracket": (
        ("seed=[1",),
        "--set 'seed=[1': the value is not readable as YAML; quote it.",
    ),
    "a tag": (
        ("seed=!!python/name:os.system",),
        "--set 'seed=!!python/name:os.system': line 1: the tag "
        "'tag:yaml.org,2002:python/name:os.system' is not used here; "
        "write the value alone.",
    ),
    "a key twice": (
        ("teach={epochs: 1, epochs: 2}",),
        "--set 'teach={epochs: 1, epochs: 2}': line 1: 'epochs' is given twice.",
    ),
    "an alias of itself": (
        ("seed=&a [*a]",),
        "--set 'seed=&a [*a]': line 1: *a is inside of what it repeats.",
    ),
    "no name for a key": (
        ("teach={1: 2}",),
        "--set 'teach={1: 2}': line 1: the name of a setting is a word, not '1'.",
    ),
    "twice": (("seed=1", "seed=2"), "--set gives 'seed' twice; give it once."),
    "a part and its whole": (
        ("teach.epochs=1", "teach={epochs: 2}"),
        "--set gives 'teach' and 'teach.epochs', of which one is part of the other; give one.",
    ),
    "a whole and its part": (
        ("teach.lora={rank: 2}", "teach.lora.rank=3"),
        "--set gives 'teach.lora.rank' and 'teach.lora', of which one is part of the other; give "
        "one.",
    ),
    "thousands of digits": (
        ("seed=" + "9" * 5000,),
        f"--set 'seed={'9' * 75}...': line 1: a number of 5,000 digits is no setting.",
    ),
    "thousands of brackets": (
        ("seed=" + "[" * 20000,),
        f"--set 'seed={'[' * 75}...': line 1: values are nested more than 16 deep.",
    ),
}

# Content of a configuration file -> what is wrong with it, after "Cannot read the configuration
# file bad.yaml: ".
FILES: dict[str, tuple[bytes, str]] = {
    "a key twice": (b"seed: 1\nteach:\n  epochs: 2\nseed: 3\n", "line 4: 'seed' is given twice."),
    "a key of a group twice": (
        b"teach:\n  epochs: 2\n  epochs: 3\n",
        "line 3: 'epochs' is given twice.",
    ),
    "a key of JSON twice": (b'{"seed": 1,\n "seed": 2}', "line 2: 'seed' is given twice."),
    "thousands of digits": (
        b"seed: " + b"9" * 5000,
        "line 1: a number of 5,000 digits is no setting.",
    ),
    "thousands of lists": (
        b"seed: " + b"[" * 20000 + b"]" * 20000,
        "line 1: values are nested more than 16 deep.",
    ),
    "thousands of groups": (
        b"\n".join(b" " * i + b"a:" for i in range(200)),
        "line 16: values are nested more than 16 deep.",
    ),
    "a bomb of aliases": (
        b"a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n"
        + b"\n".join(
            b"b%d: &b%d [%s]" % (i, i, b", ".join([b"*a" if i == 0 else b"*b%d" % (i - 1)] * 8))
            for i in range(9)
        ),
        "line 5: there are more than 20,000 values.",
    ),
    "an alias of itself": (b"seed: &a\n - *a\n", "line 2: *a is inside of what it repeats."),
    "a python tag": (
        b"seed: !!python/object/apply:os.system [ls]",
        "line 1: the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not used here; write "
        "the value alone.",
    ),
    "a null byte": (
        b"seed: 1\0",
        "at byte 7 is what no YAML file holds (special characters are not allowed).",
    ),
    "no UTF-8": (
        b"model: {name: \xe9}",
        "at byte 14 is what no YAML file holds (invalid continuation byte).",
    ),
    "an open bracket": (
        b"teach: {epochs: 1\n",
        "line 2: expected ',' or '}', but got '<stream end>'.",
    ),
    "a tab": (b"\tseed: 1", "line 1: found character '\\t' that cannot start any token."),
    "two documents": (b"seed: 1\n---\nseed: 2\n", "line 2: but found another document."),
    "a number for a key": (b"1: 2\n", "line 1: the name of a setting is a word, not '1'."),
    "a list for a key": (
        b"? [a]\n: 1\n",
        "line 1: the name of a setting is a word, not a list or a mapping.",
    ),
    "too large": (b"#" * 200_001, "it is larger than 200,000 bytes, so these are no settings."),
}

# What a file holds that is readable, and no settings -> the whole sentence.
READ: dict[str, tuple[bytes, str]] = {
    "a list": (
        b"- a\n- b\n",
        "The configuration file bad.yaml must hold keys and values, such as 'seed: 1'.",
    ),
    "a word": (
        b"default",
        "The configuration file bad.yaml must hold keys and values, such as 'seed: 1'.",
    ),
    "a number": (
        b"1",
        "The configuration file bad.yaml must hold keys and values, such as 'seed: 1'.",
    ),
    "a dotted key": (
        b"teach.epochs: 3\n",
        "Configuration key 'teach.epochs': there is no such setting; did you mean 'teach.epochs', "
        "which a file writes as "
        "teach: {epochs: ...}?",
    ),
    "yes": (b"seed: yes\n", f"Configuration key 'seed': {WHOLE} 'yes'."),
    "a truth value like the default": (
        b"seed: false\n",
        "Configuration key 'seed': it must not be false, a truth value.",
    ),
    "an unknown key": (
        b"teach: {epoch: 3}\n",
        "Configuration key 'teach.epoch': there is no such setting; did you mean 'teach.epochs'?",
    ),
}

# A whole command line -> its sentence.
COMMANDS: dict[tuple[str, ...], str] = {
    ("frobnicate",): "No such command 'frobnicate'.",
    ("run", "extra"): "Got unexpected extra argument(s) (extra).",
    ("run", "--bogus"): "No such option: --bogus (Possible options: --figures, --runs).",
    ("run", "--set"): "Option '--set' requires an argument.",
    ("run", "--seed", "x"): "--seed: it must be a whole number, not 'x'.",
    ("run", "--seed", "-1"): "Configuration key 'seed': it must be at least 0, not -1.",
    ("run", "--seed", "9999999999"): "Configuration key 'seed': it must be at most 4,294,957,295, not 9999999999.",
    ("run", "--limit", "1.5"): "--limit: it must be a whole number, not '1.5'.",
    ("run", "--limit", "-1"): "Configuration key 'questions.limit': it must be at least 1, not -1.",
    ("run", "--model", ""): "Configuration key 'model.name': it must not be empty.",
    ("run", "--questions", ""): "Configuration key 'questions.source': it must not be empty.",
    ("run", "--config", "absent.yaml"): "Cannot read the configuration file absent.yaml: there is no such file.",
    ("run", "--config", "folder"): "Cannot read the configuration file folder: it is a folder; give a YAML or JSON file.",
    ("run", "--config", "pipe"): "Cannot read the configuration file pipe: it is not a file; give a YAML or JSON file.",
    ("run", "--config", "/dev/zero"): "Cannot read the configuration file /dev/zero: it is not a file; give a YAML or JSON file.",
    ("run", "--config", "x" * 5000): f"Cannot read the configuration file {'x' * 60}...: File name too long.",
    ("run", "--config", "a\0b"): "--config: embedded null byte.",
    ("elicit",): "Missing argument 'FORMAT'.",
    ("elicit", "percent", "--seed", "-1"): "--seed: it must be at least 0, not '-1'.",
    ("elicit", "percent", "--seed", "4294967296"): "--seed: it must be at most 4,294,957,295, not '4294967296'.",
    ("elicit", "percent", "--limit", "-1"): "--limit: it must be at least 0, not '-1'.",
    ("elicit", "percent", "--model", ""): "Configuration key 'model.name': it must not be empty.",
    ("elicit", "percent", "--device", ""): "Configuration key 'model.device': it must not be empty.",
    ("elicit", "percent", "--questions", ""): "Configuration key 'questions.source': it must not be empty.",
    ("elicit", "percent", "--form", "none"): "Configuration key 'questions.ask_as': it must be one of 'published', 'choice' or 'open', not 'none'.",
    ("elicit", "percent", "--answer-tokens", "0"): "--answer-tokens: it must be at least 1, not '0'.",
    ("elicit", "percent", "--reasoning-tokens", "0"): "--reasoning-tokens: it must be at least 1, not '0'.",
    ("elicit", "percent", "--tokens-per-forward", "0"): "--tokens-per-forward: it must be at least 1, not '0'.",
    ("elicit", "percent", "--resamples", "5"): "--resamples: it must be at least 100, not '5'.",
    ("elicit", "percent", "--out", "table.txt"): "--out table.txt: the table is written as .csv or .parquet; give one of these endings.",
    ("teach",): "Missing argument 'recipe'.",
    ("teach", "nope"): "There is no recipe 'nope'; choose one of probe, probe-one-turn, probe-worked, metacognition, calibration, doubt, joint.",
    ("teach", "doubt", "--arms", "nope"): f"The recipe 'doubt' has no arm 'nope'; choose among {DOUBT}.",
    ("teach", "doubt", "--arms", "all,log"): f"The recipe 'doubt' has no arm 'all'; choose among {DOUBT}.",
    ("teach", "doubt", "--arms", "log,log"): "--arms 'log,log' names 'log' twice; name it once.",
    ("teach", "doubt", "--arms", "log, log"): "--arms 'log, log' names 'log' twice; name it once.",
    ("teach", "doubt", "--arms", ",,"): f"--arms ',,' {COMMA}",
    ("teach", "doubt", "--arms", ""): f"--arms '' {COMMA}",
    ("teach", "doubt", "--arms", "log,"): f"--arms 'log,' {COMMA}",
    ("teach", "doubt", "--seeds", "0"): "--seeds: it must be at least 1, not '0'.",
    ("teach", "doubt", "--seeds", "1001"): "--seeds: it must be at most 1,000, not '1001'.",
    ("teach", "doubt", "--seed", "-1"): "Configuration key 'seed': it must be at least 0, not -1.",
    ("teach", "doubt", "--hold-out", ""): "Configuration key 'questions.held_out_domains': it must not be empty.",
    ("teach", "doubt", "--hold-out", "a", "--hold-out", "a"): "Configuration key 'questions.held_out_domains': it names 'a' twice.",
    ("teach", "doubt", "--set", "teach.epochs=0"): "Configuration key 'teach.epochs': it must be at least 1, not 0.",
    ("teach", "doubt", "--push-to-hub", "x"): "'x' is no repository on the hub; write it as owner/name.",
    ("baselines", "--baselines", ","): f"--baselines ',' {COMMA}",
    ("baselines", "--baselines", "p_true,p_true"): "--baselines 'p_true,p_true' names 'p_true' twice; name it once.",
    ("baselines", "--samples", "1"): "--samples: it must be at least 2, not '1'.",
    ("baselines", "--temperature", "0"): "--temperature: it must be at least 0.01, not '0'.",
    ("baselines", "--temperature", "inf"): "--temperature: it must be at most 100, not 'inf'.",
    ("baselines", "--temperature", "nan"): "--temperature: it must be at most 100, not 'nan'.",
    ("baselines", "--top-p", "0"): "--top-p: it must be at least 1e-06, not '0'.",
    ("baselines", "--top-p", "1.1"): "--top-p: it must be at most 1, not '1.1'.",
    ("baselines", "--seed", "-1"): "--seed: it must be at least 0, not '-1'.",
    ("baselines", "--limit", "0"): "--limit: it must be at least 1, not '0'.",
    ("bench", "nope"): "No such command 'nope'.",
    ("bench", "sweep", "--parts", "nope"): f"Unknown part or library 'nope'; parts are {PARTS}.",
    ("bench", "sweep", "--parts", ","): f"--parts ',' {COMMA}",
    ("bench", "sweep", "--compare-with", "loop,loop"): "--compare-with 'loop,loop' names 'loop' twice; name it once.",
    ("bench", "sweep", "--rows", "0"): "--rows: it must be at least 1, not '0'.",
    ("bench", "sweep", "--tokens", "0"): "--tokens: it must be at least 1, not '0'.",
    ("bench", "sweep", "--model", ""): "Configuration key 'model.name': it must not be empty.",
    ("bench", "teach", "--rows", "9"): "9 rows do not fill whole batches of 8; ask for a multiple of 8.",
    ("bench", "teach", "--start-layer", "0"): "--start-layer: it must be at least 1, not '0'.",
    ("bench", "measure", "--rows", "5"): "--rows: it must be at least 100, not '5'.",
    ("measure",): "Missing argument 'file'.",
    ("measure", "x.csv", "--bins", "0"): "bins must be a whole number from 1 to 1,000; got 0",
    ("measure", "x.csv", "--bins", "1000000000"): "bins must be a whole number from 1 to 1,000; got 1000000000",
    ("measure", "x.csv", "--level", "0"): "the level of an interval lies between 0 and 1, for example 0.95; got 0",
    ("measure", "x.csv", "--level", "1"): "the level of an interval lies between 0 and 1, for example 0.95; got 1",
    ("measure", "x.csv", "--level", "nan"): "the level of an interval lies between 0 and 1, for example 0.95; got nan",
    ("measure", "x.csv", "--seed", "-1"): "seed must be a whole number from 0 to 4,294,967,295; got -1",
    ("measure", "x.csv", "--resamples", "0"): "resamples must be a whole number from 1 to 100,000; got 0",
    ("measure", "x.csv", "--grades-from", "x"): "--grades-from: 'x' is not one of 'own', 'first'.",
    ("measure", "x.csv", "--duplicates", "x"): "--duplicates: 'x' is not one of 'keep', 'first', 'last', 'refuse'.",
    ("formats", "x"): "Got unexpected extra argument(s) (x).",
    ("settings", "x"): "There is no recipe 'x'; choose one of probe, probe-one-turn, probe-worked, metacognition, calibration, doubt, joint.",
    ("recipes", "x"): "Got unexpected extra argument(s) (x).",
}  # fmt: skip


COMMAND = get_command(app)
WORK = (
    "workbench.loop.run",
    "workbench.experiments.recipes.run.teach_recipe",
    "workbench.experiments.baselines.run.compare_baselines",
    "workbench.loading.load_model",
    "workbench.bench.sweep.load_model",
    "workbench.bench.teach.load_model",
)


def _begun(*_: object, **__: object) -> None:
    raise AssertionError("work has begun")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, in which no work may begin."""
    monkeypatch.chdir(tmp_path)
    for name in WORK:
        monkeypatch.setattr(name, _begun)
    return tmp_path


def refused(place: Path, *arguments: str) -> str:
    """The one line of a command that must be refused, after which the folder is as it was."""
    before = sorted(place.rglob("*"))
    with (
        redirect_stdout(StringIO()) as out,
        redirect_stderr(StringIO()) as said,
        pytest.raises(SystemExit) as exit_,
    ):
        COMMAND.main(list(arguments))
    assert (exit_.value.code, out.getvalue()) == (2, "")
    assert sorted(place.rglob("*")) == before
    (line,) = said.getvalue().splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


@pytest.mark.parametrize("assignment", SETTINGS)
def test_a_setting(place: Path, assignment: str) -> None:
    assert refused(place, "run", "--set", assignment) == f"Configuration key {SETTINGS[assignment]}"


@pytest.mark.parametrize("case", UNREADABLE)
def test_an_assignment(place: Path, case: str) -> None:
    given, sentence = UNREADABLE[case]
    assert refused(place, "run", *(word for one in given for word in ("--set", one))) == sentence


@pytest.mark.parametrize("case", FILES)
def test_a_configuration_file(place: Path, case: str) -> None:
    content, sentence = FILES[case]
    (place / "bad.yaml").write_bytes(content)
    assert (
        refused(place, "run", "--config", "bad.yaml")
        == f"Cannot read the configuration file bad.yaml: {sentence}"
    )


@pytest.mark.parametrize("case", READ)
def test_what_a_configuration_file_says(place: Path, case: str) -> None:
    content, sentence = READ[case]
    (place / "bad.yaml").write_bytes(content)
    for command in (("run",), ("teach", "doubt"), ("baselines",)):
        assert refused(place, *command, "--config", "bad.yaml") == sentence


@pytest.mark.parametrize(
    "arguments", COMMANDS, ids=lambda words: " ".join(words)[:60].replace("\0", "0")
)
def test_a_command_line(place: Path, arguments: tuple[str, ...]) -> None:
    (place / "folder").mkdir()
    os.mkfifo(place / "pipe")
    assert refused(place, *arguments) == COMMANDS[arguments]


def test_there_are_enough_of_them() -> None:
    assert sum(map(len, (SETTINGS, UNREADABLE, FILES, READ, COMMANDS))) >= 150
