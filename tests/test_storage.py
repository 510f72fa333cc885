import errno
import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

import memory_store
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import OutputBusyError
from raicurate.pipelines import storage


@pytest.fixture(params=["local", "store"])
def place(request, tmp_path):
    """Returns an empty folder on the local disk, and one on a store that Beam reaches."""
    memory_store.OBJECTS.clear()
    return str(tmp_path / "out") if request.param == "local" else "mem://bucket/out"


def put(place, *names, content=b"x"):
    for name in names:
        storage.write_bytes(storage.join(place, name), content)


def names(place, *patterns):
    return [file.name for file in storage.list_files(place, patterns or ("**",))]


def everything(place):
    """Returns all names below a folder, hidden ones too."""
    if storage.is_uri(place):
        return sorted(name.removeprefix(place + "/") for name in memory_store.OBJECTS)
    files = (path for path in Path(place).rglob("*") if path.is_file())
    return sorted(path.relative_to(place).as_posix() for path in files)


def fail_at(monkeypatch, operation, number=errno.ENOSPC):
    def failpoint(name, path):
        if name == operation:
            raise OSError(number, "simulated", path)

    monkeypatch.setattr(storage, "failpoint", failpoint)


def test_what_was_written_is_read(place):
    """Content, size and existence agree, for small files and for empty ones."""
    path = storage.join(place, "a", "b.bin")
    assert not storage.exists(path)
    assert storage.file_size(path) is None
    for content in (b"first", b"", b"\x00second"):
        storage.write_bytes(path, content)
        assert storage.read_bytes(path) == content
        assert storage.file_size(path) == len(content)
        assert storage.exists(path)


def test_an_open_file_can_be_sought_and_is_never_decompressed(place):
    """Bytes are those that are stored, whatever the suffix says."""
    path = storage.join(place, "a.gz")
    storage.write_bytes(path, b"\x1f\x8b plain")
    with storage.open_read(path) as file:
        assert file.seek(3) == 3
        assert file.read(3) == b"pla"
        assert file.seek(-2, os.SEEK_END) == 6
        assert file.read() == b"in"


def test_a_name_with_wildcards_is_a_plain_name(place):
    """Brackets, stars and question marks in a name stand for themselves."""
    for name in ("a[1].jsonl", "b*.jsonl", "c?.jsonl", "d [!x].jsonl"):
        put(place, name)
        path = storage.join(place, name)
        assert storage.file_size(path) == 1
        assert storage.stamp(path)
        storage.delete(path)
        assert not storage.exists(path)


def test_a_finished_temporary_is_published(place):
    """It has the content and the final name; locally nothing else stays behind."""
    temporary = storage.new_temporary(place)
    temporary.write_bytes(b"content")
    path = storage.join(place, "part.parquet")
    storage.publish(temporary, path)
    temporary.unlink(missing_ok=True)
    assert storage.read_bytes(path) == b"content"
    assert everything(place) == ["part.parquet"]


def test_a_temporary_is_hidden_and_unique(place):
    """Readers take none for a part, and two workers never share one."""
    first, second = (storage.new_temporary(place) for _ in range(2))
    assert first != second
    assert first.name.startswith(storage.TEMPORARY_PREFIX)
    assert first.read_bytes() == b""
    assert names(place) == []
    for temporary in (first, second):
        temporary.unlink()


def test_a_published_file_can_be_read_by_others(tmp_path):
    """Temporaries are private to their owner, results are not."""
    storage.write_bytes(str(tmp_path / "a"), b"x")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_a_write_that_fails_leaves_the_old_content_and_no_temporary(place, monkeypatch):
    """Readers see the old content or the new, never a half."""
    path = storage.join(place, "a")
    storage.write_bytes(path, b"old")
    # A small object is written to a store at once, without a rename.
    for operation in ["write"] if storage.is_uri(place) else ["write", "rename"]:
        fail_at(monkeypatch, operation)
        with pytest.raises(OSError, match="simulated"):
            storage.write_bytes(path, b"new")
        monkeypatch.undo()
        assert everything(place) == ["a"]
        assert storage.read_bytes(path) == b"old"


