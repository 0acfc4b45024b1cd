"""Genuine Elasticsearch nodes for the tests: the distribution that Elastic publishes for integration tests.

It comes through Maven once, into the user's cache folder. It has what a server has, but for its optional
modules: no Painless, no `GET /`, no reindexing.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock
import platformdirs
import pytest

VERSION = os.environ.get("LOOKALIKE_TEST_ELASTICSEARCH_VERSION", "8.19.21")
"""Of the nodes: one that Maven's central repository has. 9.2.4 is another."""

ARTIFACT = "org.elasticsearch.distribution.integ-test-zip:elasticsearch"

# The oldest Java each major version runs on (Elastic's support matrix).
_JAVA = {"8": 17, "9": 21}
_START_SECONDS = 120
_DOWNLOAD_SECONDS = 600
# A second compiler for code that runs long is not worth its time in a test.
_JAVA_OPTIONS = "-Xms512m -Xmx512m -XX:TieredStopAtLevel=1"


class Unavailable(Exception):
    """Why no node can be started here."""


class Node:
    """One node with its own configuration, data and log, below a folder of its own."""

    def __init__(self, distribution: Path, name: str, settings: dict[str, str]) -> None:
        self.port = free_port()
        self.transport_port = free_port()
        self.user: tuple[str, str] | None = None
        self.scheme = "http"
        self._home = distribution
        self.folder = distribution.parent / name
        self._process: subprocess.Popen[bytes] | None = None
        for part in ("data", "logs", "tmp"):
            (self.folder / part).mkdir(parents=True)
        shutil.copytree(distribution / "config", self.folder / "config")
        everything = {
            "cluster.name": f"lookalike-test-{self.port}",
            "node.name": name,
            "path.data": str(self.folder / "data"),
            "path.logs": str(self.folder / "logs"),
            "network.host": "127.0.0.1",
            "http.port": str(self.port),
            "transport.port": str(self.transport_port),
            "xpack.security.enabled": "false",
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            **settings,
        }
        if not any(key.startswith("discovery.") for key in settings):
            everything["discovery.type"] = "single-node"
        lines = "".join(f"{key}: {value}\n" for key, value in everything.items())
        self.config.joinpath("elasticsearch.yml").write_text(lines)

    @property
    def config(self) -> Path:
        """The folder of its configuration."""
        return self.folder / "config"

    @property
    def host(self) -> str:
        """Host and port, as a URL has them."""
        return f"127.0.0.1:{self.port}"

    def settings_to_join(self) -> dict[str, str]:
        """Return the settings of a node that holds data in the cluster of this one, and is no master."""
        return {
            "cluster.name": f"lookalike-test-{self.port}",
            "node.roles": "[data]",
            "discovery.seed_hosts": f'["127.0.0.1:{self.transport_port}"]',
        }

    def launch(self) -> None:
        """Start it; on the second call with the data that it had."""
        if os.geteuid() == 0:  # as root it refuses to run
            for path in (self.folder, *self.folder.rglob("*")):
                shutil.chown(path, "nobody")
        with (self.folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [str(self._home / "bin" / "elasticsearch")],
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # a launcher starts the server: both are stopped together
                user="nobody" if os.geteuid() == 0 else None,
                group=_group_of_nobody() if os.geteuid() == 0 else None,
                extra_groups=[] if os.geteuid() == 0 else None,
            )

    def wait(self, *, nodes: int = 1) -> None:
        """Wait until it answers, in a cluster of so many nodes.

        Raises:
            Unavailable: it does not.
        """
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            if self._answers(nodes):
                return
            time.sleep(0.1)
        out = (self.folder / "out").read_text(errors="replace")[-600:]
        self.kill()
        raise Unavailable(f"the node did not start: {out!r}")

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self, nodes: int) -> bool:
        if self.scheme == "https":  # whether it may be trusted is for the tests to say
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        url = f"http://{self.host}/_cluster/health?wait_for_nodes={nodes}&timeout=1s"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.HTTPError):
            return False

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", ""),
            "ES_PATH_CONF": str(self.config),
            "ES_JAVA_HOME": str(java_home()),
            "ES_JAVA_OPTS": _JAVA_OPTIONS,
            "ES_TMPDIR": str(self.folder / "tmp"),
        }


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def java_home() -> Path:
    """Return a Java that the version runs on, the oldest of those that are found in the usual places.

    Raises:
        Unavailable: there is none.
    """
    wanted = _JAVA[VERSION.partition(".")[0]]
    named = [os.environ.get(name) for name in ("ES_JAVA_HOME", "JAVA_HOME")]
    homes = [Path(name) for name in named if name]
    program = shutil.which("java")
    if program:
        homes.append(Path(program).resolve().parents[1])
    for folder in ("/usr/lib/jvm", "/opt", "/Library/Java/JavaVirtualMachines"):
        homes += sorted(Path(folder).glob("*")) + sorted(Path(folder).glob("*/Contents/Home"))
    found = sorted({(_java_version(home), str(home)) for home in homes})
    usable = [home for version, home in found if version >= wanted]
    if not usable:
        raise Unavailable(f"no Java {wanted} or later is here; name one in ES_JAVA_HOME")
    return Path(usable[0])


