"""API keys: random, shown once, and stored only as hashes.

A key is one line, `NAME:read:SHA256` or `NAME:write:SHA256`, in a file or in an environment variable. It is
256 random bits, so one round of SHA-256 is enough, and nobody has to slow down guesses: of secrets that are
looked up, NIST SP 800-63B, section 5.1.2.2, wants those below 112 bits salted and hashed slowly, and attempts
limited for those below 64 bits (https://pages.nist.gov/800-63-3/sp800-63b.html).
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import logging
import os
import re
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from lookalike.errors import InvalidArgument, PathNotFound
from lookalike.file_names import display
from lookalike.output_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.server.settings import Settings

_LOG = logging.getLogger("lookalike.server")

Permission: TypeAlias = Literal["read", "write"]
"""The permission of a key; `write` includes `read`."""

# Bytes, as https://docs.python.org/3/library/secrets.html has them in base64.
_LENGTH = 32
_LINE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,63}):(?P<may>read|write):(?P<digest>[0-9a-f]{64})")
# Seconds between two looks at the file's date.
_LOOK = 1.0


@dataclass(frozen=True, slots=True)
class Key:
    """A stored key: its name, permission and hash."""

    name: str
    """For logs: letters, digits, `.`, `_` and `-`, at most 64."""
    may: Permission
    digest: bytes
    """SHA-256 of the key, 32 bytes."""

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.name}:{self.may}:{self.digest.hex()}"


def new_key(name: str, may: Permission) -> tuple[str, Key]:
    """Make a key.

    Args:
        name: see `Key`.
        may: what it is good for.

    Returns:
        The key itself, 43 letters of base64url, which nobody keeps; and what is kept of it.

    Raises:
        InvalidArgument: the name is not usable.
    """
    key = secrets.token_urlsafe(_LENGTH)
    line = f"{name}:{may}:{_hash(key).hex()}"
    if not _LINE.fullmatch(line):
        raise InvalidArgument(
            f"no name for a key: {name!r}; it is made of a-z, A-Z, 0-9, '.', '_' and '-', begins with a "
            "letter or digit, and has at most 64 of them"
        )
    return key, Key(name, may, _hash(key))


def add_key(path: Path, key: Key) -> None:
    """Add a key to a file, which is made if it is missing: whoever reads sees the old file or the new one.

    Args:
        path: the file; afterwards only its owner may read it.
        key: what is to be kept.

    Raises:
        InvalidArgument: the file has a key of that name, or is none with keys.
        PathNotFound: its folder does not exist.
    """
    real = Path(os.path.realpath(path))  # of a link, what it leads to is replaced
    if not real.parent.is_dir():
        raise PathNotFound(str(path.parent))
    with _alone(real.parent):
        text = _read(path) if real.exists() else ""
        if key.name in {each.name for each in read_keys(text, str(path))}:
            raise InvalidArgument(
                f"{path} has a key named {key.name} already: take another name, or take its line out"
            )
        if text and not text.endswith("\n"):
            text += "\n"
        replace_file(real, f"{text}{key}\n".encode(), mode=0o600, synced=True)


def read_keys(text: str, where: str) -> list[Key]:
    """Read the lines of keys.

    Args:
        text: a key a line; empty lines, and those that begin with `#`, are passed over.
        where: what errors call it.

    Raises:
        InvalidArgument: a line is no key, or two have the same name.
    """
    found: dict[str, Key] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            # The line is not shown: it may be the key itself, put there by mistake.
            raise InvalidArgument(
                f"{where}, line {number}: not NAME:read:SHA256 or NAME:write:SHA256, as `lookalike key NAME` "
                "prints it"
            )
        name, may, digest = match["name"], match["may"], bytes.fromhex(match["digest"])
        if name in found:
            raise InvalidArgument(f"{where}, line {number}: a second key named {name}")
        found[name] = Key(name, "write" if may == "write" else "read", digest)
    return list(found.values())


class Keys:
    """The valid keys: their file is read again when it changes, so that a key can be revoked."""

    def __init__(self, file: Path | None, lines: str) -> None:
        """Read them.

        Args:
            file: with keys, None for none.
            lines: more of them, which stay, with space or commas between them.

        Raises:
            PathNotFound: there is no such file.
            InvalidArgument: a line is no key, a name is there twice, or there is no key at all.
        """
        self._file = file
        self._lines = "\n".join(lines.replace(",", " ").split())
        self._looked = time.monotonic()
        self._stamp = self._stamp_now()
        self._keys = self._read()
        if not self._keys:
            raise InvalidArgument(
                f"{file or 'LOOKALIKE_KEYS'} has no key: `lookalike key NAME --write --keys FILE` makes one"
            )

    def find(self, secret: str) -> Key | None:
        """Return the key that was given; None where there is none."""
        digest = _hash(secret)
        found = None
        # All are compared, each in the same time: how long it takes tells nothing.
        for key in self.all():
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def named(self, name: str) -> Key | None:
        """Return the key of a name; None where there is none."""
        return next((key for key in self.all() if key.name == name), None)

    def all(self) -> list[Key]:
        """Return the valid keys; a change of the file is seen within a second."""
        now = time.monotonic()
        if self._file is not None and now - self._looked >= _LOOK:
            self._looked = now
            stamp = self._stamp_now()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._keys = self._read()
                    _LOG.info("keys were read again", extra={"keys": len(self._keys)})
                except (InvalidArgument, PathNotFound) as error:
                    # It is being written, or is gone: who could ask a moment ago still can.
                    _LOG.error("the keys stay as they were: %s", error)
        return self._keys

    def _read(self) -> list[Key]:
        text = "" if self._file is None else _read(self._file)
        keys = read_keys(text, str(self._file))
        more = read_keys(self._lines, "LOOKALIKE_KEYS")
        for key in more:
            if key.name in {each.name for each in keys}:
                raise InvalidArgument(f"LOOKALIKE_KEYS and {self._file} both have a key named {key.name}")
        return keys + more

    def _stamp_now(self) -> tuple[int, int, int] | None:
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def open_keys(settings: Settings) -> Keys | None:
    """Open the keys of a service; None where it needs none."""
    if settings.keys_file is None and not settings.keys.strip():
        return None
    return Keys(settings.keys_file, settings.keys)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PathNotFound(str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InvalidArgument(f"{display(path)}: {reason}") from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock the key files of a folder against other processes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