def test_a_publication_that_fails_leaves_nothing(place, monkeypatch):
    """The final name does not exist until the file is whole."""
    temporary = storage.new_temporary(place)
    temporary.write_bytes(b"content")
    fail_at(monkeypatch, "rename")
    with pytest.raises(OSError, match="simulated"):
        storage.publish(temporary, storage.join(place, "part.parquet"))
    temporary.unlink()
    assert everything(place) == []


def test_every_operation_passes_its_failpoint(place, monkeypatch):
    """Tests can make any of them fail."""
    seen = []
    put(place, "a", "b")
    monkeypatch.setattr(storage, "failpoint", lambda name, path: seen.append((name, path)))
    a, b, c = (storage.join(place, name) for name in "abc")
    storage.read_bytes(a)
    storage.move(b, c)
    storage.delete(c)
    storage.checksum(storage.list_files(place)[0])
    assert seen == [("read", a), ("rename", c), ("delete", c), ("read", a)]


def test_a_moved_file_is_in_its_new_place_only(place):
    """Folders on the way are made."""
    put(place, "a", content=b"content")
    storage.move(storage.join(place, "a"), storage.join(place, "x", "y", "b"))
    assert everything(place) == ["x/y/b"]
    assert storage.read_bytes(storage.join(place, "x", "y", "b")) == b"content"


def test_moving_what_is_not_there_is_an_error(place):
    """A part that disappeared is never passed over."""
    with pytest.raises(OSError, match=r"[Nn]o such"):
        storage.move(storage.join(place, "a"), storage.join(place, "b"))


def test_deleting_what_is_not_there_is_no_error(place):
    """A repeated clean-up changes nothing."""
    put(place, "a")
    for _ in range(2):
        storage.delete(storage.join(place, "a"))
    assert everything(place) == []


def test_a_stamp_changes_with_the_file(place):
    """Other content, or the same written again, is noticed without reading."""
    path = storage.join(place, "a")
    assert storage.stamp(path) == ""
    stamps = []
    for content in (b"one", b"two", b"two"):
        storage.write_bytes(path, content)
        stamps.append(storage.stamp(path))
        assert storage.list_files(place)[0].stamp == storage.stamp(path)
    assert len(set(stamps)) == 3


def test_a_checksum_is_that_of_the_content(place):
    """The same content has the same identity wherever it stands, other content another."""
    put(place, "a", "b", content=b"one")
    put(place, "c", content=b"two")
    a, b, c = (storage.checksum(file) for file in storage.list_files(place))
    assert a == b != c


def test_the_local_checksum_is_the_sha256(tmp_path):
    """So that it can be compared with the digest that a manifest promises."""
    put(str(tmp_path), "a", content=b"abc")
    assert storage.checksum(storage.list_files(str(tmp_path))[0]).startswith("ba7816bf8f01cfea")


def test_files_are_listed_below_the_folder_by_name(place):
    """Sorted, with sizes and full paths; hidden files and folders are left out."""
    put(place, "b/c.txt", "b.txt", "a/x/y.txt", ".hidden", "a/.hidden", ".git/config")
    put(place + "er", "other.txt")
    found = storage.list_files(place)
    assert [file.name for file in found] == ["a/x/y.txt", "b.txt", "b/c.txt"]
    assert [file.path for file in found] == [storage.join(place, file.name) for file in found]
    assert {file.size for file in found} == {1}


def test_a_folder_that_is_not_there_holds_no_files(place):
    """A first run has no receipts yet."""
    assert names(place) == []
    assert names(storage.join(place, "a"), "*.json") == []


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["a.txt", "b.txt"]),
        ("a.txt", ["a.txt"]),
        ("./a.txt", ["a.txt"]),
        ("x//c.txt", ["x/c.txt"]),
        ("*/c.txt", ["x/c.txt"]),
        ("x/**", ["x/c.txt", "x/y/d.txt"]),
        ("**/*.txt", ["a.txt", "b.txt", "x/c.txt", "x/y/d.txt"]),
        ("x/**/d.txt", ["x/y/d.txt"]),
        ("**/y/*", ["x/y/d.txt"]),
        ("?.txt", ["a.txt", "b.txt"]),
        ("[a-b].txt", ["a.txt", "b.txt"]),
        ("[!a].txt", ["b.txt"]),
        ("x/[c]*", ["x/c.txt"]),
        ("*", ["a.txt", "b.txt"]),
        ("x", []),
        ("x/*", ["x/c.txt"]),
        ("nothing/*", []),
        ("", []),
    ],
)
def test_globs_choose_files(place, pattern, expected):
    """`*` and `?` stay within a folder, `**` descends."""
    put(place, "a.txt", "b.txt", "x/c.txt", "x/y/d.txt")
    assert names(place, pattern) == expected


