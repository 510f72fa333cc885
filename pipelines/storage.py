"""Files, on a local disk or on any store that Beam's `FileSystems` reaches.

A local path is written to a hidden temporary beside it, synced and renamed. An object on a store
is written once under its final name, from a local temporary, since a rename there is a copy and a
delete. Every operation passes a failpoint, so that tests can make any of them fail.
"""

import contextlib
import fcntl
import fnmatch
import functools
import hashlib
import io
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from raicurate.corpora_manifests.errors import OutputBusyError
from raicurate.corpora_manifests.load import is_uri
from raicurate.pipelines.retrying import RetryingFile

TEMPORARY_PREFIX = ".tmp-"


def _no_failpoint(operation: str, path: str) -> None:
    del operation, path


failpoint: Callable[[str, str], None] = _no_failpoint
"""Called with the name of each operation (`read`, `write`, `rename`, `delete`) and its path.
Tests replace it by a function that raises."""


@dataclass(frozen=True)
class FileStatus:
    """A file as it was found.

    Attributes:
        path: Full path or URI.
        name: Path below the folder that was searched, with `/`.
        size: Bytes.
        stamp: What changes when the file does, without reading it: size, modification and change
            time and inode locally, size and modification time on a store.
    """

    path: str
    name: str
    size: int
    stamp: str


@functools.cache
def _file_systems() -> Any:
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


def join(folder: str, *names: str) -> str:
    """Returns the path of something below a local or remote folder."""
    return "/".join([folder.rstrip("/"), *names])


def absolute(path: str) -> str:
    """Returns a local path in full; a URI stays as it is."""
    return path if is_uri(path) else str(Path(path).resolve())


def open_read(path: str) -> BinaryIO:
    """Opens a file as it is stored, never decompressed, for seeking and reading.

    Reads that fail for a while are repeated.
    """
    return io.BufferedReader(RetryingFile(lambda: _open_once(path)), buffer_size=1 << 20)


def _open_once(path: str) -> BinaryIO:
    failpoint("read", path)
    if is_uri(path):
        from apache_beam.io.filesystem import CompressionTypes

        opened: BinaryIO = _file_systems().open(
            path, compression_type=CompressionTypes.UNCOMPRESSED
        )
        return opened
    return Path(path).open("rb")


def read_bytes(path: str) -> bytes:
    """Returns the content of a small file."""
    with open_read(path) as file:
        return file.read()


def exists(path: str) -> bool:
    """Returns whether there is such a file."""
    if is_uri(path):
        return bool(_file_systems().exists(path))
    return Path(path).is_file()


def folder_exists(path: str) -> bool:
    """Returns whether files can stand below a folder; on a store there are no folders to lack."""
    return is_uri(path) or Path(path).is_dir()


def file_size(path: str) -> int | None:
    """Returns the size of a file in bytes, or None where there is none."""
    if is_uri(path):
        metadata = _remote_metadata(path)
        return None if metadata is None else int(metadata.size_in_bytes)
    try:
        return Path(path).stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_bytes(path: str, content: bytes) -> None:
    """Writes a small file at once: readers see the old content or the new."""
    if is_uri(path):
        failpoint("write", path)
        with _file_systems().create(path, mime_type="application/octet-stream") as file:
            file.write(content)
        return
    temporary = new_temporary(str(Path(path).parent))
    try:
        temporary.write_bytes(content)
        publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def new_temporary(folder: str) -> Path:
    """Returns a new, empty local file: hidden in `folder`, or elsewhere if that is remote.

    Its name is unique, so that a repeated or speculative copy of the same work does not disturb it.
    """
    failpoint("write", folder)
    local = None if is_uri(folder) else Path(folder)
    if local is not None:
        local.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=local)
    os.close(handle)
    return Path(name)


def remove_temporaries(folder: str) -> None:
    """Removes what a killed run left half-written below a local folder."""
    if not is_uri(folder):
        for path in Path(folder).rglob(f"{TEMPORARY_PREFIX}*"):
            path.unlink(missing_ok=True)


