import subprocess
import sys
from pathlib import Path
from typing import BinaryIO, get_args

import pytest

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.manifest import Format, Keys
from raicurate.pipelines import reading
from raicurate.pipelines.reading import FileRange, ReadOptions


def test_every_format_has_a_reader() -> None:
    """Each format that a manifest may name has a reader, and each reader a name there."""
    assert set(reading.registered()) == set(get_args(Format)) - {"auto"}


@pytest.mark.parametrize(
    ("path", "format"),
    [
        ("a.jsonl", "jsonl"),
        ("s3://b/C4-Train.JSON.GZ", "jsonl"),
        ("a/b.ndjson.zst", "jsonl"),
        ("a.parquet", "parquet"),
        ("CC-MAIN-1.warc.gz", "warc"),
        ("CC-MAIN-1.warc.wet.gz", "wet"),
        ("README.md", "markdown"),
        ("page.html.gz", "html"),
        ("page.htm", "html"),
        ("notes.txt", "text"),
    ],
)
def test_detect_format(path: str, format: str) -> None:
    """The suffix tells the format, through that of a compression and in any case."""
    assert reading.detect_format(path) == format


@pytest.mark.parametrize(
    ("path", "cure"),
    [
        ("a.warc.wat.gz", "set `format`"),
        ("a", "set `format`"),
        ("a.gz", "set `format`"),
        ("a.jsonl.bz2", "compress the file with gzip or zstd"),
        ("a.parquet.gz", "unpack it"),
    ],
)
def test_unknown_suffix(path: str, cure: str) -> None:
    """A suffix that tells nothing is an error that says what to do."""
    with pytest.raises(ManifestError, match=cure):
        reading.detect_format(path)


def test_unknown_format() -> None:
    """A format without a reader is an error that lists those that have one."""
    with pytest.raises(ManifestError, match="jsonl, markdown, parquet"):
        reading.read(FileRange("a", "a"), "auto", open_nothing, ReadOptions(Keys(), "s"))


def open_nothing(path: str) -> BinaryIO:
    raise FileNotFoundError(path)


@pytest.mark.parametrize("format", reading.registered())
def test_storage_errors_pass(format: str) -> None:
    """An error of the storage is raised as it is, since another attempt may cure it."""
    with pytest.raises(FileNotFoundError):
        list(reading.read(FileRange("a", "a"), format, open_nothing, ReadOptions(Keys(), "s")))


def test_splittable() -> None:
    """Plain JSON Lines and Parquet can be read in ranges, compressed and other files cannot."""
    assert reading.splittable("a.jsonl", "jsonl")
    assert reading.splittable("a.parquet", "parquet")
    assert not reading.splittable("a.jsonl.gz", "jsonl")
    assert not reading.splittable("a.jsonl.zst", "jsonl")
    assert not reading.splittable("a.warc", "warc")
    assert not reading.splittable("a.md", "markdown")


def test_a_second_reader_is_refused() -> None:
    """Two readers of one format are a mistake."""
    reading.registered()
    with pytest.raises(ValueError, match="has a reader already"):
        reading.register("jsonl", (".x",))(reading.read)  # type: ignore[arg-type]


def test_readers_do_without_beam(tmp_path: Path) -> None:
    """Readers import without Beam, so that they start fast and run anywhere."""
    code = (
        "import sys, raicurate.pipelines.reading as reading; reading.registered(); "
        "sys.exit('apache_beam' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