def test_a_file_that_matches_two_globs_is_listed_once(place):
    """Overlapping patterns double no document."""
    put(place, "a.txt", "x/b.txt")
    assert names(place, "**/*.txt", "*.txt", "a.txt") == ["a.txt", "x/b.txt"]


def test_a_link_that_leads_back_is_not_followed(tmp_path):
    """It would list each file again under ever longer names; other links are followed."""
    put(str(tmp_path / "in"), "a.txt", "x/b.txt")
    put(str(tmp_path / "elsewhere"), "c.txt")
    (tmp_path / "in" / "x" / "up").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in" / "x" / "self").symlink_to(".", target_is_directory=True)
    (tmp_path / "in" / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert names(str(tmp_path / "in")) == ["a.txt", "more/c.txt", "x/b.txt"]


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    """Its files would otherwise be left out in silence."""
    put(str(tmp_path), "a.txt", "x/b.txt")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("/x"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError):
        names(str(tmp_path))


def test_a_whole_bucket_can_be_listed():
    """A root may be the bucket itself."""
    memory_store.OBJECTS.clear()
    put("mem://bucket", "a.txt", "x/b.txt")
    put("mem://bucketeer", "c.txt")
    assert names("mem://bucket") == ["a.txt", "x/b.txt"]
    assert names("mem://bucket/", "**/*.txt") == ["a.txt", "x/b.txt"]


segment = st.text("ab.[]!-*?^\\", min_size=1, max_size=5).filter(
    lambda part: part not in {".", ".."} and "**" not in part
)
patterns = st.lists(st.one_of(st.just("**"), segment), min_size=1, max_size=4).map("/".join)
paths = st.lists(st.text("ab.[]!-^\\", min_size=1, max_size=4), min_size=1, max_size=4).map(
    "/".join
)


@settings(deadline=None, max_examples=300)
@given(segment, st.text("ab.[]!-^\\\n", min_size=1, max_size=4))
@example("[z-a]", "b")
@example("[!]", "[!]")
@example("[^a]", "^")
@example("[]]", "]")
def test_a_name_matches_as_in_pathlib(pattern, name):
    """Within a folder a glob means what it means everywhere in Python."""
    expected = "/" not in name and PurePosixPath("/x", name).match(f"/x/{pattern}")
    if name not in {".", ".."}:
        assert storage.glob_matcher(pattern)(name) == expected


def reference(parts, name):
    if not parts:
        return not name
    if parts[0] == "**":
        return any(reference(parts[1:], name[skip:]) for skip in range(len(name) + 1)) and (
            len(parts) > 1 or bool(name)
        )
    return (
        bool(name)
        and PurePosixPath("/", name[0]).match("/" + parts[0])
        and (reference(parts[1:], name[1:]))
    )


@settings(deadline=None, max_examples=300)
@given(patterns, paths)
def test_folders_match_one_by_one(pattern, path):
    """`**` stands for any number of folders, and at the end for any file below."""
    names_ = path.split("/")
    if {".", ".."} & set(names_):
        return
    assert storage.glob_matcher(pattern)(path) == reference(pattern.split("/"), names_)


@settings(deadline=None, max_examples=60)
@given(st.lists(segment, min_size=1, max_size=3), st.booleans())
def test_a_glob_finds_the_files_that_pathlib_finds(glob_folder, parts, descend):
    """On a real folder, with patterns that mean the same in both."""
    pattern = "/".join([*(["**"] if descend else []), *parts])
    found = {path for path in glob_folder.glob(pattern) if path.is_file()}
    visible = {
        path.relative_to(glob_folder).as_posix()
        for path in found
        if not any(part.startswith(".") for part in path.relative_to(glob_folder).parts)
    }
    assert set(names(str(glob_folder), pattern)) == visible


@pytest.fixture(scope="module")
def glob_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("globs")
    put(
        str(folder),
        *("a", "b", "ab", "a.b", "a-b", "[a]", "!a", "^", "a!", ".a", "-", "\\"),
        *("x/a", "x/b", "ba/a", "ba/b.a", "ba/ab/a", "ba/ab/.a", ".b/a", "bb/[/]"),
    )
    return folder


def test_a_second_run_is_refused_until_the_first_ends(place):
    """Also within one process; the message names the output."""
    with storage.exclusive(place):
        with pytest.raises(OutputBusyError, match="another run"), storage.exclusive(place):
            pytest.fail("two runs held the output")
        put(place, "data/a")
    with storage.exclusive(place):
        pass


def test_a_run_that_fails_gives_the_output_back(place):
    """An error does not block the next run."""
    with pytest.raises(KeyError), storage.exclusive(place):
        raise KeyError
    with storage.exclusive(place):
        pass


def test_two_outputs_do_not_disturb_each_other(place):
    """The lock is that of one output."""
    with storage.exclusive(place), storage.exclusive(place + "-other"):
        pass


def test_the_lock_is_no_part_of_the_output(place):
    """It stands under `_rai/`; on a store it is gone after the run."""
    with storage.exclusive(place):
        pass
    assert everything(place) == ([] if storage.is_uri(place) else ["_rai/lock"])


HOLD = """
import sys
from raicurate.pipelines import storage
with storage.exclusive(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lock_holds_between_processes_and_dies_with_its_owner(tmp_path):
    """A killed run leaves no lock behind on a local disk."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(OutputBusyError), storage.exclusive(str(tmp_path)):
            pytest.fail("two processes held the output")
        other.kill()
        other.wait()
        with storage.exclusive(str(tmp_path)):
            pass


def test_a_lock_left_on_a_store_is_told_how_to_remove():
    """A store cannot know that the owner died."""
    memory_store.OBJECTS.clear()
    memory_store.put("mem://bucket/out/_rai/lock", b"someone")
    with pytest.raises(OutputBusyError, match=r"mem://bucket/out/_rai/lock.*delete that object"):
        storage.exclusive("mem://bucket/out").__enter__()
    assert memory_store.OBJECTS["mem://bucket/out/_rai/lock"][0] == b"someone"


def test_of_two_that_take_a_lock_at_once_the_last_writer_has_it(monkeypatch):
    """The other sees a foreign owner when it reads its lock back, and leaves it alone."""
    memory_store.OBJECTS.clear()
    lock = "mem://bucket/out/_rai/lock"
    write = storage.write_bytes

    def overtaken(path, content):
        write(path, content)
        write(path, b"the other")

    monkeypatch.setattr(storage, "write_bytes", overtaken)
    with pytest.raises(OutputBusyError, match="at the same moment"):
        storage.exclusive("mem://bucket/out").__enter__()
    assert memory_store.OBJECTS[lock][0] == b"the other"


def test_paths_are_joined_with_single_slashes():
    """Local folders and URIs alike, with or without a slash at the end."""
    assert storage.join("/a/", "b", "c") == "/a/b/c"
    assert storage.join("gs://a", "b") == "gs://a/b"


def test_a_local_path_becomes_absolute_and_a_uri_stays(tmp_path, monkeypatch):
    """What workers get does not depend on their working folder."""
    monkeypatch.chdir(tmp_path)
    assert storage.absolute("x/../y") == str(tmp_path.resolve() / "y")
    assert storage.absolute("gs://a/x/../y") == "gs://a/x/../y"


def test_a_folder_exists_or_needs_none(tmp_path):
    """A store has no folders that could be missing."""
    assert storage.folder_exists(str(tmp_path))
    assert not storage.folder_exists(str(tmp_path / "x"))
    assert storage.folder_exists("mem://bucket/nothing")
