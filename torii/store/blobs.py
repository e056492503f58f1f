"""Logs, artifacts and other things too large for a row, by key. The port, and the backend that keeps them in a folder.

Keys come in part from outside (names of files that a build left). Nothing of a key reaches the file system but through an opened
folder that is known to lie inside, so that neither `..` nor a symlink somebody put there leads out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from torii.errors import OperatorError

_INCOMING = ".incoming"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_STALE = 86400.0
_NAME_LIMIT = 255


class BlobError(OperatorError):
    """A blob cannot be read or written, or its key may not be used; the message says which, where, and what to do."""


class BlobMissingError(BlobError):
    """There is no blob of that key."""


class BlobWriter(Protocol):
    """A blob that grows. What was written can be read at once, by any process."""

    def write(self, data: bytes) -> None:
        """Append all of `data`, or raise BlobError: then some of it may be there."""

    def close(self) -> None:
        """Make what was written last. A second call does nothing."""

    def __enter__(self) -> BlobWriter: ...

    def __exit__(self, *_: object) -> None: ...


class Blobs(Protocol):
    """Keeps bytes by key. A key is a relative path with `/` between its parts; no blob's key is a folder in another's.

    Everything raises BlobError for a key that is no such path, and where the backend refuses.
    """

    def put(self, key: str, content: bytes | Path) -> None:
        """Keep `content` (or that of a regular file) as `key`, in place of what was there: a reader sees the old or the new, whole."""

    def append(self, key: str) -> BlobWriter:
        """Return a writer at the end of `key`, which is made where it is not there."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes from `start` up to, without, `end` (None: all there are). Raises BlobMissingError."""

    def size(self, key: str) -> int | None:
        """Return how many bytes there are, None where there is no such blob."""

    def exists(self, key: str) -> bool: ...

    def delete(self, prefix: str) -> int:
        """Delete the blob `prefix` and all below it as a folder (`a/b` takes `a/b` and `a/b/c`, not `a/bc`); return how many went."""

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys `delete` would delete, in order; all with an empty prefix."""


class FolderBlobs:
    """Blobs as the files of a folder. Any number of processes may use one folder.

    With `read_only` nothing is made, not even the folder. Raises BlobError where it cannot be made.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        if read_only:
            return
        with self._explained(""):
            (path / _INCOMING).mkdir(parents=True, exist_ok=True)
            self._sweep(time.time() - _STALE)

    def put(self, key: str, content: bytes | Path) -> None:
        """Write beside, make it last, then rename into place."""
        parts = self._parts(key)
        source = content if isinstance(content, bytes) else self._open_source(content)
        try:
            with self._explained(key), self._folder((_INCOMING,), create=True) as incoming:
                name = secrets.token_hex(16)
                try:
                    self._fill(incoming, name, source)
                    with self._folder(parts[:-1], create=True) as folder:
                        os.rename(name, parts[-1], src_dir_fd=incoming, dst_dir_fd=folder)
                        os.fsync(folder)
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.unlink(name, dir_fd=incoming)
                    raise
        finally:
            if isinstance(source, int):
                os.close(source)

    def append(self, key: str) -> FolderBlobWriter:
        """Open the file to append to it."""
        parts = self._parts(key)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with self._explained(key), self._folder(parts[:-1], create=True) as folder:
            file = os.open(parts[-1], flags, 0o644, dir_fd=folder)
        return FolderBlobWriter(file, self, key)

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Read the file from `start` up to `end`."""
        with self._explained(key), self._opened(key) as file:
            if file is None:
                raise BlobMissingError(f"{self.path}: there is no {key!r}")
            start = max(start, 0)
            stop = os.fstat(file).st_size if end is None else end
            found = bytearray()
            while start < stop and (piece := os.pread(file, min(stop - start, 1 << 20), start)):
                found += piece
                start += len(piece)
            return bytes(found)

    def size(self, key: str) -> int | None:
        with self._explained(key), self._opened(key) as file:
            return None if file is None else os.fstat(file).st_size

    def exists(self, key: str) -> bool:
        return self.size(key) is not None

    def delete(self, prefix: str) -> int:
        """Unlink the files, then the folders that are empty."""
        *above, name = self._parts(prefix)
        with self._explained(prefix), self._existing(above) as folder:
            return 0 if folder is None else _remove(folder, name)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """List the files, at the time of the call."""
        if prefix and self.exists(prefix):
            return iter((prefix,))
        parts = self._parts(prefix) if prefix else ()
        with self._explained(prefix), self._existing(parts) as folder:
            found = [] if folder is None else _list(folder, "/".join(parts))
        return iter(sorted(found))

    def _parts(self, key: str) -> tuple[str, ...]:
        parts = tuple(key.split("/"))
        if not all(parts):
            raise BlobError(f"{key!r} is no key: it must be a relative path without empty parts")
        if any(part in (".", "..") or "\0" in part for part in parts) or parts[0] == _INCOMING:
            raise BlobError(f"{key!r} is no key: no part of it may be '.', '..' or hold a NUL, nor the first be {_INCOMING!r}")
        try:
            longest = max(len(os.fsencode(part)) for part in parts)
        except UnicodeEncodeError as error:
            raise BlobError(f"{key!r} is no key: no file can have that name ({error.reason})") from error
        if longest > _NAME_LIMIT:
            raise BlobError(f"{key[:60]!r}... is no key: a part of it is longer than {_NAME_LIMIT} bytes")
        return parts

    @contextmanager
    def _folder(self, parts: Sequence[str], *, create: bool) -> Iterator[int]:
        """Open the folder at `parts` one step after the other, so that no symlink on the way is followed."""
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=folder)
                above, folder = folder, os.open(part, _FOLDER, dir_fd=folder)
                os.close(above)
            yield folder
        finally:
            os.close(folder)

    @contextmanager
    def _existing(self, parts: Sequence[str]) -> Iterator[int | None]:
        """Open the folder at `parts`; None where there is none, or only something that is no folder of ours."""
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(self._folder(parts, create=False))
            except (FileNotFoundError, NotADirectoryError):
                yield None
                return
            yield folder

    @contextmanager
    def _opened(self, key: str) -> Iterator[int | None]:
        """Open the regular file of `key` to read it; None where there is none."""
        *above, name = self._parts(key)
        with self._existing(above) as folder:
            if folder is None:
                yield None
                return
            try:
                file = os.open(name, _READ, dir_fd=folder)
            except FileNotFoundError:
                yield None
                return
            try:
                yield file if stat.S_ISREG(os.fstat(file).st_mode) else None
            finally:
                os.close(file)

    def _open_source(self, source: Path) -> int:
        """Open the file to be kept, which must not be a symlink, a device or a pipe that a build put there."""
        try:
            file = os.open(source, _READ)
        except OSError as error:
            raise BlobError(f"{source} cannot be read: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise BlobError(f"{source} is no regular file")
        return file

    def _fill(self, folder: int, name: str, source: bytes | int) -> None:
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)
        try:
            if isinstance(source, bytes):
                write_all(file, source)
            else:
                while piece := os.read(source, 1 << 20):
                    write_all(file, piece)
            os.fsync(file)
        finally:
            os.close(file)

    def _sweep(self, before: float) -> None:
        """Delete what a crash left half written."""
        with self._folder((_INCOMING,), create=True) as incoming:
            for name in _names(incoming):
                with contextlib.suppress(OSError):
                    if os.stat(name, dir_fd=incoming, follow_symlinks=False).st_mtime < before:
                        os.unlink(name, dir_fd=incoming)

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = f"{self.path / key}" if key else f"{self.path}"
            raise BlobError(f"{where}: {_advice(error)}") from error


class FolderBlobWriter:
    """Appends to one file. Each write is visible at once, and on the disk when the writer is closed."""

    def __init__(self, file: int, blobs: FolderBlobs, key: str) -> None:
        self._file: int | None = file
        self._blobs = blobs
        self._key = key

    def write(self, data: bytes) -> None:
        """Append all of `data`."""
        if self._file is None:
            raise BlobError(f"{self._blobs.path / self._key}: written to after it was closed")
        with self._blobs._explained(self._key):
            write_all(self._file, data)

    def close(self) -> None:
        """Close the file. It is closed also where BlobError says that not all of it reached the disk."""
        file, self._file = self._file, None
        if file is None:
            return
        with self._blobs._explained(self._key):
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def __enter__(self) -> FolderBlobWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_all(file: int, data: bytes) -> None:
    """Write all of `data`: the system may take less at once."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _remove(folder: int, name: str) -> int:
    """Delete `name` in `folder` with all below it, never following a symlink; return how many files went."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return 0
    except (IsADirectoryError, PermissionError):
        inside = os.open(name, _FOLDER, dir_fd=folder)
        try:
            gone = sum(_remove(inside, below) for below in _names(inside))
        finally:
            os.close(inside)
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(name, dir_fd=folder)
        return gone
    return 1


def _list(folder: int, prefix: str) -> list[str]:
    found: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            key = f"{prefix}/{entry.name}" if prefix else entry.name
            if entry.is_file(follow_symlinks=False):
                found.append(key)
            elif entry.is_dir(follow_symlinks=False) and key != _INCOMING:
                inside = os.open(entry.name, _FOLDER, dir_fd=folder)
                try:
                    found += _list(inside, key)
                finally:
                    os.close(inside)
    return found


def _advice(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full; free some space (old logs and artifacts are the usual cause)"
        case errno.EFBIG:
            return "the file would be larger than the process may write; raise its limit (ulimit -f)"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{error.strerror}; check that the folder belongs to the user that runs Torii, and is not mounted read-only"
        case errno.ELOOP:
            return "there is a symlink in its place, which is never followed; remove it"
        case errno.ENOTDIR | errno.EEXIST:
            return "a part of its path is a file (or symlink), not a folder; remove it or choose another place"
        case errno.EISDIR | errno.ENOTEMPTY:
            return "there is a folder in its place"
        case _:
            return f"{error.strerror or error}; check the disk"
