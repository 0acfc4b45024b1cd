"""Reader of weights that `torch.save` wrote before version 1.6, without torch and without running their code.

The format, as `_legacy_save` and `_legacy_load` of torch/serialization.py (github.com/pytorch/pytorch) define
it: four pickles (a magic number, the protocol version, facts on the machine, the object itself, in which each
storage is only a persistent id), a fifth with the keys of the storages, then the storages in the order of
these keys: 8 bytes that count the elements, and the elements. A pickle is a program, so nothing in it is
called but two constructors of ours, which return plain values; these are checked before an array is made.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import pickletools
import sys
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
from numpy.lib.stride_tricks import as_strided

from lookalike.errors import WeightsInvalid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

# MAGIC_NUMBER and PROTOCOL_VERSION of torch/serialization.py.
_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001

# The storage classes of torch/__init__.py, and the elements they hold; `long` has 8 bytes on every machine.
_ELEMENTS = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
}

# The instructions that a state dict, a list of keys and a few numbers take in protocol 2, which torch.save
# writes (DEFAULT_PROTOCOL).
_INSTRUCTIONS = frozenset({
    "APPEND", "APPENDS", "BINGET", "BININT", "BININT1", "BININT2", "BINPERSID", "BINPUT", "BINUNICODE",
    "BUILD", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "GLOBAL", "LONG1", "LONG_BINGET", "LONG_BINPUT",
    "MARK", "NEWFALSE", "NEWTRUE", "NONE", "PROTO", "REDUCE", "SETITEM", "SETITEMS", "STOP", "TUPLE",
    "TUPLE1", "TUPLE2", "TUPLE3",
})  # fmt: skip

# What forged pickles raise: those that the documentation of `pickle` names, and those that its `Unpickler`
# was seen to raise ("other exceptions may also be raised during unpickling").
_UNPICKLING_ERRORS = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


class _Storage(NamedTuple):
    element: str
    key: str
    length: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _StateDict(dict[Any, Any]):
    """Stands for OrderedDict. The attributes that torch hangs on one (`_metadata`) are dropped."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Take the BUILD instruction and do nothing."""


