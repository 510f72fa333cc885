"""What a process of ours does before anything else."""

import ctypes
import importlib.abc
import sys
from collections.abc import Sequence
from types import ModuleType


class _NoPandas(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        del path, target
        if name == "pandas":
            raise ImportError("pandas is not imported at the start of the process")


def spare_pandas() -> None:
    """Keeps pyarrow from importing pandas, which it does for any list that becomes an array.

    That import costs a second of every process where pandas happens to be installed. pyarrow asks
    only once; a step of the user's own can import pandas afterwards.
    """
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        import pyarrow as pa

        pa.array([0])
    finally:
        sys.meta_path.remove(finder)


_M_ARENA_MAX = -8


def share_memory_between_threads() -> None:
    """Has all threads take memory from one pool, so that memory stays flat in the size of a run.

    Beam does each unit in another thread. The GNU C library gives each its own pool and keeps what
    it held: after 1.6 GB of text a process had grown from 680 to 940 MB.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # other C libraries have no such pools
        mallopt(_M_ARENA_MAX, 1)
