from __future__ import annotations

import pytest
import torch

from workbench.bench.inputs import make_inputs
from workbench.bench.libraries import LIBRARIES, Library, build_libraries, runs
from workbench.bench.pyvene_library import pyvene_installed
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel


@pytest.mark.parametrize("name", LIBRARIES)
def test_every_library_gives_the_packed_answer(tiny_lm: LanguageModel, name: str) -> None:
    if name == "pyvene" and not pyvene_installed():
        pytest.skip("pyvene belongs to the benchmark's extra")
    bench_inputs = make_inputs(tiny_lm, rows=3, tokens=10)
    branches = bench_inputs.layers(range(4))
    expected = bench_inputs.packed(branches)
    found = runs(LIBRARIES[name].build(tiny_lm), bench_inputs, branches)()
    torch.testing.assert_close(found.base, expected.base, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.patched, expected.patched, atol=1e-5, rtol=1e-5)
    hooks = [m for m in tiny_lm.base().modules() if m._forward_hooks or m._forward_pre_hooks]
    assert hooks == []


def test_a_library_that_is_not_installed_is_named(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = Library(
        "absent", "absent", lambda lm: pytest.fail("built"), lambda: False, "pip install absent"
    )
    monkeypatch.setitem(LIBRARIES, "absent", absent)
    built = build_libraries(tiny_lm, ["loop", "absent"])
    assert list(built.sweeps) == ["loop"]
    assert built.missing == {"absent": "pip install absent"}


def test_unknown_libraries_are_refused(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match="Unknown library 'nns'"):
        build_libraries(tiny_lm, ["nns"])
