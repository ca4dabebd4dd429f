from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import workbench.elicit.answer_table
import workbench.loading
import workbench.loop.confidence
import workbench.loop.growing_page
import workbench.patch.controlled_sweep
import workbench.probe.held_out
from tests.support.notices import Notices
from tests.support.runs import planted_questions, written_at_the_end
from workbench.config import RunConfig, dump_config, load_config
from workbench.elicit.formats import FORMATS
from workbench.errors import WorkbenchError
from workbench.files.ownership import MARK
from workbench.files.writing import TEMPORARY
from workbench.loading import load_model
from workbench.loop import ADDED_LATER, STAGES, is_complete, open_current_run, open_run, run_loop
from workbench.loop.run import Run
from workbench.models.fingerprint import sha256_of
from workbench.pipeline import stages as stages_module
from workbench.pipeline.memory import peak_memory
from workbench.pipeline.stages import Reuse, Stage
from workbench.pipeline.store import RunStore, StageStore
from workbench.progress import reporting
from workbench.questions import write_questions
from workbench.teach.training_forward import Passes

NAMES = [stage.name for stage in STAGES]
REPLACE, KEEP = Reuse(replace=True), Reuse(keep_code_version=True)
FIGURES = (
    "bottleneck",
    "stated_confidence",
    "reliability",
    "auroc2_by_layer",
    "patching",
    "following",
    "layer_question",
    "answers",
)
WANTED = (
    *(f"seconds.{name}" for name in ("total", *NAMES)),
    "memory.peak_bytes",
    "share_ge_90.stated.before",
    "auroc2.stated.before",
    "auroc2.stated.after",
    "auroc2.stated.control",
    "auroc2.expected.before",
    "auroc2.expected.within.before",
    "auroc2.expected.within.after",
    "auroc2.probe.before",
    "auroc2.probe.within.before",
    "accuracy.before",
    "accuracy.after",
    "patching.layer_gradient",
    "patching.layer_gradient.low",
    "patching.layer_gradient.high",
    "patching.donor_slope.half_layer",
    "patching.donor_slope.last_layer",
    "patching.shift.random_position",
    "patching.shift.last_layer",
    "patching.packed_vs_loop",
)


