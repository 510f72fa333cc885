"""Reads that fail for a while are repeated where they stopped."""

import contextlib
import errno
import io
import time
from collections.abc import Callable
from typing import BinaryIO, TypeVar

Result = TypeVar("Result")

DELAYS = (0.2, 1.0, 5.0)
"""Seconds to wait before each repetition."""

_PERMANENT = {errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ENOTDIR, errno.ENOSPC, errno.EROFS}


def with_retries(operation: Callable[[], Result]) -> Result:
    """Returns the result of an operation that may fail for a while.

    Raises:
        OSError: It failed after all repetitions, or in a way that no repetition mends.
    """
    for delay in DELAYS:
        try:
            return operation()
        except OSError as error:
            if error.errno in _PERMANENT:
                raise
            time.sleep(delay)
    return operation()


class RetryingFile(io.RawIOBase):
    """A file for reading that is opened again, and read on, when a read fails for a while."""

    def __init__(self, open_once: Callable[[], BinaryIO]) -> None:
        """Opens the file.

        Args:
            open_once: Opens it at its start; called again after each failure.
        """
        super().__init__()
        self._open_once = open_once
        self._position = 0
        self._opened: BinaryIO | None = with_retries(open_once)

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def tell(self) -> int:
        """Returns the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a position and returns it."""
        self._position = self._repeated(lambda: self._file().seek(offset, whence))
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Reads as many bytes as are there and fit, and returns how many."""
        content = self._repeated(lambda: self._file().read(len(buffer)))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def close(self) -> None:
        """Closes the file."""
        self._drop()
        super().close()

    def _repeated(self, operation: Callable[[], Result]) -> Result:
        def attempt() -> Result:
            try:
                return operation()
            except OSError:
                self._drop()
                raise

        return with_retries(attempt)

    def _file(self) -> BinaryIO:
        if self._opened is None:
            self._opened = self._open_once()
            self._opened.seek(self._position)
        return self._opened

    def _drop(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            # Nothing was written, so a file that cannot even be closed loses nothing.
            with contextlib.suppress(OSError):
                opened.close()
