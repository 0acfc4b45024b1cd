"""The command `export-model` writes a folder that needs no torch, and says how well both agree."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from conformal_clip_data import textile_simulated_root

from lookalike.cli.export_model import export_model
from lookalike.embedders.registry import open_embedder
from lookalike.errors import InvalidArgument
from tests.torch import weights as made

TIMM = "mobilenetv3_small_050.lamb_in1k"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    made.timm_folder(folder, TIMM)
    return folder


def test_a_model_is_exported_with_the_command(weights: Path, tmp_path: Path) -> None:
    words = [
        f"timm:{TIMM}",
        str(tmp_path / "out"),
        "--weights",
        str(weights),
        "--cache",
        str(tmp_path / "cache"),
    ]
    pictures = str(textile_simulated_root() / "global")
    done = CliRunner().invoke(export_model, [*words, "--photographs", pictures], catch_exceptions=False)
    assert done.exit_code == 0
    assert "on 32 photographs both give the same vectors: similarity at least 1.000000" in " ".join(
        done.output.split()
    )
    found = open_embedder(f"onnx:{tmp_path / 'out'}", tmp_path / "cache", device="cpu")
    assert found.dimension == 1024


def test_a_folder_without_pictures_is_refused(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    words = [
        f"timm:{TIMM}",
        str(tmp_path / "out"),
        "--weights",
        str(weights),
        "--cache",
        str(tmp_path / "cache"),
    ]
    with pytest.raises(InvalidArgument, match="no picture in"):
        CliRunner().invoke(
            export_model, [*words, "--photographs", str(tmp_path / "empty")], catch_exceptions=False
        )
    assert not (tmp_path / "out").exists()