def numbers(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary without what differs from run to run."""
    return {
        key: value for key, value in summary.items() if not key.startswith(("seconds.", "memory."))
    }


def changed(config: RunConfig, **overrides: Any) -> RunConfig:
    """``config`` with dotted keys, written with two underscores, set anew."""
    path = {key.replace("__", "."): value for key, value in overrides.items()}
    whole = config.model_dump(mode="json")
    for key, value in path.items():
        *parents, last = key.split(".")
        section = whole
        for parent in parents:
            section = section[parent]
        section[last] = value
    return RunConfig.model_validate(whole)


@pytest.fixture
def copied(finished_run: Any, tmp_path: Path) -> Any:
    """The finished run in folders that may be written to."""
    folder = shutil.copytree(finished_run.folder, tmp_path / "run")
    figures = shutil.copytree(finished_run.figures, tmp_path / "figures")
    return type(finished_run)(finished_run.inputs, folder, figures, finished_run.summary)


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the stages that are worked on, with nothing done in them."""
    names: list[str] = []

    def work(stage: Stage, context: Run, store: StageStore) -> None:
        names.append(stage.name)
        written = {"config_sha256": sha256_of(context.store.folder / "config.json")}
        store.finish({"seconds": 0.0, "peak_bytes": 1, "summary": {}, **written})
        if stage.outside is not None:
            stage.outside(context).touch()

    monkeypatch.setattr(stages_module, "do_stage", work)
    # Stages without results have nothing that a page could show.
    monkeypatch.setattr(workbench.loop.growing_page, "grow_page", lambda *_: None)
    return names


def test_the_summary_has_every_key_that_is_asked_for(finished_run: Any) -> None:
    summary = finished_run.summary
    assert [key for key in WANTED if key not in summary] == []
    discrimination = [
        key for key in summary if key.startswith("auroc2.") and not key.endswith((".low", ".high"))
    ]
    assert [key for key in discrimination if {f"{key}.low", f"{key}.high"} - summary.keys()] == []
    assert json.loads((finished_run.folder / "summary.json").read_text()) == summary
    assert summary["seconds.total"] == pytest.approx(
        sum(summary[f"seconds.{name}"] for name in NAMES)
    )


def test_what_was_planted_is_found(finished_run: Any) -> None:
    """One word of the question decides which answers are right: half of them, in each domain
    alike.
    """
    summary = finished_run.summary
    assert summary["auroc2.probe.before"] > 0.9
    assert summary["auroc2.probe.within.before"] > 0.9
    assert summary["auroc2.probe.before.low"] > summary["auroc2.probe.shuffled_labels.high"]
    assert summary["auroc2.probe.shuffled_labels.low"] <= summary["auroc2.probe.shuffled_labels"]
    assert summary["accuracy.before"] == pytest.approx(0.5, abs=0.15)
    assert 0.3 < summary["parse_rate.stated.before"] < 1


def test_what_must_not_move_does_not(finished_run: Any) -> None:
    summary = finished_run.summary
    assert summary["answers.unchanged.after"] == 1
    assert summary["accuracy.after"] == summary["accuracy.before"]
    assert summary["patching.shift.own_base"] < 1e-4
    assert summary["patching.packed_vs_loop"] < 1e-4
    assert summary["patching.items"] == 8
    assert summary["patching.shift.last_layer"] == pytest.approx(1, abs=1e-3)
    assert summary["patching.donor_slope.last_layer"] == pytest.approx(1, abs=1e-3)
    assert summary["patching.base_slope.last_layer"] == pytest.approx(0, abs=1e-3)


def test_the_page_its_figures_and_tables_are_there(finished_run: Any) -> None:
    for name in ("index", *FIGURES):
        assert (finished_run.figures / f"{name}.html").stat().st_size > 1000
    assert (finished_run.figures / "plotly.min.js").exists()
    tables = {
        path.relative_to(finished_run.folder).as_posix()
        for path in finished_run.folder.rglob("*.parquet")
    }
    assert {
        "questions/questions.parquet",
        "answer/answers.parquet",
        "elicit/confidence.parquet",
        "elicit_tuned/confidence.parquet",
        "elicit_control/confidence.parquet",
        "probe/layers.parquet",
        "probe/probabilities.parquet",
        "teach/log.parquet",
        "patch/sweep.parquet",
        "report/held_out.parquet",
        "report/patching.parquet",
    } <= tables
    assert not [
        path for path in finished_run.folder.rglob("*") if path.name in ("parts", "checkpoints")
    ]
    assert (finished_run.folder / "teach" / "adapter" / "adapter_config.json").exists()
    assert load_config(finished_run.folder / "config.json") == finished_run.inputs.config


def test_markup_of_a_question_is_text_on_the_page(finished_run: Any) -> None:
    pages = {path.name: path.read_text() for path in finished_run.figures.glob("*.html")}
    assert not [name for name, page in pages.items() if "<script>alert" in page]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in pages["index.html"]


def test_a_second_call_loads_no_model_and_works_on_nothing(
    copied: Any, worked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(workbench.loading, "load_model", refuse)
    assert run_loop(copied.inputs.config, copied.folder, copied.figures) == copied.summary
    assert worked == []


class Interruption:
    """Raises KeyboardInterrupt in place of one call of a function, and counts the calls that
    went through.
    """

    def __init__(self, patch: pytest.MonkeyPatch, module: Any, name: str, after: int) -> None:
        self.calls: list[tuple[Any, ...]] = []
        function: Callable[..., Any] = getattr(module, name)

        def interrupted(*args: Any, **kwargs: Any) -> Any:
            if len(self.calls) == after:
                raise KeyboardInterrupt
            self.calls.append(args)
            return function(*args, **kwargs)

        patch.setattr(module, name, interrupted)


def test_a_run_killed_again_and_again_ends_like_an_uninterrupted_one(
    finished_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the check that the same seed in another folder gives the same numbers. A kill between
    pages is in test_growing_page.py.
    """
    places = [
        (workbench.elicit.answer_table, "answer_batch", 1),
        (workbench.loop.confidence, "read_confidence", 2),
        (workbench.probe.held_out, "shuffled_control", 0),
        (Passes, "logits", 5),
        (workbench.loop.confidence, "read_reply", 1),
        (workbench.patch.controlled_sweep, "layer_sweep_of_scale", 3),
    ]
    config, folder, figures = finished_run.inputs.config, tmp_path / "run", tmp_path / "figures"
    answered = 0
    for module, name, after in places:
        with monkeypatch.context() as patch:
            interruption = Interruption(patch, module, name, after)
            counted = interruption
            if name == "read_confidence":
                counted = Interruption(patch, workbench.elicit.answer_table, "answer_batch", -1)
            with pytest.raises(KeyboardInterrupt), written_at_the_end():
                run_loop(config, folder, figures)
        assert len(interruption.calls) == after
        if name in ("answer_batch", "read_confidence"):
            answered += sum(len(call[1]) for call in counted.calls)
        if name == "read_confidence":
            assert answered == 132
            assert len(list((folder / "elicit" / "parts").glob("*.parquet"))) == after
        if name == "logits":
            assert (folder / "teach" / "checkpoints" / "checkpoint-3").is_dir()
        assert not (folder / "summary.json").exists()
    assert numbers(run_loop(config, folder, figures)) == numbers(finished_run.summary)


AFTER_PROBE = [
    "teach",
    "teach_control",
    "elicit_tuned",
    "elicit_control",
    "probe_tuned",
    "patch",
    "attribute",
    "report",
]


@pytest.mark.parametrize(
    ("change", "redone"),
    [
        ({}, []),
        ({"patch__n_questions": 9}, ["patch", "attribute", "report"]),
        ({"attribution__share": 0.1}, ["attribute", "report"]),
        ({"teach__epochs": 2}, AFTER_PROBE),
        ({"probe__shuffles": 3}, ["probe", *AFTER_PROBE]),
        ({"elicit__answer_tokens": 7}, NAMES[1:]),
        ({"model__tokens_per_forward": 1024}, NAMES[1:]),
        ({"questions__limit": 100}, NAMES),
        ({"seed": 1}, NAMES),
    ],
)
def test_a_changed_setting_redoes_what_depends_on_it(
    copied: Any, worked: list[str], change: dict[str, Any], redone: list[str]
) -> None:
    run_loop(changed(copied.inputs.config, **change), copied.folder, copied.figures, REPLACE)
    assert worked == redone


def test_a_redone_stage_has_new_numbers_beside_the_kept_ones(copied: Any) -> None:
    summary = run_loop(
        changed(copied.inputs.config, patch__n_questions=10), copied.folder, copied.figures, REPLACE
    )
    assert summary["patching.items"] == 10
    kept = {
        key: value
        for key, value in numbers(copied.summary).items()
        if not key.startswith("patching.")
    }
    assert {key: summary[key] for key in kept} == kept
    assert summary["patching.shift.last_layer.low"] <= summary["patching.shift.last_layer.high"]


def test_an_edited_question_file_makes_the_run_new(
    copied: Any, worked: list[str], tmp_path: Path
) -> None:
    questions = Path(shutil.copy(copied.inputs.questions, tmp_path / "edited.jsonl"))
    config = changed(copied.inputs.config, questions__source=str(questions))
    run_loop(config, copied.folder, copied.figures, REPLACE)
    run_loop(config, copied.folder, copied.figures)
    assert worked == NAMES
    questions.write_text(questions.read_text().replace("Which", "Whose", 1))
    with pytest.raises(
        WorkbenchError, match=r"holds results of other settings \(the questions changed\)"
    ):
        run_loop(config, copied.folder, copied.figures)
    run_loop(config, copied.folder, copied.figures, REPLACE)
    assert worked == NAMES * 2


def test_other_model_files_or_another_template_make_the_run_new(
    copied: Any, worked: list[str], tmp_path: Path
) -> None:
    model = shutil.copytree(copied.inputs.model, tmp_path / "model")
    template = tmp_path / "template.jinja"
    own = (model / "chat_template.jinja").read_text()
    template.write_text(own)
    config = changed(
        copied.inputs.config, model__name=str(model), model__chat_template=str(template)
    )
    run_loop(config, copied.folder, copied.figures, REPLACE)
    worked.clear()
    run_loop(config, copied.folder, copied.figures)
    assert worked == []
    template.write_text(own + "{# another #}")
    with pytest.raises(WorkbenchError, match=r"other settings \(the chat template changed\)"):
        run_loop(config, copied.folder, copied.figures)
    run_loop(config, copied.folder, copied.figures, REPLACE)
    assert worked == NAMES
    settings = model / "generation_config.json"
    settings.write_text(settings.read_text() + " ")
    with pytest.raises(WorkbenchError, match=r"other settings \(the model's files changed\)"):
        run_loop(config, copied.folder, copied.figures)
    run_loop(config, copied.folder, copied.figures, REPLACE)
    assert worked == NAMES * 2


def test_a_page_that_was_deleted_is_drawn_again(
    copied: Any, worked: list[str], tmp_path: Path
) -> None:
    run_loop(copied.inputs.config, copied.folder, tmp_path / "elsewhere")
    (copied.figures / "index.html").unlink()
    run_loop(copied.inputs.config, copied.folder, copied.figures)
    assert worked == ["report", "report"]


def test_a_finished_run_opens_with_the_keys_it_was_made_with(copied: Any) -> None:
    context = open_current_run(copied.inputs.config, copied.folder, copied.figures)
    assert list(context.keys) == NAMES
    assert len(context.stage("answer").table("answers")) == 132
    shutil.rmtree(copied.folder / "patch")
    with pytest.raises(WorkbenchError, match="has not finished its stage 'patch'"):
        open_current_run(copied.inputs.config, copied.folder, copied.figures)


def test_a_run_is_complete_once_every_stage_and_the_summary_are_there(
    copied: Any, tmp_path: Path
) -> None:
    assert is_complete(copied.folder)
    assert not is_complete(tmp_path / "absent")
    needed = [name for name in NAMES if name not in ADDED_LATER]
    for missing in (Path("summary.json"), *(Path(name) / "done.json" for name in needed)):
        aside = (copied.folder / missing).rename(tmp_path / "aside")
        assert not is_complete(copied.folder), missing
        with pytest.raises(WorkbenchError, match="No run went through in"):
            open_run(copied.folder, copied.figures)
        aside.rename(copied.folder / missing)
    assert is_complete(copied.folder)


def test_a_complete_run_opens_with_its_own_configuration_and_keys(copied: Any) -> None:
    expected = open_current_run(copied.inputs.config, copied.folder, copied.figures)
    context = open_run(copied.folder, copied.figures)
    assert context.config == copied.inputs.config
    assert context.keys == expected.keys
    assert all(context.stage(name).done for name in NAMES)


def test_a_run_of_other_code_opens_although_it_would_be_redone(
    copied: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_with = open_run(copied.folder, copied.figures).keys
    monkeypatch.setattr(stages_module, "code_version", lambda: "another")
    with pytest.raises(WorkbenchError, match="has not finished its stage 'questions'"):
        open_current_run(copied.inputs.config, copied.folder, copied.figures)
    context = open_run(copied.folder, copied.figures)
    assert context.keys == made_with
    assert len(context.stage("answer").table("answers")) == 132


def test_a_stage_counts_the_seconds_of_its_interrupted_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter([10.0, 14.0])
    monkeypatch.setattr(stages_module.time, "monotonic", lambda: next(ticks))
    store = StageStore(tmp_path / "stage", "key")
    store.begin()
    store.note_spent(3.0)
    stage = Stage("stage", lambda context, store: {"found": 1}, (), ())
    stages_module.do_stage(stage, None, store)  # type: ignore[arg-type]
    assert store.facts()["seconds"] == 7.0
    assert store.facts()["found"] == 1


def test_a_missing_question_file_is_named(copied: Any, tmp_path: Path) -> None:
    config = changed(copied.inputs.config, questions__source=str(tmp_path / "absent.jsonl"))
    with pytest.raises(
        WorkbenchError, match=r"absent\.jsonl: there is no such file; check the path"
    ):
        run_loop(config, tmp_path / "run", tmp_path / "figures")


def test_a_run_folder_that_is_a_file_is_named(loop_inputs: Any, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(
        WorkbenchError,
        match=r"run is a file, where a folder is to be written; choose another --name or --runs",
    ):
        run_loop(loop_inputs.config, tmp_path / "run", tmp_path / "figures")


def test_stages_need_only_what_stands_before_them() -> None:
    for index, stage in enumerate(STAGES):
        assert set(stage.needs) <= set(NAMES[:index])
        assert set(stage.reads) <= set(RunConfig.model_fields)


def test_peak_memory_is_in_bytes() -> None:
    now = psutil.Process().memory_info().rss
    assert now * 0.9 < peak_memory() < 100 * now


@pytest.mark.parametrize("name", ["digit-one-turn", "percent-reasoned"])
def test_the_loop_runs_in_other_formats(loop_inputs: Any, tmp_path: Path, name: str) -> None:
    """Asked, probed, taught, asked again and patched at the confidence position of the format."""
    model, questions = (
        load_model(str(loop_inputs.model), device="cpu"),
        tmp_path / "questions.jsonl",
    )
    write_questions(questions, planted_questions(model, name))
    config = changed(
        loop_inputs.config,
        elicit__format=name,
        elicit__reasoning_tokens=4,
        questions__source=str(questions),
        teach__start_layer="middle",
        bootstrap_resamples=100,
    )
    summary = run_loop(config, tmp_path / "run", tmp_path / "figures")
    assert 0.3 < summary["accuracy.before"] < 0.7
    assert summary["auroc2.probe.before"] > 0.8
    assert summary["patching.packed_vs_loop"] < 1e-4
    assert summary["patching.shift.last_layer"] == pytest.approx(1, abs=1e-3)
    context = open_current_run(config, tmp_path / "run", tmp_path / "figures")
    expected = [
        context.stage(stage).table("confidence").set_index("row")["expected"]
        for stage in ("elicit", "elicit_tuned")
    ]
    assert all(column.between(0, 1).all() for column in expected)
    assert (expected[1] - expected[0]).abs().max() > 0.01
    readings = context.stage("elicit").tensors("readings")["distribution"]
    assert readings.shape[1] == len(FORMATS[name].scale.values)
    assert ("reasoning" in context.stage("answer").table("answers")) == bool(
        FORMATS[name].reasoning_prefix
    )


@pytest.mark.parametrize("name", [name for name, row in FORMATS.items() if not row.shows_answer])
def test_a_format_without_an_answer_is_refused_before_anything_is_done(
    loop_inputs: Any, tmp_path: Path, name: str
) -> None:
    message = rf"'{name}' asks for confidence without the answer.*workbench elicit {name}.*set elicit.format to one of percent, "
    with pytest.raises(WorkbenchError, match=message):
        run_loop(
            changed(loop_inputs.config, elicit__format=name), tmp_path / "run", tmp_path / "figures"
        )
    assert not (tmp_path / "run").exists()


def test_counted_updates_are_refused_before_anything_is_done(
    loop_inputs: Any, tmp_path: Path
) -> None:
    with pytest.raises(WorkbenchError, match=r"set teach\.epochs"):
        run_loop(
            changed(loop_inputs.config, teach__on_policy_steps=5),
            tmp_path / "run",
            tmp_path / "figures",
        )
    assert not (tmp_path / "run").exists()


def content(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``, but for locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".lock")
    }


def test_another_seed_or_setting_under_one_name_is_refused_with_the_difference(
    copied: Any, worked: list[str]
) -> None:
    before = content(copied.folder), content(copied.figures)
    other = changed(copied.inputs.config, seed=1, teach__epochs=7)
    told = (
        rf"^{copied.folder} holds results of other settings \(seed: 0 there, 1 now; teach\.epochs: \d there, 7 now\)\. Give this run "
        r"another --name, or say --replace to do questions, answer, elicit, probe, teach, teach_control and 6 more again in their place\.$"
    )
    with pytest.raises(WorkbenchError, match=told):
        run_loop(other, copied.folder, copied.figures)
    assert (content(copied.folder), content(copied.figures)) == before
    assert worked == []


def test_configuration_summary_and_page_never_tell_of_different_runs(
    copied: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that replaces another and fails leaves its own configuration and neither summary nor
    page of the one before.
    """

    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stages_module, "do_stage", fail)
    other = changed(copied.inputs.config, seed=1)
    with pytest.raises(KeyboardInterrupt):
        run_loop(other, copied.folder, copied.figures, REPLACE)
    assert load_config(copied.folder / "config.json") == other
    assert not (copied.folder / "summary.json").exists()
    assert not (copied.figures / "index.html").exists()
    assert not is_complete(copied.folder)


def test_a_change_of_code_or_of_a_library_is_told_before_anything_is_done_again(
    copied: Any, worked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Notices()
    monkeypatch.setattr(stages_module, "code_version", lambda: "another")
    newer = {**stages_module.library_versions(), "peft": "99.0"}
    peft = stages_module.library_versions()["peft"]
    monkeypatch.setattr(stages_module, "library_versions", lambda: newer)
    with reporting(listener):
        assert run_loop(copied.inputs.config, copied.folder, copied.figures, KEEP) == copied.summary
    assert worked == []
    assert listener.told == []
    with reporting(listener):
        run_loop(copied.inputs.config, copied.folder, copied.figures)
    assert worked == NAMES
    assert listener.told == [
        f"Changed since the results in {copied.folder}: the workbench's own code, peft {peft} -> "
        "99.0. Done again: questions, answer, elicit, "
        "probe, teach, teach_control and 6 more; --keep-code-version goes on "
        "from what is there."
    ]


def test_a_stage_kept_of_other_code_carries_new_ones(
    copied: Any, worked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is new is made by today's code and knows the kept stages it stands on; what stands on
    it is done again.
    """
    monkeypatch.setattr(stages_module, "code_version", lambda: "another")
    shutil.rmtree(copied.folder / "patch")
    for _ in range(2):
        run_loop(copied.inputs.config, copied.folder, copied.figures, KEEP)
        assert worked == ["patch", "attribute", "report"]


def test_a_setting_that_only_one_version_has_belongs_to_the_code(
    copied: Any, worked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept with the older code, refused as another setting of the same code."""
    before = Run.settings

    def newer(self: Run, *names: str) -> dict[str, Any]:
        found = before(self, *names)
        if "patch" in found:
            found["patch"] = {k: v for k, v in found["patch"].items() if k != "share"} | {"new": 1}
        return found

    monkeypatch.setattr(Run, "settings", newer)
    with pytest.raises(WorkbenchError, match=r"patch\.new: null there, 1 now"):
        run_loop(copied.inputs.config, copied.folder, copied.figures)
    monkeypatch.setattr(stages_module, "code_version", lambda: "another")
    run_loop(copied.inputs.config, copied.folder, copied.figures, KEEP)
    assert worked == []
    run_loop(copied.inputs.config, copied.folder, copied.figures)
    assert worked == NAMES


def test_folders_of_somebody_else_stay_untouched(loop_inputs: Any, tmp_path: Path) -> None:
    for name in ("questions/thesis.txt", "report/report.tex", "teach/lecture.md"):
        (tmp_path / "work" / name).parent.mkdir(parents=True)
        (tmp_path / "work" / name).write_text("mine")
    before = content(tmp_path)
    with pytest.raises(
        WorkbenchError,
        match="was not made by the workbench and holds questions, report, teach; nothing",
    ):
        run_loop(loop_inputs.config, tmp_path / "work", tmp_path / "figures")
    assert content(tmp_path) == before
    with pytest.raises(
        WorkbenchError,
        match=r"work was not made by the workbench.*Choose another --name or --figures",
    ):
        run_loop(loop_inputs.config, tmp_path / "run", tmp_path / "work")
    assert {
        name: text for name, text in content(tmp_path).items() if name.startswith("work/")
    } == before


@pytest.mark.parametrize(
    "name", ["answer/answers.parquet", "elicit/readings.safetensors", "report/held_out.parquet"]
)
def test_a_damaged_result_is_named_before_anything_is_done(
    copied: Any, worked: list[str], name: str
) -> None:
    path = copied.folder / name
    path.write_bytes(path.read_bytes()[:-1])
    stage = path.parent
    for again in (copied.inputs.config, changed(copied.inputs.config, patch__n_questions=9)):
        if stage.name == "report" and again != copied.inputs.config:
            continue  # it is done again and replaces what was damaged
        with pytest.raises(
            WorkbenchError, match=rf"{path} has .* bytes.*delete the folder {stage} and run again"
        ):
            run_loop(again, copied.folder, copied.figures, REPLACE)
        assert worked == []
    with pytest.raises(WorkbenchError, match=f"{path} has"):
        open_run(copied.folder, copied.figures)
    shutil.rmtree(stage)
    run_loop(copied.inputs.config, copied.folder, copied.figures)
    assert worked == [stage.name]


def test_a_configuration_that_was_edited_beside_the_results_is_seen(copied: Any) -> None:
    path = copied.folder / "config.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 3'))
    with pytest.raises(
        WorkbenchError, match=r"config\.json is not the configuration its results were made with"
    ):
        open_run(copied.folder, copied.figures)


def test_what_a_killed_process_left_among_the_figures_is_swept(
    copied: Any, worked: list[str]
) -> None:
    left = copied.figures / f".0123456789ab{TEMPORARY}"
    left.write_text("half a page")
    run_loop(copied.inputs.config, copied.folder, copied.figures)
    assert worked == []
    assert not left.exists()


def test_a_run_marks_its_folders(finished_run: Any) -> None:
    for folder in (
        finished_run.folder,
        finished_run.figures,
        *(finished_run.folder / name for name in NAMES),
    ):
        assert (folder / MARK).is_file()


def test_a_second_process_is_refused_before_it_does_anything(
    loop_inputs: Any, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(dump_config(loop_inputs.config))
    command = [sys.executable, "-m", "workbench", "run", "--config", "config.json", "--name", "x"]
    path = os.pathsep.join(sys.path)
    with RunStore(tmp_path / "runs" / "x").hold():
        before = content(tmp_path)
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert content(tmp_path) == before
    assert done.returncode == 2
    assert f"is being worked on by process {os.getpid()} on" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
