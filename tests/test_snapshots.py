import dataclasses

import memory_store
import pytest

from raicurate.corpora_manifests.errors import ContractError
from raicurate.pipelines import storage
from raicurate.pipelines.receipts import OUTCOMES, Part, Receipt, receipt_path, write_receipt
from raicurate.pipelines.snapshots import (
    Snapshot,
    arrange,
    commit_snapshot,
    current_snapshot,
    load_snapshot,
    located,
    numbers,
    pointer_path,
    snapshot_path,
    superseded_path,
    unneeded_files,
)


@pytest.fixture(params=["local", "store"])
def out(request, tmp_path):
    memory_store.OBJECTS.clear()
    return str(tmp_path / "out") if request.param == "local" else "mem://bucket/out"


@pytest.fixture
def restricted(out):
    return out + ".restricted"


def part(name, layer="data"):
    folder = {"annotations": "annotations/core/web", "restricted": "web"}
    return Part(layer, f"{folder.get(layer, f'{layer}/web')}/{name}.parquet", 1, 1, "0" * 64)


def receipt(unit, *parts, request=None):
    counts = dict.fromkeys(("documents_in", *OUTCOMES), 0)
    return Receipt(
        unit=unit,
        corpus="web",
        files=[],
        request=request or unit * 8,
        components={},
        keys={},
        counts=counts,
        text_bytes=0,
        tables={},
        parts=list(parts),
    )


def snapshot(number, *receipts, parent=None):
    manifest = {"name": "m", "version": "1", "digest": "d"}
    return Snapshot(number, manifest, {"name": "p"}, receipts, parent)


def put(root, *parts, content=b"x"):
    for item in parts:
        storage.write_bytes(storage.join(root, item.path), content)


def files(root):
    return [file.name for file in storage.list_files(root)]


def test_a_snapshot_is_read_as_it_was_written(out):
    """Receipts and their parts included."""
    first = snapshot(1, receipt("aaaa", part("a"), part("b", "ledger")))
    second = snapshot(2, parent=1)
    for item in (first, second):
        commit_snapshot(out, item)
        assert current_snapshot(out) == item
    assert load_snapshot(out, 1) == first
    assert numbers(out) == [1, 2]
    assert list(load_snapshot(out, 1).parts) == [part("a"), part("b", "ledger")]


def test_snapshots_and_their_pointer_have_fixed_places():
    """Other programs find them there."""
    assert pointer_path("/out") == "/out/_rai/current"
    assert snapshot_path("/out", 12) == "/out/_rai/snapshots/000012.json"
    assert superseded_path("/out", part("a")) == "/out/_rai/superseded/data/web/a.parquet"
    assert superseded_path("/r", part("a", "restricted")) == "/r/_superseded/web/a.parquet"


def test_before_the_first_run_there_is_no_snapshot(out):
    """Neither a current one nor any number."""
    assert current_snapshot(out) is None
    assert numbers(out) == []


def test_until_the_pointer_is_written_the_one_before_is_current(out, monkeypatch):
    """A crash between the two writes changes nothing for readers."""
    commit_snapshot(out, snapshot(1))
    write = storage.write_bytes

    def crash_at_the_pointer(path, content):
        if path == pointer_path(out):
            raise OSError("simulated")
        write(path, content)

    monkeypatch.setattr(storage, "write_bytes", crash_at_the_pointer)
    with pytest.raises(OSError, match="simulated"):
        commit_snapshot(out, snapshot(2))
    assert current_snapshot(out).number == 1


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b'"name":"m"', b'"name":"n"', "was changed"),
        (b'"number":1', b'"number":2', "was changed"),
        (b'"digest":"', b'"digest":"0', "was changed"),
        (b"}", b"", "no readable snapshot"),
        (None, b"", "no readable snapshot"),
        (None, b"[]", "no readable snapshot"),
        (None, b"3", "no readable snapshot"),
        (None, b"{}", "no readable snapshot"),
    ],
)
def test_a_snapshot_that_was_changed_is_a_broken_contract(out, old, new, problem):
    """What a run consists of is believed only as it was written."""
    commit_snapshot(out, snapshot(1, receipt("aaaa", part("a"))))
    path = snapshot_path(out, 1)
    content = storage.read_bytes(path)
    assert old is None or old in content
    storage.write_bytes(path, new if old is None else content.replace(old, new))
    with pytest.raises(ContractError, match=problem) as caught:
        current_snapshot(out)
    assert path in str(caught.value)


def test_a_snapshot_that_is_not_there_is_told_with_those_that_are(out, monkeypatch):
    """The message lists the numbers that can be taken."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    commit_snapshot(out, snapshot(1))
    commit_snapshot(out, snapshot(12))
    with pytest.raises(ContractError, match=r"known are \[1, 12\]"):
        load_snapshot(out, 3)


@pytest.mark.parametrize("content", [b"", b"one", b"-1", "²".encode(), b"1 2"])
def test_a_pointer_that_names_no_number_is_a_broken_contract(out, content):
    """The message says what could be written into it."""
    commit_snapshot(out, snapshot(1))
    storage.write_bytes(pointer_path(out), content)
    with pytest.raises(ContractError, match=r"numbers \[1\]"):
        current_snapshot(out)


def test_a_foreign_file_among_the_snapshots_is_passed_over(out):
    """Somebody's copy does not end the next run."""
    commit_snapshot(out, snapshot(1))
    storage.write_bytes(storage.join(out, "_rai/snapshots/000001 (copy).json"), b"{}")
    assert numbers(out) == [1]


