"""Define ``workbench patch``: a donor's states in a prompt's run, as a figure, a table and
a page.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from workbench.cli.options import FiguresFolder, Placement, Remote
from workbench.cli.terminal import bars, show_rows
from workbench.cli.terminal_text import safe_line, safe_text
from workbench.errors import WorkbenchError
from workbench.files.names import folder_named
from workbench.files.ownership import require_claimable
from workbench.files.processes import own_folder
from workbench.settings.defaults import PATCHING_TOKENS_PER_FORWARD

if TYPE_CHECKING:
    from workbench.api.donors import RecordedDonor

_SHOWN = 8


def patch(
    prompt: Annotated[str | None, typer.Argument(help="The text whose run is patched.")] = None,
    donor: Annotated[
        str | None, typer.Option(help="The text whose states are written into it.")
    ] = None,
    donor_model: Annotated[
        str | None,
        typer.Option(
            help="Another model of the same shape that runs the donor texts, or the prompt itself "
            "where there are none; it is not in memory while --model is."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Many pairs: columns prompt, donor, read, against, span, donor_span."),
    ] = None,
    read: Annotated[
        list[str] | None,
        typer.Option(help="Answer read; twice for the logit difference of two, once for one's."),
    ] = None,
    over: Annotated[
        str, typer.Option(help="Axes, some of layer, position, component, head, neuron.")
    ] = "layer,position",
    at: Annotated[
        list[str] | None,
        typer.Option(help="Place: last, an index, or a text in the prompt; may be repeated."),
    ] = None,
    component: Annotated[
        list[str] | None,
        typer.Option(
            help="resid_pre, resid_mid, resid_post, attn_out, mlp_in, mlp_out, heads, queries, "
            "keys, values or neurons."
        ),
    ] = None,
    layers: Annotated[str, typer.Option(help="'all', or numbers as in 0,4,8.")] = "all",
    window: Annotated[int, typer.Option(min=1, help="Neighbouring layers patched together.")] = 1,
    neuron_window: Annotated[
        int, typer.Option(min=1, help="Neighbouring neurons that are one cell.")
    ] = 1,
    controls: Annotated[bool, typer.Option(help="Read the controls too.")] = True,
    backend: Annotated[str, typer.Option(help="What runs the patches.")] = "packed",
    model: Annotated[
        str, typer.Option(help="'default', a Hugging Face id, a folder, or a GGUF file.")
    ] = "default",
    device: Annotated[str, typer.Option(help="'auto', 'cpu', 'cuda', 'cuda:1', ...")] = "auto",
    placement: Placement = "device",
    remote: Remote = "ndif",
    tokens_per_forward: Annotated[
        int, typer.Option(min=1, max=10**9, help="Memory bound: tokens of one forward pass.")
    ] = PATCHING_TOKENS_PER_FORWARD,
    name: Annotated[str, typer.Option(help="Folder of the figures.")] = "patching",
    figures: FiguresFolder = Path("figures"),
) -> None:
    """Patch one prompt's run with another's states, or many pairs: figure, table, page."""
    if donor is None and donor_model is not None:
        donor = prompt
    prompts, donors, answers, places = _pairs(prompt, donor, file, read, at)
    folder = own_folder(folder_named(figures, name))
    require_claimable(folder, "another --name or --figures")
    options: dict[str, Any] = {
        "over": tuple(part.strip() for part in over.split(",")),
        "layers": "all" if layers == "all" else _numbers(layers),
        "component": None if not component else component[0] if len(component) == 1 else component,
        "window": window,
        "neuron_window": neuron_window,
        "controls": controls,
        "backend": backend,
        "tokens_per_forward": tokens_per_forward,
    }
    from workbench.api.page import write_patching
    from workbench.api.patching import patch_map
    from workbench.loading import RemoteAccess, load_model

    screen = Console(stderr=True)
    with bars(screen):
        if donor_model is not None:
            donors = _recorded(donor_model, device, placement, remote, donors, answers, options)
            gc.collect()  # modules refer to each other, so nothing else frees the donor model now
        lm = load_model(model, device=device, placement=placement, remote=RemoteAccess(remote))
        found = patch_map(lm, prompts, donors, read=answers, at=places, **options)
    settings = {
        "model": model,
        "donor_model": donor_model,
        "read": answers,
        "at": places,
        **options,
    }
    page = write_patching(folder, found, settings)
    lines = found.summary().query("condition == 'donor'")
    top = lines.reindex(lines["effect"].abs().sort_values(ascending=False).index)[:_SHOWN]
    sys.stdout.write(safe_line(f"{found.what}: {found.caption()}") + "\n\n")
    show_rows(
        Console(),
        [
            {
                str(key): value if isinstance(value, str) else f"{value:.4g}"
                for key, value in row.items()
            }
            for row in top.drop(columns="condition").to_dict("records")
        ],
    )
    screen.print(Text(safe_text(f"\nFigures: {page}")))


def _recorded(
    name: str,
    device: str,
    placement: Placement,
    remote: str,
    donors: Any,
    answers: Any,
    options: dict[str, Any],
) -> RecordedDonor:
    """Return what a donor model's run leaves behind. The model itself is let go on return."""
    from workbench.api.recorded_donor import record_donor
    from workbench.loading import RemoteAccess, load_model

    kept = ("over", "layers", "component", "neuron_window", "tokens_per_forward")
    lm = load_model(name, device=device, placement=placement, remote=RemoteAccess(remote))
    return record_donor(lm, donors, read=answers, **{key: options[key] for key in kept})


def _pairs(
    prompt: str | None,
    donor: str | None,
    file: Path | None,
    read: list[str] | None,
    at: list[str] | None,
) -> tuple[Any, Any, Any, Any]:
    """Return prompts, donors, what is read and where, from the words or from the file.

    Raises:
        WorkbenchError: for options that do not fit together.
    """
    if (file is None) == (prompt is None) or (prompt is None) != (donor is None):
        raise WorkbenchError(
            "Give a PROMPT with --donor or --donor-model, or many pairs with --file."
        )
    answers: Any = None
    if read:
        if len(read) > 2:
            raise WorkbenchError(
                f"--read is given {len(read)} times; give one answer, or two to compare."
            )
        answers = read[0] if len(read) == 1 else tuple(read)
    places: Any = [_place(text) for text in at] if at else None
    if file is None:
        return prompt, donor, answers, places
    from workbench.api.pairs import read_pairs

    pairs = read_pairs(file)
    if answers is not None and pairs.read is not None:
        raise WorkbenchError(f"{file} has a column read; leave --read out.")
    return (
        list(pairs.prompts),
        list(pairs.donors),
        answers if pairs.read is None else pairs.read,
        pairs.at if places is None else places,
    )


def _place(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdecimal() else text


def _numbers(layers: str) -> list[int]:
    try:
        return [int(part) for part in layers.split(",")]
    except ValueError:
        raise WorkbenchError(
            f"--layers {layers!r}: give 'all', or numbers with commas, as in 0,4,8."
        ) from None
