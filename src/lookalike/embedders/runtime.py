"""ONNX Runtime: graphs of any model, opened and run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as raised

from lookalike.errors import InvalidArgument, WeightsInvalid
from lookalike.telemetry import ONNX_RUNTIME, is_off

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lookalike.embedders.protocol import Device

# Who imported ONNX Runtime before lookalike has its telemetry on by now.
if is_off(ONNX_RUNTIME):
    onnxruntime.disable_telemetry_events()

_CUDA = "CUDAExecutionProvider"
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


class Graph:
    """An ONNX graph that is ready to run; `run` may be called from several threads at once."""

    def __init__(self, source: Path | bytes, device: Device = "cpu", name: str = "") -> None:
        """Open a graph.

        Args:
            source: a file, beside which its external data lie, or a serialised model.
            device: where to run it.
            name: what errors call it, by default the file.

        Raises:
            InvalidArgument: the installed ONNX Runtime has no CUDA, and `device` asks for it.
            WeightsInvalid: no graph, damaged, or of operators that this ONNX Runtime does not have.
        """
        self._name = name or str(source if isinstance(source, Path) else "graph")
        available = onnxruntime.get_available_providers()
        if device == "cuda" and _CUDA not in available:
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
        if device != "cpu" and _CUDA in available:
            # TensorFloat-32 keeps 10 bits of a number, which is less than the 1e-3 that both must agree to.
            providers.insert(0, (_CUDA, {"use_tf32": "0"}))
        try:
            self._session = onnxruntime.InferenceSession(
                str(source) if isinstance(source, Path) else source, options, providers=providers
            )
        except _ERRORS as error:
            raise WeightsInvalid(self._name, f"ONNX Runtime cannot load it: {_line(error)}") from error
        used = self._session.get_providers()[0]
        if device == "cuda" and used != _CUDA:
            raise InvalidArgument("device cuda: ONNX Runtime found no GPU that it can use; use device cpu")
        self.on_gpu = used == _CUDA
        self.inputs = [_port(each) for each in self._session.get_inputs()]
        self.outputs = [_port(each) for each in self._session.get_outputs()]

    def run(self, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the outputs named, in that order.

        Raises:
            WeightsInvalid: the graph does not take what it is given.
        """
        try:
            found: list[NDArray[Any]] = self._session.run(list(outputs), dict(feeds))
        except (*_ERRORS, ValueError) as error:
            raise WeightsInvalid(self._name, f"the graph refuses its input: {_line(error)}") from error
        return found


def _port(found: Any) -> Port:
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in found.shape)
    return Port(found.name, found.type, shape)


def _line(error: Exception) -> str:
    """Return what ONNX Runtime says, in one line."""
    return " ".join(str(error).split())[:300]
