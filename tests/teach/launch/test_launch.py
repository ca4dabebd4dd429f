from __future__ import annotations

import pytest
import yaml

from workbench.errors import WorkbenchError
from workbench.teach.launch import FILES, launch_file


@pytest.mark.parametrize("name", FILES)
def test_files_share_weights_out_by_layers(name: str) -> None:
    content = yaml.safe_load(launch_file(name).read_text())
    assert content["distributed_type"] == "FSDP"
    assert content["fsdp_config"]["fsdp_version"] == 2
    assert content["fsdp_config"]["fsdp_offload_params"] == (name == "fsdp_offload")
    assert content["mixed_precision"] == "no"


def test_another_name_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="choose fsdp or fsdp_offload"):
        launch_file("ddp")