def publish(temporary: Path, path: str) -> None:
    """Moves a finished local temporary to its final path, in one step."""
    if is_uri(path):
        failpoint("rename", path)
        with (
            temporary.open("rb") as source,
            _file_systems().create(path, mime_type="application/octet-stream") as target,
        ):
            shutil.copyfileobj(source, target, 8 << 20)
        return
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.chmod(0o644)
    failpoint("rename", path)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    temporary.replace(path)
    _sync_folder(Path(path).parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move(source: str, target: str) -> None:
    """Moves a file within an output."""
    failpoint("rename", target)
    if is_uri(source):
        _file_systems().rename([source], [target])
        return
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(source).replace(target)


def delete(path: str) -> None:
    """Deletes a file; it is no error if there is none."""
    failpoint("delete", path)
    if is_uri(path):
        if exists(path):
            _file_systems().delete([path])
        return
    Path(path).unlink(missing_ok=True)


def list_files(folder: str, patterns: Sequence[str] = ("**",)) -> list[FileStatus]:
    """Returns the files below a folder that match one of the globs, sorted by name.

    `*` and `?` stay within a folder, `**` descends. Hidden files are left out.
    """
    files = _remote_files(folder, patterns) if is_uri(folder) else _local_files(Path(folder))
    matchers = [glob_matcher(pattern) for pattern in patterns]
    found = (file for file in files if any(matches(file.name) for matches in matchers))
    return sorted(found, key=lambda file: file.name)


def glob_matcher(pattern: str) -> Callable[[str], bool]:
    """Returns a predicate on names below a folder for a glob with `*`, `?`, `[..]` and `**`."""
    parts = [None if part == "**" else _component(part) for part in _components(pattern)]
    return lambda name: _matches(parts, name.split("/"))


_Component = Callable[[str], object]


def _components(pattern: str) -> list[str]:
    return [part for part in pattern.split("/") if part not in {"", "."}]


def _component(part: str) -> _Component:
    return re.compile(fnmatch.translate(part)).match


def _matches(parts: Sequence[_Component | None], names: Sequence[str]) -> bool:
    if not parts or not names:
        return not parts and not names
    if parts[0] is None:
        if len(parts) == 1:
            return True
        return any(_matches(parts[1:], names[skipped:]) for skipped in range(len(names)))
    return parts[0](names[0]) is not None and _matches(parts[1:], names[1:])


def _local_files(folder: Path) -> Iterator[FileStatus]:
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_raise_unless_missing):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not _leads_back(Path(parent, name))
        )
        for name in names:
            if name.startswith("."):
                continue
            path = Path(parent, name)
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            relative = path.relative_to(folder).as_posix()
            yield FileStatus(str(path), relative, status.st_size, _local_stamp(status))


def _raise_unless_missing(error: OSError) -> None:
    # A folder that cannot be listed would otherwise be left out in silence.
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _leads_back(folder: Path) -> bool:
    """Returns whether a folder is a link to one that it stands in."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def _remote_files(folder: str, patterns: Sequence[str]) -> Iterator[FileStatus]:
    prefix = folder.rstrip("/") + "/"
    seen = set()
    for pattern in patterns:
        whole = "/".join(_components(pattern))
        fixed = re.split(r"[*?[]", whole, maxsplit=1)[0]
        query = prefix + (whole if fixed == whole else f"{fixed}**")
        for metadata in _file_systems().match([query])[0].metadata_list:
            name = metadata.path.removeprefix(prefix)
            hidden = any(part.startswith(".") for part in name.split("/"))
            if metadata.path in seen or hidden:
                continue
            seen.add(metadata.path)
            yield FileStatus(metadata.path, name, metadata.size_in_bytes, _remote_stamp(metadata))


def stamp(path: str) -> str:
    """Returns the stamp of a file (see `FileStatus`), or an empty string if there is none."""
    if is_uri(path):
        metadata = _remote_metadata(path)
        return "" if metadata is None else _remote_stamp(metadata)
    try:
        return _local_stamp(Path(path).stat())
    except FileNotFoundError:
        return ""


def _local_stamp(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def _remote_metadata(path: str) -> Any:
    # Matching would take a `[` in the name of an object for a wildcard.
    system = _file_systems().get_filesystem(path)
    return system.metadata(path) if system.exists(path) else None


def _remote_stamp(metadata: Any) -> str:
    return f"{metadata.size_in_bytes}-{metadata.last_updated_in_seconds}"


def sha256(path: str) -> str:
    """Returns the SHA-256 of the content of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open_read(path) as opened:
        while block := opened.read(8 << 20):
            digest.update(block)
    return digest.hexdigest()


def checksum(file: FileStatus) -> str:
    """Returns the content identity of a file: its SHA-256, or remotely the store's checksum."""
    if is_uri(file.path):
        failpoint("read", file.path)
        return f"{file.size}-{_file_systems().checksum(file.path)}"
    return sha256(file.path)


@contextlib.contextmanager
def exclusive(folder: str) -> Iterator[None]:
    """Holds an output folder for the time of a run.

    Raises:
        OutputBusyError: Another run holds it.
    """
    if is_uri(folder):
        with _remote_lock(join(folder, "_rai", "lock")):
            yield
        return
    path = Path(folder, "_rai", "lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputBusyError(
                f"another run is writing to {folder}, so this one did not start; wait for it, or "
                "choose another --out"
            ) from error
        yield


@contextlib.contextmanager
def _remote_lock(path: str) -> Iterator[None]:
    """Holds a lock object. Beam has no conditional put, so the lock is written, then read back."""
    owner = f"{os.uname().nodename}-{os.getpid()}-{time.time_ns()}".encode()
    if exists(path):
        raise OutputBusyError(
            f"the lock {path} exists: another run is writing there, or one was killed; if none "
            "runs any more, delete that object and start again"
        )
    write_bytes(path, owner)
    if read_bytes(path) != owner:
        raise OutputBusyError(f"another run took the lock {path} at the same moment; start again")
    try:
        yield
    finally:
        delete(path)
