"""ONNX Runtime: opens and runs the graph of any model."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as raised

from lookalike.errors import InvalidArgument, WeightsInvalid
from lookalike.file_names import display
from lookalike.telemetry import ONNX_RUNTIME, is_off

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lookalike.embedders.protocol import Device

# Who imported ONNX Runtime before lookalike has its telemetry on by now.
if is_off(ONNX_RUNTIME):
    onnxruntime.disable_telemetry_events()

_CUDA = "CUDAExecutionProvider"
MOST_MEMORY = 4 << 30
"""Bytes that an unknown graph may take for one picture, beside its weights."""

# Of a file's bytes, so many copies may be made while a graph is loaded.
_COPIES = 6
_LIMITING = threading.Lock()
# ONNX Runtime's own exceptions have no common class below Exception.
_ERRORS = (
    raised.EPFail,
    raised.Fail,
    raised.InvalidArgument,
    raised.InvalidGraph,
    raised.InvalidProtobuf,
    raised.NoModel,
    raised.NoSuchFile,
    raised.NotImplemented,
    raised.RuntimeException,
)


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a graph."""

    name: str
    type: str
    """As ONNX Runtime writes it: tensor(float), tensor(int64) …"""
    shape: tuple[int | None, ...]
    """None where the graph leaves the size open."""


def runtime_version() -> str:
    """Return the version of the installed ONNX Runtime."""
    return str(onnxruntime.__version__)


def runs_on_gpu() -> bool:
    """Tell whether the installed ONNX Runtime can use a GPU of this kind of machine: CUDA."""
    return _CUDA in onnxruntime.get_available_providers()


class Graph:
    """An ONNX graph that is ready to run; `run` may be called from several threads at once."""

    def __init__(
        self,
        source: Path | bytes,
        device: Device = "cpu",
        name: str = "",
        files: Sequence[Path] = (),
    ) -> None:
        """Open a graph.

        Args:
            source: a file, beside which its external data lie, or a serialised model.
            device: where to run it.
            name: what errors call it, by default the file.
            files: those that it is read from, whose size says what memory it may take.

        Raises:
            InvalidArgument: the installed ONNX Runtime has no CUDA, and `device` asks for it.
            WeightsInvalid: no graph, damaged, or of operators that this ONNX Runtime does not have.
        """
        self._name = name or str(source if isinstance(source, Path) else "graph")
        if device == "cuda" and not runs_on_gpu():
            raise InvalidArgument(
                "device cuda: the installed ONNX Runtime runs on the CPU only; install onnxruntime-gpu in "
                "its place, or use device cpu"
            )
        options = onnxruntime.SessionOptions()
        # One thread a call: the callers are the threads, and none is left spinning when a call ends.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        providers: list[Any] = ["CPUExecutionProvider"]
        if device != "cpu" and runs_on_gpu():
            # TensorFloat-32 keeps 10 bits of a number, which is less than the 1e-3 that both must agree to.
            providers.insert(0, (_CUDA, {"use_tf32": "0"}))
        size = sum(file.stat().st_size for file in files)
        try:
            # What a graph makes out of constants is computed while it is loaded.
            with limited_memory(MOST_MEMORY + _COPIES * size, on=len(providers) == 1):
                self._session = onnxruntime.InferenceSession(
                    str(source) if isinstance(source, Path) else source,
                    options,
                    providers=providers,
                    # On the CPU it prints what went wrong, and tries the same once more.
                    enable_fallback=int(len(providers) > 1),
                )
                self.inputs = [_port(each) for each in self._session.get_inputs()]
                self.outputs = [_port(each) for each in self._session.get_outputs()]
        except MemoryError as error:
            raise _too_large(self._name) from error
        except (*_ERRORS, ValueError) as error:  # names that are no UTF-8
            if _is_memory(error):
                raise _too_large(self._name) from error
            raise WeightsInvalid(self._name, f"ONNX Runtime cannot load it: {_line(error)}") from error
        used = self._session.get_providers()[0]
        if device == "cuda" and used != _CUDA:
            raise InvalidArgument("device cuda: ONNX Runtime found no GPU that it can use; use device cpu")
        self.on_gpu = used == _CUDA

    def run(self, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the outputs named, in that order.

        Raises:
            WeightsInvalid: the graph does not take what it is given.
        """
        return self._run(outputs, feeds, None)

    def try_out(
        self, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]], seconds: float
    ) -> list[NDArray[Any]]:
        """Return what `run` does, of a graph that nobody knows yet.

        Args:
            outputs: their names.
            feeds: its inputs.
            seconds: that it may take.

        Raises:
            WeightsInvalid: it takes longer, or more memory than `MOST_MEMORY`, or does not take its input.
        """
        options = onnxruntime.RunOptions()
        timer = threading.Timer(seconds, setattr, (options, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            with limited_memory(MOST_MEMORY, on=not self.on_gpu):
                return self._run(outputs, feeds, options)
        except (MemoryError, WeightsInvalid) as error:
            if options.terminate:
                raise WeightsInvalid(
                    self._name, f"the graph takes more than {seconds:g} seconds for one picture"
                ) from error
            if isinstance(error, WeightsInvalid) and not _is_memory(error):
                raise
            raise _too_large(self._name) from error
        finally:
            timer.cancel()

    def _run(
        self, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]], options: Any
    ) -> list[NDArray[Any]]:
        try:
            found: list[NDArray[Any]] = self._session.run(list(outputs), dict(feeds), options)
        except (*_ERRORS, ValueError) as error:
            raise WeightsInvalid(self._name, f"the graph refuses its input: {_line(error)}") from error
        return found


def _port(found: Any) -> Port:
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in found.shape)
    return Port(found.name, found.type, shape)


@contextmanager
def limited_memory(more: int, *, on: bool = True) -> Iterator[None]:
    """Let the process take so much more memory in the block, and have what asks for more fail.

    Without a limit Linux gives what it does not have, and later ends a process: which one is not ours to say.
    Where the system has no such limit, or no /proc to say what is used, nothing happens.

    Args:
        more: bytes beside those that are used now, by all threads.
        on: False: do nothing.
    """
    used = _used() if on else None
    if used is None:
        yield
        return
    import resource  # not on every system

    with _LIMITING:
        before, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limits = [each for each in (used + more, before, hard) if each != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (before, hard))


def _used() -> int | None:
    """Return the bytes that RLIMIT_DATA counts: VmData of proc_pid_status(5)."""
    try:
        found = re.search(r"^VmData:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else int(found[1]) << 10


def _is_memory(error: Exception) -> bool:
    return (
        re.search(r"bad_alloc|[Ff]ailed to allocate|[Oo]ut of memory|bad allocation", str(error)) is not None
    )


def _too_large(name: str) -> WeightsInvalid:
    return WeightsInvalid(
        name, f"the graph takes more than {MOST_MEMORY >> 30} GB of memory for one picture: no image encoder"
    )


def _line(error: Exception) -> str:
    """Return what ONNX Runtime says, in one line."""
    return display(" ".join(str(error).split()))[:300]
