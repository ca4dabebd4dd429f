"""Define ``workbench trace`` and ``workbench probe``: record states of anyone's prompts, and fit
probes of a label on them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from workbench.cli.options import FiguresFolder, Placement, Remote
from workbench.cli.terminal import bars, show_summary
from workbench.cli.terminal_text import safe_line
from workbench.config import RunConfig
from workbench.files.names import folder_named
from workbench.files.ownership import require_claimable
from workbench.files.processes import own_folder

if TYPE_CHECKING:
    from workbench.api.states import Recorded

DEFAULTS = RunConfig()
EXPLANATION = (
    "AUROC2 of probes on held-out rows, by layer and place; 0.5 is chance. Shuffled labels show "
    "what a probe reaches with nothing to learn. That a label can be read does not show that the "
    "model uses it."
)


def trace(
    prompts: Annotated[
        str, typer.Argument(metavar="FILE_OR_PROMPT", help="A table of prompts, or one text.")
    ],
    at: Annotated[
        list[str] | None,
        typer.Option(help="Place: last, an index, or a text in the prompt; may be repeated."),
    ] = None,
    column: Annotated[str, typer.Option(help="Column of the prompts.")] = "prompt",
    model: Annotated[
        str, typer.Option(help="'default', a Hugging Face id, a folder, or a GGUF file.")
    ] = DEFAULTS.model.name,
    device: Annotated[
        str, typer.Option(help="'auto', 'cpu', 'cuda', 'cuda:1', ...")
    ] = DEFAULTS.model.device,
    placement: Placement = DEFAULTS.model.placement,
    remote: Remote = "ndif",
    tokens_per_forward: Annotated[
        int, typer.Option(min=1, max=10**9, help="Memory bound: tokens of one forward pass.")
    ] = DEFAULTS.model.tokens_per_forward,
    recorded_bytes: Annotated[
        int,
        typer.Option(min=0, max=10**15, help="Memory bound: states beyond it go to shards."),
    ] = DEFAULTS.model.recorded_bytes,
    vllm_files: Annotated[
        Path | None,
        typer.Option(help="Folder of files that vLLM wrote; no weights are read."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the states; default: runs/states/NAME.")
    ] = None,
) -> None:
    """Record the residual stream of every layer at named places of prompts: states.safetensors, or
    shards where memory has no room, and prompts.parquet, for 'workbench probe' and other tools.
    """
    from workbench.api.states import PROMPT, read_prompts, record_prompts
    from workbench.tables import ENDINGS

    path = Path(prompts)
    from_file = path.suffix in ENDINGS
    table = read_prompts(path, column) if from_file else None
    folder = own_folder(out or Path("runs") / "states" / (path.stem if from_file else "prompt"))
    from workbench.loading import RemoteAccess, load_model

    places: Any = [_place(text) for text in at] if at else "last"
    screen = Console(stderr=True)
    given = prompts if table is None else table[PROMPT].astype(str).tolist()
    if vllm_files is not None:
        from workbench.api.vllm_states import take_vllm_states
        from workbench.loading.without_weights import open_without_weights

        found = take_vllm_states(
            open_without_weights(model),
            given,
            places,
            written=vllm_files,
            folder=folder,
            columns=table,
        )
        _finish_trace(found, folder, screen)
        return
    with bars(screen):
        lm = load_model(model, device=device, placement=placement, remote=RemoteAccess(remote))
        found = record_prompts(
            lm,
            given,
            places,
            columns=table,
            tokens_per_forward=tokens_per_forward,
            folder=folder,
            recorded_bytes=recorded_bytes,
        )
    _finish_trace(found, folder, screen)


def _finish_trace(found: Recorded, folder: Path, screen: Console) -> None:
    found.save(folder)
    count, layers, positions, width = found.states.shape
    sys.stdout.write(
        safe_line(
            f"{count} prompts, {layers} layers, {positions} places ({', '.join(found.places)}), "
            f"width {width}"
        )
        + "\n"
    )
    screen.print(Text(safe_line(f"States: {folder}")))


def probe(
    folder: Annotated[Path, typer.Argument(help="Folder that 'workbench trace' wrote.")],
    label: Annotated[str, typer.Option(help="Column to be read: true/false, yes/no or 1/0.")],
    train_fraction: Annotated[
        float, typer.Option(min=0.05, max=0.95, help="Share of the prompts to fit on.")
    ] = DEFAULTS.questions.train_fraction,
    folds: Annotated[
        int, typer.Option(min=3, max=1000, help="Outer folds of the cross-fit.")
    ] = DEFAULTS.probe.folds,
    inner_folds: Annotated[
        int, typer.Option(min=2, max=1000, help="Folds that choose the penalty.")
    ] = DEFAULTS.probe.inner_folds,
    shuffles: Annotated[
        int, typer.Option(min=1, max=10_000, help="Permutations of the shuffled-label control.")
    ] = DEFAULTS.probe.shuffles,
    resamples: Annotated[
        int, typer.Option(min=100, max=10**6, help="Bootstrap resamples of every interval.")
    ] = DEFAULTS.bootstrap_resamples,
    memory_bytes: Annotated[
        int, typer.Option(min=0, max=10**15, help="Memory bound of fitting.")
    ] = DEFAULTS.probe.memory_bytes,
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds, shuffles and resamples.")] = 0,
    name: Annotated[
        str | None, typer.Option(help="Folder of the figures; default: that of the states.")
    ] = None,
    figures: FiguresFolder = Path("figures"),
) -> None:
    """Fit probes of a label at every recorded layer and place: figure, table and page."""
    page = folder_named(figures, name or f"probe-{folder.resolve().name}")
    require_claimable(page, "another --name or --figures")
    from workbench.api.probes import fit_probes
    from workbench.api.states import read_recorded
    from workbench.config import ProbeConfig
    from workbench.report import Page, Section, write_page

    settings = ProbeConfig(
        folds=folds, inner_folds=inner_folds, shuffles=shuffles, memory_bytes=memory_bytes
    )
    recorded = read_recorded(folder)
    screen = Console(stderr=True)
    with bars(screen):
        found = fit_probes(
            recorded,
            label,
            settings=settings,
            train_fraction=train_fraction,
            resamples=resamples,
            seed=seed,
        )
    summary: dict[str, Any] = {"layer": found.layer, "position": found.position}
    for key, estimate in found.estimates().items():
        summary |= estimate.to_dict(key)
    shown = Page(
        f"Probes of {label}",
        [Section("Probes by layer", EXPLANATION, found.figure(), "probes")],
        summary,
        {"states": str(folder), "label": label, **settings.model_dump(mode="json")},
        {"layers.csv": found.table()},
    )
    index = write_page(shown, page)
    show_summary(Console(), summary)
    screen.print(Text(safe_line(f"Figures: {index}")))


def _place(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdecimal() else text
