"""What a process of ours does before anything else."""

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