def test_two_snapshots_have_the_same_content_whatever_their_number():
    """A run that changed nothing makes no new snapshot."""
    first = snapshot(1, receipt("aaaa", part("a")))
    assert first.same_content(snapshot(2, receipt("aaaa", part("a")), parent=1))
    assert not first.same_content(None)
    assert not first.same_content(snapshot(2, receipt("aaaa", part("b")), parent=1))
    assert not first.same_content(dataclasses.replace(first, policy={"name": "q"}))
    assert not first.same_content(dataclasses.replace(first, manifest={"name": "n"}))


LAYERS = ("data", "annotations", "errors", "ledger")


def test_parts_of_an_earlier_snapshot_move_away_and_come_back(out, restricted):
    """A glob over a layer sees one snapshot; going back needs no work."""
    old = [part("old", layer) for layer in LAYERS]
    new = [part("new", layer) for layer in LAYERS]
    both = [part("both", layer) for layer in LAYERS]
    put(out, *old, *new, *both)
    put(restricted, part("old", "restricted"), part("new", "restricted"))
    for wanted, others in ((new, old), (old, new), (new, old)):
        name = wanted[0].path.rpartition("/")[2].removesuffix(".parquet")
        secret = part(name, "restricted")
        arrange(out, restricted, [*wanted, *both, secret])
        current = sorted(item.path for item in [*wanted, *both])
        superseded = sorted(f"_rai/superseded/{item.path}" for item in others)
        assert files(out) == sorted([*current, *superseded])
        other = "old" if name == "new" else "new"
        assert files(restricted) == sorted([secret.path, f"_superseded/web/{other}.parquet"])


def test_arranging_twice_changes_nothing(out, restricted):
    """A run that was interrupted while it moved parts ends in the same place."""
    put(out, part("old"), part("new"))
    put(restricted, part("old", "restricted"), part("new", "restricted"))
    for _ in range(2):
        arrange(out, restricted, [part("new"), part("new", "restricted")])
        assert files(out) == ["_rai/superseded/data/web/old.parquet", "data/web/new.parquet"]
        assert files(restricted) == ["_superseded/web/old.parquet", "web/new.parquet"]


def test_without_a_restricted_tier_only_the_layers_are_arranged(out):
    """Nothing else below the output is touched."""
    put(out, part("old"))
    for name in ("README.md", "mine/x.parquet", "data/notes.txt"):
        storage.write_bytes(storage.join(out, name), b"x")
    arrange(out, None, [])
    assert files(out) == [
        "README.md",
        "_rai/superseded/data/web/old.parquet",
        "data/notes.txt",
        "mine/x.parquet",
    ]


def test_the_tiers_are_told_apart(out, restricted):
    """A part of the data is never taken for one of the restricted tier of the same path."""
    restricted_part = dataclasses.replace(part("a"), layer="restricted")
    put(out, part("a"))
    put(restricted, restricted_part)
    arrange(out, restricted, [restricted_part])
    assert files(out) == ["_rai/superseded/data/web/a.parquet"]
    assert files(restricted) == ["data/web/a.parquet"]


def test_a_part_that_is_nowhere_is_an_error(out, restricted):
    """A snapshot with a hole is not arranged in silence."""
    with pytest.raises(OSError, match=r"[Nn]o such"):
        arrange(out, restricted, [part("gone")])


def test_a_part_is_located_in_its_layer_or_where_it_was_moved_to(out, restricted):
    """The layer comes first; what is gone is None."""
    for item, root in ((part("a"), out), (part("a", "restricted"), restricted)):
        assert located(out, restricted, item) is None
        storage.write_bytes(superseded_path(root, item), b"x")
        assert located(out, restricted, item) == superseded_path(root, item)
        put(root, item)
        assert located(out, restricted, item) == storage.join(root, item.path)


def test_an_empty_file_is_there_too(out):
    """Whether it is the right one is for others to say."""
    put(out, part("a"), content=b"")
    assert located(out, None, part("a")) == storage.join(out, part("a").path)


def test_what_no_kept_snapshot_needs_is_unneeded(out, restricted):
    """Superseded parts, receipts and snapshots go; what a kept one names stays."""
    shared = part("shared")
    first = receipt("aaaa", part("one"), part("one", "restricted"), shared)
    second = receipt("aaaa", part("two"), part("two", "restricted"), shared, request="b" * 32)
    third = receipt("aaaa", part("three"), shared, request="c" * 32)
    for number, item in enumerate((first, second, third), 1):
        commit_snapshot(out, snapshot(number, item))
        write_receipt(out, item)
        put(out, *(p for p in item.parts if p.layer == "data"))
        put(restricted, *(p for p in item.parts if p.layer == "restricted"))
    stray = storage.join(out, "_rai/superseded/data/web/stray.parquet")
    storage.write_bytes(stray, b"x")
    arrange(out, restricted, third.parts)
    one = {
        superseded_path(out, part("one")),
        superseded_path(restricted, part("one", "restricted")),
        receipt_path(out, "aaaa", first.request),
        snapshot_path(out, 1),
    }
    two = {
        superseded_path(out, part("two")),
        superseded_path(restricted, part("two", "restricted")),
        receipt_path(out, "aaaa", second.request),
        snapshot_path(out, 2),
    }
    loaded = [load_snapshot(out, number) for number in (2, 3)]
    assert unneeded_files(out, restricted, loaded) == sorted({*one, stray})
    assert unneeded_files(out, restricted, loaded[1:]) == sorted({*one, *two, stray})
    assert unneeded_files(out, None, loaded[1:]) == sorted(
        path for path in {*one, *two, stray} if not path.startswith(restricted)
    )


def test_current_parts_are_never_unneeded(out, restricted):
    """Even where no snapshot is kept, only what was moved away can go."""
    put(out, part("a"))
    put(restricted, part("a", "restricted"))
    assert unneeded_files(out, restricted, []) == []
