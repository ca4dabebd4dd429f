"""Define ``workbench elicit FORMAT``, which asks questions in any format and writes a table, and
``workbench formats``, which lists the formats.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.text import Text

from workbench.cli.options import Placement, Remote
from workbench.cli.terminal import bars, show_summary
from workbench.cli.terminal_text import safe_text
from workbench.config import load_config
from workbench.errors import WorkbenchError
from workbench.files.processes import own_folder
from workbench.settings.defaults import RESAMPLES, TOKENS_PER_FORWARD
from workbench.settings.fields import LARGEST_SEED

if TYPE_CHECKING:
    import pandas as pd

    from workbench.models import Precision

_WRITERS = (".csv", ".parquet")


def elicit(
    name: Annotated[
        str,
        typer.Argument(metavar="FORMAT", help="A row of the table that 'workbench formats' lists."),
    ],
    model: Annotated[
        str, typer.Option(help="'default', a Hugging Face id, a folder, or a GGUF file.")
    ] = "default",
    questions: Annotated[
        str, typer.Option(help="'builtin', a hub set such as triviaqa, or a file.")
    ] = "builtin",
    form: Annotated[
        str, typer.Option(help="'published', 'choice' (all among options) or 'open' (none).")
    ] = "published",
    limit: Annotated[
        int,
        typer.Option(min=0, max=10**8, help="Questions to draw, evenly over domains; 0 for all."),
    ] = 100,
    out: Annotated[
        Path | None, typer.Option(help=".parquet or .csv; default: runs/elicited/FORMAT.parquet.")
    ] = None,
    answer_tokens: Annotated[
        int, typer.Option(min=1, max=100_000, help="Most tokens of an answer.")
    ] = 16,
    reasoning_tokens: Annotated[
        int, typer.Option(min=1, max=100_000, help="Most tokens of the reasoning before an answer.")
    ] = 96,
    template: Annotated[
        str,
        typer.Option(
            help="'chat' (the model's chat template) or 'plain' (plain text with worked examples)."
        ),
    ] = "chat",
    thinking: Annotated[
        str, typer.Option(help="'on' to let a model whose chat template has thoughts think.")
    ] = "off",
    thinking_tokens: Annotated[
        int, typer.Option(min=1, max=100_000, help="Most tokens of a thought.")
    ] = 1024,
    thinking_history: Annotated[
        str,
        typer.Option(
            help="What a later turn shows of the thought: 'template' (what the template writes of "
            "earlier turns) or 'kept'."
        ),
    ] = "template",
    tokens_per_forward: Annotated[
        int, typer.Option(min=1, max=10**9, help="Memory bound: tokens of one forward pass.")
    ] = TOKENS_PER_FORWARD,
    precision: Annotated[
        str, typer.Option(help="Matrix products: 'auto', 'float32' or 'bfloat16'.")
    ] = "auto",
    device: Annotated[str, typer.Option(help="'auto', 'cpu', 'cuda', 'cuda:1', ...")] = "auto",
    placement: Placement = "device",
    remote: Remote = "ndif",
    engine: Annotated[
        str, typer.Option(help="What writes answers: 'exact', or 'vllm' in bulk.")
    ] = "exact",
    chat_template: Annotated[
        Path | None,
        typer.Option(
            help="File with a chat template, for models without one; or the name of one of several."
        ),
    ] = None,
    resamples: Annotated[
        int, typer.Option(min=100, max=10**6, help="Bootstrap resamples of every interval.")
    ] = RESAMPLES,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=LARGEST_SEED, help="Seed of the draw, the pairs and the intervals."
        ),
    ] = 0,
) -> None:
    """Ask questions in one format: a table of answers and confidences, and how well the
    confidence tells right from wrong.
    """
    from workbench.elicit.formats import configured, format_named

    fmt = format_named(name)
    path = out or Path("runs") / "elicited" / f"{name}.parquet"
    if path.suffix not in _WRITERS:
        raise WorkbenchError(
            f"--out {path}: the table is written as {' or '.join(_WRITERS)}; give one of these "
            "endings."
        )
    screen = Console(stderr=True)
    given = {
        "model.name": model,
        "model.device": device,
        "model.placement": placement,
        "model.remote": remote,
        "questions.source": questions,
        "questions.ask_as": form,
        "elicit.answer_tokens": answer_tokens,
        "elicit.reasoning_tokens": reasoning_tokens,
        "elicit.engine": engine,
        "elicit.template": template,
        "elicit.thinking": thinking,
        "elicit.thinking_tokens": thinking_tokens,
        "elicit.thinking_history": thinking_history,
    }
    config = load_config(None, given)
    settings, asked = config.questions, config.elicit
    configured(fmt, asked)
    from workbench.elicit.bulk.configured import check_engine, use_engine
    from workbench.elicit.defaults import limits_of
    from workbench.experiments.elicitation import (
        compare_questions,
        elicit_questions,
        pair_summary,
        summary_of,
    )
    from workbench.loading import RemoteAccess, load_model
    from workbench.questions import in_form, questions_from, sample_questions

    check_engine(config.model, asked)
    pool = in_form(questions_from(settings.source), settings.ask_as, settings.options, seed)
    chosen, limits = sample_questions(pool, limit or None, seed), limits_of(asked)
    with bars(screen):
        lm = load_model(
            model,
            precision=cast("Precision", precision),
            device=device,
            placement=config.model.placement,
            remote=RemoteAccess(config.model.remote),
            chat_template=chat_template,
            template=asked.template,
        )
        use_engine(lm, config.model, asked, seed)
        if fmt.layout == "pair":
            table = compare_questions(
                lm, chosen, fmt, seed=seed, limits=limits, tokens_per_forward=tokens_per_forward
            )
        else:
            table = elicit_questions(
                lm,
                chosen,
                fmt,
                thinking=asked.thinking,
                thinking_history=asked.thinking_history,
                limits=limits,
                tokens_per_forward=tokens_per_forward,
            )
    _write(table, own_folder(path.parent, copied=False) / path.name)
    pair = fmt.layout == "pair"
    summary = pair_summary(table) if pair else summary_of(table, seed=seed, resamples=resamples)
    show_summary(Console(), summary)
    screen.print(Text(safe_text(f"Table: {path}")))


def formats(
    full: Annotated[
        bool, typer.Option("--full", help="Print the words of every format too.")
    ] = False,
) -> None:
    """List the formats: layout, scale, and what else there is to them."""
    from workbench.elicit.formats import FORMATS, described

    width = max(map(len, FORMATS))
    for name, row in FORMATS.items():
        sys.stdout.write(f"{name:<{width}}  {described(row)}\n")
        if full:
            for turn in (
                row.system,
                row.confidence_question,
                f"{row.confidence_prefix}{row.written('...')}",
            ):
                sys.stdout.write("".join(f"    {line}\n" for line in turn.splitlines()))


def _write(table: pd.DataFrame, path: Path) -> None:
    from workbench.files.writing import write_atomically
    from workbench.tables import write_csv

    if path.suffix == ".csv":
        write_atomically(path, lambda place: write_csv(table, place))
    else:
        write_atomically(path, lambda place: table.to_parquet(place, index=False))