def _java_version(home: Path) -> int:
    try:
        text = (home / "release").read_text()
    except OSError:
        return 0
    named = re.search(r'^JAVA_VERSION="(\d+)', text, re.MULTILINE)
    return int(named[1]) if named and (home / "bin" / "java").exists() else 0


def download() -> Path:
    """Return the archive of the distribution, from the cache or through Maven.

    Raises:
        Unavailable: Maven is not here or does not get it.
    """
    folder = platformdirs.user_cache_path("lookalike-tests") / "elasticsearch"
    archive = folder / f"elasticsearch-{VERSION}.zip"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / "lock"):
        if archive.exists():
            return archive
        maven = shutil.which("mvn")
        if maven is None:
            raise Unavailable("Maven (mvn) is not here, and gets the server for the tests")
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            artifact = f"{ARTIFACT}:{VERSION}:zip"
            goal = ["dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={fresh}"]
            try:
                done = subprocess.run(
                    [maven, "-B", "-q", *goal], capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS
                )
            except subprocess.TimeoutExpired as error:
                raise Unavailable("Maven did not get the server in ten minutes") from error
            if done.returncode:
                raise Unavailable(f"Maven cannot get {artifact}: {done.stdout[:300]!r}")
            (Path(fresh) / archive.name).replace(archive)
    return archive


@contextmanager
def distribution() -> Iterator[Path]:
    """Unpack the server where a user that is not root may read it, and remove it in the end."""
    if sys.platform == "win32":
        raise Unavailable("the tests start it on POSIX systems only")
    java_home()
    archive = download()
    folder = Path(tempfile.mkdtemp(prefix="lookalike-elasticsearch-"))
    try:
        folder.chmod(0o755)
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
        home = folder / f"elasticsearch-{VERSION}"
        for program in (home / "bin").iterdir():
            program.chmod(0o755)
        yield home
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(home: Path, name: str, settings: dict[str, str] | None = None) -> Iterator[Node]:
    """Run one node of its own for the time of a `with`."""
    node = Node(home, name, settings or {})
    try:
        node.launch()
        node.wait()
        yield node
    finally:
        node.kill()


def _group_of_nobody() -> int:
    import pwd

    return pwd.getpwnam("nobody").pw_gid


@pytest.fixture(scope="session")
def elasticsearch_home() -> Iterator[Path]:
    """The folder of the unpacked server."""
    try:
        with distribution() as home:
            yield home
    except Unavailable as error:
        pytest.skip(f"Elasticsearch: {error}")


@pytest.fixture(scope="session")
def elasticsearch_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL, without options, of a server that all tests of the process share."""
    elsewhere = os.environ.get("LOOKALIKE_TEST_ELASTICSEARCH")
    if elsewhere:
        yield elsewhere
        return
    home = request.getfixturevalue("elasticsearch_home")
    try:
        with running(home, "shared") as node:
            yield f"elasticsearch+http://{node.host}/"
    except Unavailable as error:
        pytest.skip(f"Elasticsearch: {error}")


@pytest.fixture(scope="session")
def elasticsearch_that_stops(elasticsearch_home: Path) -> Iterator[Node]:
    """A node that tests kill, and start again; what they put there they name by prefixes of their own.

    Another may join its cluster, see `Node.settings_to_join`, and leave it: it sees a kill at once.
    """
    settings = {
        "discovery.type": "multi-node",
        "cluster.initial_master_nodes": "[stopping]",
        "cluster.fault_detection.follower_check.interval": "500ms",
        "cluster.fault_detection.follower_check.timeout": "2s",
    }
    try:
        with running(elasticsearch_home, "stopping", settings) as node:
            yield node
    except Unavailable as error:
        pytest.skip(f"Elasticsearch: {error}")
