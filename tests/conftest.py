"""Real pictures and one cache for the whole run."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from pathlib import Path, PurePath

import pytest
from conformal_clip_data import textile_simulated_root
from hypothesis import settings

from lookalike.cli import main
from tests.contracts.exceptions import CANNOT
from tests.desk import desk  # noqa: F401 a fixture
from tests.servers.elasticsearch import (  # noqa: F401 fixtures
    elasticsearch_home,
    elasticsearch_server,
    elasticsearch_that_stops,
)
from tests.servers.postgres import postgres_server, postgres_url  # noqa: F401 fixtures
from tests.servers.s3 import bucket, s3_server  # noqa: F401 fixtures
from tests.service import (  # noqa: F401 fixtures
    filled_store,
    make_service,
    pictures,
    server,
    service,
    start_server,
    store_url,
    strangers,
    typed,
)

# `make test` tries the same examples in every run; `make fuzz` draws new ones (--hypothesis-profile=fuzz).
# A deadline would make a test depend on how busy the machine is.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.register_profile("fuzz", print_blob=True, deadline=None)
settings.load_profile("same")

# Collecting makes thousands of things, and none of them is garbage: see `pytest_collection_finish`.
gc.disable()

# Lines of progress come by the clock: what a test reads on stderr must not depend on how slow a machine is.
os.environ["LOOKALIKE_PROGRESS"] = "0"
# Nor on what the developer has configured.
os.environ["XDG_CONFIG_HOME"] = os.devnull


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name what is long by its argument: names of 30 MB would go to every worker and back."""
    return argname if isinstance(val, str | bytes) and len(val) > 80 else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is declared, and nothing else."""
    for item in items:
        owner = getattr(getattr(item, "cls", None), "__name__", "")
        reason = CANNOT.get((owner, getattr(item, "originalname", item.name)))
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=f"declared in contracts/exceptions.py: {reason}"))


def pytest_collection_finish() -> None:
    """Take thousands of collected tests from the garbage collector, which would look at them all the time."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what stores cannot hold of their contract."""
    terminalreporter.section("what a store cannot hold of the contract")
    for (owner, test), reason in CANNOT.items():
        terminalreporter.line(f"{owner}: {test}: {reason}")
    if not CANNOT:
        terminalreporter.line("nothing")


# A shell that starts us in the background has Ctrl-C ignored, and children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).parents[1] / ".." / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The developers' folder of test data, which a stranger's checkout lacks."""
    if not SHARED.is_dir():
        pytest.skip("the developers' folder ../shared is not here")
    return SHARED.resolve()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that all tests and their processes share, as a user's commands do."""
    return tmp_path_factory.getbasetemp().parent / "lookalike-cache"


@pytest.fixture(scope="session")
def textile_files() -> dict[str, list[Path]]:
    """The first 20 photographs of each class of the textile images."""
    root = textile_simulated_root()
    return {name: sorted((root / name).iterdir())[:20] for name in ("global", "local", "nominal")}


@pytest.fixture
def textile(tmp_path: Path, textile_files: dict[str, list[Path]]) -> Path:
    """A folder of 60 photographs in three classes, to be changed at will."""
    root = tmp_path / "textile"
    for name, files in textile_files.items():
        (root / name).mkdir(parents=True)
        for file in files:
            shutil.copy2(file, root / name / file.name)
    return root


class CommandLine:
    """The command line on one store, called in this process."""

    def __init__(self, store: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.store = f"sqlite:///{store}"
        self.options = ["--store", self.store, "--cache", str(cache)]
        self._capsys = capsys

    def __call__(self, *words: str | PurePath, code: int = 0) -> tuple[str, str]:
        """Run a command that must end with `code`; return what it wrote to stdout and stderr."""
        self._capsys.readouterr()
        ended = main([*map(str, words), *(self.options if words[0] != "models" else [])])
        out, err = self._capsys.readouterr()
        assert ended == code, (words, ended, out, err)
        return out, err


@pytest.fixture
def lookalike(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    return CommandLine(tmp_path / "test.db", cache, capsys)
