"""Weights are fetched by the hub's own client where that is asked for, and kept to their commit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torch import weights as made
from tests.torch.local_hub import commit_of, local_hub

TIMM = "mobilenetv3_small_050.lamb_in1k"
NAME = f"timm:{TIMM}"
# Another process: the hub's client reads its settings when it is imported.
PROGRAM = """
import sys
from pathlib import Path
from lookalike.embedders.registry import known_cards, open_embedder
from lookalike.errors import LookalikeError, outcome
name, cache, download = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "download"
try:
    print("opened", open_embedder(name, cache, device="cpu", download=download).fingerprint)
except LookalikeError as error:
    print(type(error).__name__, outcome(error).exit_code, outcome(error).status, error)
print("here", [card.name for card in known_cards(cache).values() if card.here])
"""


class Machine:
    """A machine with a cache of its own, and an address for its hub."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "lookalike"
        self.hub_cache = folder / "hub"

    def opens(self, address: str, name: str = NAME, *, download: bool, **settings: str) -> str:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        environment |= {
            "HF_ENDPOINT": address,
            "HF_HUB_CACHE": str(self.hub_cache),
            "HF_HUB_DISABLE_XET": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, name, str(self.cache), "download" if download else "stay"],
            env=environment | settings, capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        return done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made.timm_folder(tmp_path / "repositories" / "timm" / TIMM, TIMM)
    return tmp_path / "repositories"


def test_weights_are_fetched_once_and_kept_to(root: Path, machine: Machine) -> None:
    repository = root / "timm" / TIMM
    with local_hub(root) as (address, asked):
        refused = machine.opens(address, download=False)
        assert refused.startswith("WeightsMissing 1 503 weights of timm:mobilenetv3_small_050.lamb_in1k: ")
        assert f"`hf download timm/{TIMM} --local-dir DIR`" in refused
        assert f"`lookalike export-model {NAME} DIR`" in refused
        assert "efficientnet-lite0 works" in refused
        assert asked == [], "nothing is asked of a network while a question waits"

        fetched = machine.opens(address, download=True)
        assert fetched.startswith("opened ")
        commit = commit_of(repository)
        assert commit in (machine.cache / "models" / "commits.json").read_text()
        assert any(path.endswith((".safetensors", ".bin")) for path in asked)

        # The hub goes on; the collection's model stays.
        made.timm_folder(repository, TIMM)
        (repository / "README.md").write_text("new")
        assert commit_of(repository) != commit
        asked.clear()
        assert machine.opens(address, download=True) == fetched
        assert asked == []
    assert machine.opens(address, download=False) == fetched, "the hub is gone"
    assert machine.opens(address, download=False, HF_HUB_OFFLINE="1") == fetched


def test_offline_and_unreachable_are_told(root: Path, machine: Machine) -> None:
    with local_hub(root) as (address, asked):
        told = machine.opens(address, download=True, HF_HUB_OFFLINE="1")
        assert "HF_HUB_OFFLINE forbids to fetch them" in told
        assert asked == []
    told = machine.opens(address, download=True)
    assert told.startswith("WeightsMissing 1 503")
    assert "the hub cannot be reached" in told


def test_what_the_hub_does_not_have_is_told(root: Path, machine: Machine) -> None:
    with local_hub(root) as (address, _):
        told = machine.opens(address, "timm:densenet121.tv_in1k", download=True)
        assert "the hub has no public timm/densenet121.tv_in1k" in told
        for file in (root / "timm" / TIMM).glob("*model*"):
            file.unlink()
        told = machine.opens(address, download=True)
        assert f"the hub's timm/{TIMM} has none of model.safetensors, pytorch_model.bin" in told


def test_known_models_are_here_once_they_were_fetched(tmp_path: Path, machine: Machine) -> None:
    name = "densenet121.tv_in1k"
    made.timm_folder(tmp_path / "repositories" / "timm" / name, name)
    with local_hub(tmp_path / "repositories") as (address, _):
        assert f"timm:{name}" not in machine.opens(address, f"timm:{name}", download=False).splitlines()[-1]
        assert f"timm:{name}" in machine.opens(address, f"timm:{name}", download=True).splitlines()[-1]
