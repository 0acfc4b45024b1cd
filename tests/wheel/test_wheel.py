"""The program from its wheel alone: installed into empty environments, run without this checkout.

Twice: with the highest versions that pyproject.toml allows, as a user gets them, and with the lowest direct
ones. Both are asked of the registry, so these tests need one; `make test-wheel` runs them.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
EXTRAS = "approximate,client,elasticsearch,oracle,parquet,postgres,report,serve,text"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built in an isolated environment as anybody's pip builds it."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures of stripes, of two classes that differ in direction."""
    root = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for label in ("across", "along"):
        (root / label).mkdir()
        for number in range(15):
            period = int(random.integers(8, 24))
            stripes = (np.arange(160) // period % 2)[:, None].repeat(160, axis=1) * 120.0 + 60
            noisy = (stripes + random.normal(0, 12, stripes.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy if label == "across" else noisy.T.copy()).save(
                root / label / f"{number}.png"
            )
    return root


class Installed:
    """An environment with nothing but the wheel and what it asks for."""

    def __init__(self, folder: Path, address: str, extras: str, *options: str) -> None:
        self._folder = folder
        self._bin = folder / "environment" / "bin"
        subprocess.run(
            [UV, "venv", "--quiet", "--python", sys.executable, folder / "environment"], check=True
        )
        self.install(f"lookalike[{extras}] @ {address}", *options)
        # Nothing of this process's environment leads back into the checkout.
        self.environment = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "LOOKALIKE_CACHE": str(folder / "cache"),
            "LOOKALIKE_STORE": f"sqlite:///{folder}/pictures.db",
        }

    def install(self, wanted: str, *options: str) -> None:
        install: list[str | Path] = [
            UV,
            "pip",
            "install",
            "--quiet",
            "--python",
            self._bin / "python",
            *options,
            wanted,
        ]
        subprocess.run(install, check=True, cwd=self._folder)

    def popen(self, *words: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self._bin / "lookalike", *words],
            cwd=self._folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str | Path, code: int = 0) -> tuple[str, str]:
        """Run a command that must end with `code`; return what it wrote to stdout and stderr."""
        process = self.popen(*words)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, (words, process.returncode, out, err)
        assert "Traceback" not in err
        assert "Warning" not in err
        return out, err

    def versions(self) -> str:
        done = subprocess.run(
            [UV, "pip", "list", "--quiet", "--python", self._bin / "python"],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


LOWEST = ("--resolution", "lowest-direct")


@pytest.fixture(scope="module", params=[(), LOWEST], ids=["highest", "lowest-direct"])
def installed(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    installed = Installed(folder, wheel.as_uri(), EXTRAS, *request.param)
    print(installed.versions())
    return installed


def rows(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.timeout(600)
def test_index_search_classify_evaluate_and_serve(installed: Installed, photographs: Path) -> None:
    query = photographs / "along" / "0.png"
    out, _ = installed.run("index", photographs, "-c", "stripes")
    assert "30 added" in out
    out, _ = installed.run("search", query, "-c", "stripes", "-k", "3", "--format", "jsonl")
    assert query.as_uri() in out
    out, _ = installed.run("search", "stripes", "-c", "stripes", "-k", "3", "--format", "jsonl")
    assert len(rows(out)) >= 3
    out, _ = installed.run("classify", query, "--by", "label", "-c", "stripes", "--format", "jsonl")
    assert rows(out)[0]["label"] == "along"
    report = Path(installed.environment["HOME"]) / "report.html"
    out, _ = installed.run("evaluate", "--by", "label", "-c", "stripes", "--report", report)
    assert re.search(r"accuracy 1\.0000 \(30 of 30 images", out)
    assert report.stat().st_size > 100_000
    installed.run("fit", "--by", "label", "-c", "stripes")
    installed.run("index", photographs, "-c", "quick", "--approximate")
    out, _ = installed.run("sql", "SELECT label, count(*) AS n FROM stripes GROUP BY 1", "--format", "jsonl")
    assert rows(out) == [{"label": "across", "n": 15}, {"label": "along", "n": 15}]

    process = installed.popen("serve", "--port", "0")
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert found, said
        with urllib.request.urlopen(f"{found[0]}/v1/collections", timeout=60) as answer:
            assert b"stripes" in answer.read()
        with urllib.request.urlopen(f"{found[0]}/", timeout=60) as answer:
            assert b"<html" in answer.read()
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err


@pytest.mark.timeout(600)
def test_the_core_alone_indexes_and_names_the_extra_that_is_missing(
    wheel: Path, photographs: Path, tmp_path: Path
) -> None:
    core = Installed(tmp_path, wheel.as_uri(), "")
    out, _ = core.run("index", photographs, "-c", "stripes")
    assert "30 added" in out
    out, _ = core.run("classify", photographs / "along" / "0.png", "--by", "label", "-c", "stripes")
    assert "label = along" in out
    for words, extra in (
        (("serve",), "serve"),
        (("evaluate", "--by", "label", "-c", "stripes", "--report", "r.html"), "report"),
        (("search", "a red car", "-c", "stripes"), "text"),
        (("index", photographs, "-c", "q", "--approximate"), "approximate"),
        (("collections", "--store", "postgresql://localhost/x"), "postgres"),
    ):
        _, err = core.run(*words, code=1)
        assert f"pip install 'lookalike[{extra}]'" in err
        assert len(err.splitlines()) == 1
    # What the messages say works, though no registry has lookalike: the one that is there is taken.
    core.install("lookalike[report]")
    core.run("evaluate", "--by", "label", "-c", "stripes", "--report", "r.html")


def test_it_installs_from_the_address_of_a_repository(tmp_path: Path) -> None:
    """Only what is committed comes along."""
    installed = Installed(tmp_path, f"git+{ROOT.as_uri()}", "client")
    out, _ = installed.run("--help")
    assert "Usage: lookalike" in out
