import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import ContractError
from raicurate.corpora_manifests.manifest import Corpus
from raicurate.pipelines.storage import FileStatus
from raicurate.pipelines.units import COMPRESSED_RATIO, Unit, UnitFile, find_files, plan_units

UNIT = 1000
FUZZ = settings(deadline=None, max_examples=100)


def corpus(**changes):
    return Corpus.model_validate({"name": "web", "paths": ["**"], "license": "x"} | changes)


def status(name, size, path=None):
    return FileStatus(path or f"/in/{name}", name, size, f"stamp-{size}")


def planned(sizes, unit_bytes=UNIT, of=None):
    """Returns the units of files given by name and size."""
    files = [(status(name, sizes[name]), f"content-{name}") for name in sorted(sizes)]
    return list(plan_units(of or corpus(), files, unit_bytes))


def put(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


names = st.text("abcdefgh", min_size=1, max_size=6).map(lambda name: f"{name}.jsonl.gz")
small = st.integers(1, UNIT // 2 // COMPRESSED_RATIO - 1)
small_files = st.dictionaries(names, small, max_size=40)
any_files = st.dictionaries(
    st.one_of(names, names.map(lambda name: name.removesuffix(".gz"))), st.integers(0, 5 * UNIT)
)


def test_an_id_depends_on_the_place_only():
    """Neither content nor size, format or stamp enter it; corpus, path and range do."""
    unit = Unit("web", (UnitFile("a", "jsonl", 5, 0, 5, "content", "stamp"),), 5)
    same = Unit("web", (UnitFile("a", "text", 9, 0, 5, "other", "later"),), 9)
    assert unit.id == same.id
    others = [
        Unit("other", unit.files, 5),
        Unit("web", (UnitFile("b", "jsonl", 5, 0, 5),), 5),
        Unit("web", (UnitFile("a", "jsonl", 5, 1, 5),), 5),
        Unit("web", (UnitFile("a", "jsonl", 5, 0, 4),), 5),
        Unit("web", (UnitFile("a", "jsonl", 5),), 5),
        Unit("web", (UnitFile("a", "jsonl", 5, 0, 5), UnitFile("b", "jsonl", 5)), 5),
    ]
    assert len({unit.id, *(other.id for other in others)}) == 7


def test_an_id_never_changes():
    """Parts carry it in their names: another one would orphan all that stands."""
    assert Unit("web", (UnitFile("a/b.jsonl", "jsonl", 5, 0, 5),), 5).id == "ec7b0b5e66bc6d60"


def test_the_content_names_what_is_read_but_not_when_it_was_touched():
    """A stamp is no content: a copied file is the same input."""
    unit = Unit("web", (UnitFile("a", "jsonl", 5, 0, 5, "content", "stamp"),), 5)
    assert unit.content == [["a", "jsonl", 0, 5, "content"]]


@FUZZ
@given(any_files)
def test_every_byte_of_every_file_is_in_one_unit(sizes):
    """Whole files once, ranges side by side without gap or overlap."""
    units = planned(sizes)
    assert len({unit.id for unit in units}) == len(units)
    parts = {}
    for unit in units:
        for file in unit.files:
            assert file.content == f"content-{file.name}"
            assert file.stamp == f"stamp-{sizes[file.name]}"
            start = 0 if file.start is None else file.start
            end = sizes[file.name] if file.end is None else file.end
            parts.setdefault(file.name, []).append((start, end))
    assert parts.keys() == sizes.keys()
    for name, ranges in parts.items():
        edges = [0, *(edge for piece in ranges for edge in piece), sizes[name]]
        assert edges[::2] == edges[1::2]


@FUZZ
@given(any_files)
def test_only_plain_files_are_cut_and_only_small_ones_bundled(sizes):
    """A compressed file is never cut; a large one stands alone."""
    for unit in planned(sizes):
        for file in unit.files:
            if file.name.endswith(".gz"):
                assert (file.start, file.end) == (None, None)
                decoded = file.size * COMPRESSED_RATIO
            elif file.start is not None:
                assert file.size >= UNIT
                assert 0 < file.end - file.start <= UNIT
                decoded = UNIT
            else:
                decoded = file.size
            assert len(unit.files) == 1 or decoded < UNIT // 2
        if unit.files[0].start is not None:
            assert unit.decoded_bytes == unit.files[0].end - unit.files[0].start
    assert sum(unit.decoded_bytes for unit in planned(sizes)) == sum(
        size * (COMPRESSED_RATIO if name.endswith(".gz") else 1) for name, size in sizes.items()
    )


@FUZZ
@given(small_files, names, small)
def test_an_added_file_moves_at_most_two_bundles(sizes, name, size):
    """All other units keep their id, so their parts stand."""
    before = {unit.id for unit in planned({key: sizes[key] for key in sizes if key != name})}
    after = {unit.id for unit in planned({**sizes, name: size})}
    assert len(before - after) <= 1
    assert len(after - before) <= 2


@FUZZ
@given(small_files, st.integers(UNIT, 3 * UNIT))
def test_a_large_file_moves_no_bundle(sizes, size):
    """It is a unit of its own, wherever its name stands among the others."""
    alone = {unit.id for unit in planned(sizes)}
    for name in ("b_large.jsonl.gz", "b_large.jsonl"):
        together = {unit.id for unit in planned({**sizes, name: size})}
        assert alone <= together


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_compressed_files_count_as_what_they_hold(name):
    """A unit is measured in decoded bytes."""
    (unit,) = planned({name: 10}, of=corpus(format="jsonl"))
    assert unit.decoded_bytes == 10 * COMPRESSED_RATIO


def test_bundles_have_about_the_wished_size():
    """On average over many small files."""
    sizes = {f"{number:05d}.jsonl.gz": 10 for number in range(5000)}
    bundles = [unit.decoded_bytes for unit in planned(sizes)]
    assert UNIT / 2 < sum(bundles) / len(bundles) < 2 * UNIT
    assert max(bundles) < 12 * UNIT


def test_the_order_within_a_unit_is_that_of_the_names():
    """Rows are stored in input order."""
    sizes = {f"{number:05d}.jsonl": 1 for number in range(300)}
    units = planned(sizes)
    listed = [file.name for unit in units for file in unit.files]
    assert listed == sorted(sizes)


def test_the_format_goes_by_suffix_unless_the_corpus_names_one():
    """`auto` looks through a compression."""
    sizes = {"a.jsonl.gz": 1, "b.md": 1}
    assert [file.format for unit in planned(sizes) for file in unit.files] == ["jsonl", "markdown"]
    of = corpus(format="text")
    assert {file.format for unit in planned(sizes, of=of) for file in unit.files} == {"text"}


def write_parquet(path, rows, row_group_size):
    table = pa.table({"id": [str(row) for row in range(rows)], "text": ["word " * 50] * rows})
    pq.write_table(table, path, row_group_size=row_group_size, use_dictionary=False)
    return status(path.name, path.stat().st_size, str(path))


@pytest.mark.parametrize(("unit_bytes", "units"), [(1024, 10), (9000, 4), (10**6, 1)])
def test_parquet_is_cut_between_row_groups(tmp_path, unit_bytes, units):
    """Each unit takes row groups until it is full; together they are all."""
    file = write_parquet(tmp_path / "a.parquet", 100, 10)
    found = list(plan_units(corpus(), [(file, "c")], unit_bytes))
    edges = [edge for unit in found for edge in (unit.files[0].start, unit.files[0].end)]
    assert len(found) == units
    if units == 1:
        assert edges == [None, None]
    else:
        assert edges[0] == 0
        assert edges[-1] == 10
        assert edges[1:-1:2] == edges[2:-1:2]
        assert all(unit.decoded_bytes >= unit_bytes for unit in found[:-1])


def test_a_large_parquet_file_with_a_broken_footer_is_still_read(tmp_path):
    """It is one unit, whose reading tells the damage; nothing is left out in silence."""
    file = write_parquet(tmp_path / "a.parquet", 100, 10)
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[:-8] + b"\xff" * 8)
    (unit,) = plan_units(corpus(), [(file, "c")], 1024)
    assert (unit.files[0].name, unit.files[0].start, unit.files[0].end) == ("a.parquet", None, None)


def test_files_are_found_by_all_patterns_and_once(tmp_path):
    """Sorted by name, whatever the order of the patterns."""
    put(tmp_path, "b.jsonl", "a.jsonl", "x/c.jsonl", "d.txt")
    of = corpus(root=str(tmp_path), paths=["**/*.jsonl", "b.*", "a.jsonl"])
    assert [file.name for file in find_files(of)] == ["a.jsonl", "b.jsonl", "x/c.jsonl"]


def test_excluded_files_are_left_out(tmp_path):
    """`exclude` has the last word."""
    put(tmp_path, "b.jsonl", "a.jsonl", "x/c.jsonl", "x/y/d.jsonl")
    of = corpus(root=str(tmp_path), paths=["**/*.jsonl"], exclude=["x/**", "b.jsonl"])
    assert [file.name for file in find_files(of)] == ["a.jsonl"]


def test_a_corpus_of_which_everything_is_excluded_is_a_broken_contract(tmp_path):
    """Nothing to read is never a success."""
    put(tmp_path, "a.jsonl", "b.jsonl")
    of = corpus(root=str(tmp_path), paths=["*.jsonl"], exclude=["*"])
    with pytest.raises(ContractError, match="leaves out every file"):
        find_files(of)


@pytest.mark.parametrize("missing", ["*.warc.gz", "c.jsonl", "x/*.jsonl", "*.json"])
def test_a_pattern_that_matches_nothing_is_a_broken_contract(tmp_path, missing):
    """A part of the input would be missing without a word; other patterns do not make up for it."""
    put(tmp_path, "a.jsonl")
    of = corpus(root=str(tmp_path), paths=["*.jsonl", missing])
    with pytest.raises(ContractError) as caught:
        find_files(of)
    assert repr(missing) in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_root_that_is_not_there_is_a_broken_contract(tmp_path):
    """As if no file matched."""
    with pytest.raises(ContractError, match="no file below"):
        find_files(corpus(root=str(tmp_path / "nowhere")))