class _Constructor:
    """What a pickle may call. The pickle cannot alter it, as it could the attributes of a function."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., object]) -> None:
        self._make = make

    def __call__(self, *args: object) -> object:
        return self._make(*args)

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("it would alter a constructor")


def _state_dict() -> _StateDict:
    return _StateDict()


def _tensor(
    storage: object, offset: object, shape: object, strides: object, _requires_grad: object, _hooks: object
) -> _Tensor:
    # The arguments of `_rebuild_tensor_v2` in torch/_utils.py.
    if type(storage) is not _Storage:
        raise pickle.UnpicklingError("it has a tensor without a storage")
    return _Tensor(storage, _whole(offset), _wholes(shape), _wholes(strides))


def _whole(number: object) -> int:
    if type(number) is not int or not 0 <= number <= sys.maxsize:
        raise pickle.UnpicklingError("it has a size that is no whole number from 0")
    return number


def _wholes(numbers: object) -> tuple[int, ...]:
    if type(numbers) is not tuple:
        raise pickle.UnpicklingError("it has a shape that is no tuple")
    return tuple(_whole(n) for n in numbers)


_ADMITTED: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): _Constructor(_state_dict),
    ("torch._utils", "_rebuild_tensor_v2"): _Constructor(_tensor),
    # A storage class is never called, only named in a persistent id: its name will do.
    **{("torch", name): name for name in _ELEMENTS},
}


class _TensorUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {f'{module}.{name}'!r}, which is no part of a tensor"
            ) from None

    def persistent_load(self, pid: object) -> _Storage:
        # ("storage", class, key, device, count, view), as `persistent_id` in `_legacy_save` returns it.
        match pid:
            case ("storage", str(name), str(key), str(), count, None) if name in _ELEMENTS:
                return _Storage(_ELEMENTS[name], key, _whole(count))
        raise pickle.UnpicklingError("it refers to something that is no storage")


def read_tensors(path: Path, sha256: str) -> dict[str, NDArray[Any]]:
    """Read a file of named tensors, once its checksum is the expected one.

    Args:
        path: a file written by `torch.save(module.state_dict(), path)` of torch below 1.6.
        sha256: the file's SHA-256, 64 hexadecimal digits; compared before anything is unpickled.

    Returns:
        Tensors by name, in the order of the file, as read-only arrays of their own shape and type.

    Raises:
        WeightsInvalid: the file cannot be read, has another checksum, or holds anything but tensors.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsInvalid(str(path), f"cannot be read: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256.lower():
        raise WeightsInvalid(
            str(path), f"damaged or another file (SHA-256 {found}, expected {sha256}); install it again"
        )
    try:
        return _parse(content)
    except _UNPICKLING_ERRORS as error:
        raise WeightsInvalid(str(path), f"no file of tensors: {error}") from error


def _parse(content: bytes) -> dict[str, NDArray[Any]]:
    file = io.BytesIO(content)
    if _load(file) != _MAGIC_NUMBER or _load(file) != _PROTOCOL_VERSION:
        raise ValueError("it does not begin as torch.save of before 1.6 begins")
    machine = _load(file)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise ValueError("it was not written by a little-endian machine")
    tensors = _load(file)
    if not isinstance(tensors, dict):
        raise TypeError("it holds no tensors by name")
    for name, tensor in tensors.items():
        if type(name) is not str or type(tensor) is not _Tensor:
            raise TypeError("it holds something else than tensors by name")
    storages = _storages(content, file, {tensor.storage for tensor in tensors.values()})
    return {name: _array(tensor, storages[tensor.storage]) for name, tensor in tensors.items()}


def _load(file: io.BytesIO) -> Any:
    start = file.tell()
    for instruction, argument, _ in pickletools.genops(file):
        if instruction.name not in _INSTRUCTIONS:
            raise pickle.UnpicklingError(f"it uses {instruction.name}, which no state dict needs")
        # An unpickler makes room for every memo below the highest that it is told of.
        if instruction.name == "LONG_BINPUT" and not (argument is not None and argument <= file.tell()):
            raise pickle.UnpicklingError("it numbers more memos than it has")
    file.seek(start)
    return _TensorUnpickler(file).load()


def _storages(content: bytes, file: io.BytesIO, named: set[_Storage]) -> dict[_Storage, NDArray[Any]]:
    by_key = {storage.key: storage for storage in named}
    keys = _load(file)
    if type(keys) is not list or len(by_key) != len(named) or set(keys) != set(by_key):
        raise ValueError("its storages are not those that its tensors name")
    arrays: dict[_Storage, NDArray[Any]] = {}
    position = file.tell()
    for key in keys:
        storage = by_key[key]
        count = int.from_bytes(content[position : position + 8], "little", signed=True)
        if count != storage.length:
            raise ValueError("a storage has another length than its tensors say, or the file is cut off")
        # A storage that reaches beyond the end of the file is a ValueError here.
        arrays[storage] = np.frombuffer(content, storage.element, count, position + 8)
        position += 8 + arrays[storage].nbytes
    if position != len(content):
        raise ValueError("there is something after its last storage")
    return arrays


def _array(tensor: _Tensor, storage: NDArray[Any]) -> NDArray[Any]:
    _, offset, shape, strides = tensor
    if len(shape) != len(strides):
        raise ValueError("a tensor's shape and strides differ in length")
    # More elements than are stored would be legal (a stride of 0), and a way to fill the memory.
    elements: int = prod(shape)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if elements > storage.size or (elements and last >= storage.size):
        raise ValueError("a tensor is larger than its storage")
    steps = [stride * storage.itemsize for stride in strides]
    return as_strided(storage[offset:], shape, steps, writeable=False)
