"""An object store in memory under `mem://`, which Beam's `FileSystems` finds by its scheme."""

import hashlib
import io
from collections.abc import Iterator
from typing import Any

from apache_beam.io.filesystem import (
    BeamIOError,
    CompressionTypes,
    FileMetadata,
    FileSystem,
)

OBJECTS: dict[str, tuple[bytes, int]] = {}
"""Content and time of the last write of every object, by URI."""

_writes = iter(range(1, 1 << 62))


def put(path: str, content: bytes) -> None:
    """Writes an object."""
    OBJECTS[path] = (content, next(_writes))


class _Upload(io.BytesIO):
    """An object that appears when its upload ends, and not if it breaks off."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            self.close()
        else:
            super().close()

    def close(self) -> None:
        if not self.closed:
            put(self._path, self.getvalue())
        super().close()


class MemoryFileSystem(FileSystem):  # type: ignore[misc]
    """Flat like an object store: no folders, no rename in one step, nothing appended."""

    @classmethod
    def scheme(cls) -> str:
        return "mem"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path: str) -> None:
        """Does nothing; there are no folders."""

    def has_dirs(self) -> bool:
        return False

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        for path in sorted(OBJECTS):
            if path.startswith(dir_or_prefix):
                yield self.metadata(path)

    def create(
        self,
        path: str,
        mime_type: str = "",
        compression_type: str = CompressionTypes.AUTO,
    ) -> _Upload:
        del mime_type, compression_type
        return _Upload(path)

    def open(
        self,
        path: str,
        mime_type: str = "",
        compression_type: str = CompressionTypes.AUTO,
    ) -> io.BytesIO:
        del mime_type
        assert compression_type == CompressionTypes.UNCOMPRESSED
        return io.BytesIO(self._content(path))

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            put(target, self._content(source))

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        self.copy(source_file_names, destination_file_names)
        self.delete(source_file_names)

    def exists(self, path: str) -> bool:
        return path in OBJECTS

    def size(self, path: str) -> int:
        return len(self._content(path))

    def last_updated(self, path: str) -> int:
        self._content(path)
        return OBJECTS[path][1]

    def checksum(self, path: str) -> str:
        return hashlib.md5(self._content(path)).hexdigest()

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, self.size(path), self.last_updated(path))

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            self._content(path)
            del OBJECTS[path]

    def _content(self, path: str) -> bytes:
        if path not in OBJECTS:
            raise BeamIOError("there is no such object", {path: FileNotFoundError(path)})
        return OBJECTS[path][0]
