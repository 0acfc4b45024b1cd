"""Stores and embedders of other packages come in through entry points, and keep the contracts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest

from lookalike.cli import main
from lookalike.embedders.protocol import Embedder
from lookalike.embedders.registry import open_embedder
from lookalike.errors import InvalidArgument, ModelNotFound, PluginFailed, outcome
from lookalike.plugins import EMBEDDERS, STORES, load_plugin, plugin_names
from lookalike.stores.registry import open_store
from lookalike.testing.embedders import EmbedderContract
from lookalike.testing.stores import StoreContract

HERE = Path(__file__).parent


def install(folder: Path, package: str, modules: dict[str, str], points: dict[str, dict[str, str]]) -> None:
    """Write a package as pip installs it: its modules, and beside them what it says of itself.

    Args:
        folder: in the path where Python looks for modules.
        package: its name.
        modules: their texts by name.
        points: what each entry point names, by group and name.
    """
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    sections = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in some.items())
        for group, some in points.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(sections))


@pytest.fixture(scope="module", autouse=True)
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install the toys where this process finds them."""
    folder = tmp_path_factory.mktemp("site-packages")
    modules = {name: (HERE / f"{name}.py").read_text() for name in ("toy_store", "toy_embedder")}
    points = {STORES: {"toy": "toy_store:ToyBackend"}, EMBEDDERS: {"toy": "toy_embedder:open_toy"}}
    install(folder, "lookalike-toys", modules, points)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


class TestToyStore(StoreContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"toy:{tmp_path}"


class TestToyEmbedder(EmbedderContract):
    @pytest.fixture
    def opener(self) -> Callable[[Path], Embedder]:
        return lambda cache: open_embedder("toy:colours", cache)


def test_a_toy_is_used_as_any_other(textile: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--store", "toy:parts", "--cache", str(cache)]
    assert main(["index", str(textile), "--model", "toy:colours", *options]) == 0
    capsys.readouterr()
    picture = next((textile / "local").iterdir())
    assert main(["search", str(picture), "-k", "3", "--format", "jsonl", *options]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    with open_store("toy:parts") as store:
        info = store.collection("images")
        assert (info.count, info.space.embedder) == (60, "toy:colours")


def test_what_is_there_is_named_where_something_else_was_asked_for(tmp_path: Path) -> None:
    assert (plugin_names(STORES), plugin_names(EMBEDDERS)) == (["toy"], ["toy"])
    with pytest.raises(InvalidArgument, match="toy:") as refused:
        open_store("tox://user:secret@host")
    assert "secret" not in str(refused.value)
    for name in ("tox:colours", "toy", "tox"):
        with pytest.raises(ModelNotFound, match="toy:NAME"):
            open_embedder(name, tmp_path)
    with pytest.raises(ModelNotFound, match="lookalike has toy:colours"):
        open_embedder("toy:sounds", tmp_path)
    assert load_plugin(STORES, "none") is None


def test_nobody_takes_the_name_of_what_is_part_of_lookalike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {STORES: {"sqlite": "stranger:Store"}, EMBEDDERS: {"onnx": "stranger:open_model"}}
    install(tmp_path, "stranger", {}, points)
    monkeypatch.syspath_prepend(str(tmp_path))
    with open_store(f"sqlite:///{tmp_path}/parts.db") as store:
        assert store.collections() == []


@pytest.mark.parametrize(
    ("text", "value", "said"),
    [
        (None, "broken:Store", "ModuleNotFoundError: No module named 'broken'"),
        ("import a_library_that_is_not_there", "broken:Store", "No module named 'a_library"),
        ("raise RuntimeError('two\\nlines')", "broken:Store", "RuntimeError: two lines"),
        ("x = 1", "broken:Store", "AttributeError"),
        ("Store = 1", "broken:Store", "broken:Store cannot be called"),
    ],
)
def test_one_that_cannot_be_loaded_is_one_clear_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    value: str,
    said: str,
) -> None:
    modules = {} if text is None else {"broken": text}
    install(tmp_path, "broken-store", modules, {group: {"broken": value} for group in (STORES, EMBEDDERS)})
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    for call in (lambda: open_store("broken:x"), lambda: open_embedder("broken:x", tmp_path)):
        with pytest.raises(PluginFailed) as failed:
            call()
        assert said in str(failed.value)
        assert "from broken-store: " in str(failed.value)
        assert "\n" not in str(failed.value)
        assert (failed.value.name, failed.value.package) == ("broken", "broken-store")
        assert outcome(failed.value).exit_code == 1
    assert main(["info", "--store", "broken:x", "--cache", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(
        "lookalike: 'broken' of lookalike.stores cannot be loaded from "
    )


def test_two_packages_with_the_same_name_are_named_both(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "another-toy", {}, {STORES: {"toy": "elsewhere:Store"}})
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginFailed, match="from another-toy and lookalike-toys: they both have it"):
        open_store("toy:x")
    shutil.rmtree(next(tmp_path.glob("*.dist-info")))
    assert len(metadata.entry_points(group=STORES)) == 1
    with open_store("toy:x") as store:
        assert store.url == "toy:x"


def test_without_pytest_the_install_line_is_named() -> None:
    program = (
        "import sys\nsys.modules['pytest'] = None\n"
        "from lookalike.errors import ExtraMissing\n"
        "try:\n    import lookalike.testing.stores\n"
        "except ExtraMissing as missing:\n    print(missing)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "lookalike.testing needs an optional package: pip install 'lookalike[testing]'\n"
