"""Checks that a contestant wrote every document.

Run as `python benchmarks/count_rows.py OUT_FOLDER EXPECTED_ROWS`.
"""

import sys
from pathlib import Path

import pyarrow.parquet as pq


def rows_below(out: Path) -> int:
    """Returns the rows of all published Parquet files; in raicurate's layout those of `data/`."""
    folder = out / "data" if (out / "data").is_dir() else out
    return sum(pq.read_metadata(path).num_rows for path in folder.rglob("*.parquet"))


if __name__ == "__main__":
    found, expected = rows_below(Path(sys.argv[1])), int(sys.argv[2])
    if found != expected:
        sys.exit(f"{found} documents were written, not {expected}")
