import gzip
import io
import random
import zlib

import pytest
import zstandard
from damage import COMPRESS, flip, gzip_member, zstd_frame
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.pipelines.decompress import Compression, Damage, decoded, decompress, sniff

KINDS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
suffixes = pytest.mark.parametrize("suffix", list(COMPRESS))


def noise(size: int, seed: int = 0) -> bytes:
    """Returns text that compresses a little, as text does."""
    return random.Random(seed).randbytes(size // 2).hex().encode()


def read(suffix: str, data: bytes, **options: object) -> tuple[bytes, list[Damage]]:
    content, damages = b"", []
    for event in decompress(io.BytesIO(data), KINDS[suffix], **options):  # type: ignore[arg-type]
        if isinstance(event, Damage):
            damages.append(event)
        else:
            content += event
    return content, damages


@suffixes
@pytest.mark.parametrize("size", [0, 1, 1000, 300_000, 3_000_000])
def test_whole_member(suffix: str, size: int) -> None:
    """A sound member of any size comes back as it was."""
    content = noise(size)
    assert read(suffix, COMPRESS[suffix](content)) == (content, [])


@suffixes
def test_many_members(suffix: str) -> None:
    """Members follow on one another, of whatever size, empty ones as well."""
    parts = [noise(size, size) for size in (0, 10, 100_000, 0, 5, 2_000_000, 1)]
    data = b"".join(map(COMPRESS[suffix], parts))
    assert read(suffix, data) == (b"".join(parts), [])


def test_gzip_padding() -> None:
    """Zero bytes behind a member, as on tapes, mean nothing; before any member they are damage."""
    member = gzip_member(b"abc")
    assert read(".gz", member + bytes(10_000)) == (b"abc", [])
    assert read(".gz", member + bytes(7) + member) == (b"abcabc", [])
    content, damages = read(".gz", bytes(10_000))
    assert (content, [damage.error_type for damage in damages]) == (b"", ["unreadable_file"])


def test_zstd_skippable_frames() -> None:
    """Skippable frames, such as seek tables, hold no content; a cut one is damage."""
    skippable = b"\x5e\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"table"
    frame = zstd_frame(b"abc")
    assert read(".zst", skippable + frame + skippable + frame + skippable) == (b"abcabc", [])
    content, damages = read(".zst", frame + skippable[:-1])
    assert content == b"abc"
    assert [(damage.error_type, damage.bytes) for damage in damages] == [("lost_tail", 12)]


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("known_size", [True, False])
@pytest.mark.parametrize("level", [-5, 3, 19])
def test_zstd_variants(checksum: bool, known_size: bool, level: int) -> None:
    """Frames with and without checksum and content size, raw and repeated blocks, are read."""
    content = noise(400_000) + bytes(500_000) + random.Random(1).randbytes(300_000)
    compressor = zstandard.ZstdCompressor(
        level, write_checksum=checksum, write_content_size=known_size
    )
    if known_size:
        frame = compressor.compress(content)
    else:
        stream = compressor.compressobj()
        frame = stream.compress(content) + stream.flush()
    assert read(".zst", frame * 2) == (content * 2, [])


def test_zstd_dictionary() -> None:
    """A frame that needs a dictionary is a lost tail that says so."""
    samples = [b"sample %d " % number * 20 for number in range(200)]
    dictionary = zstandard.train_dictionary(1000, samples)
    frame = zstandard.ZstdCompressor(dict_data=dictionary).compress(b"abc" * 100)
    got, damages = read(".zst", frame + zstd_frame(b"abc"))
    assert got == b"abc"
    assert [damage.error_type for damage in damages] == ["lost_tail"]
    assert "dictionary" in damages[0].message


def test_zstd_long_window() -> None:
    """A window of more than 128 MiB, which `zstd --long=31` writes, is accepted."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=30)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    assert read(".zst", stream.compress(b"abc") + stream.flush()) == (b"abc", [])


@suffixes
def test_cut_delivers_what_was_decoded(suffix: str) -> None:
    """A cut archive gives nearly all that stands before the cut, then one lost tail."""
    content = noise(1_000_000)
    data = COMPRESS[suffix](content)
    for cut in (len(data) // 3, len(data) // 2, len(data) - 3):
        got, damages = read(suffix, data[:cut])
        assert content.startswith(got)
        # zstd decodes whole blocks, of at most 128 KiB.
        assert len(got) >= len(content) * cut // len(data) - (140_000 if suffix == ".zst" else 3000)
        assert [damage.error_type for damage in damages] == ["lost_tail"]
        assert str(cut) in damages[0].message


@suffixes
def test_every_cut_is_noticed(suffix: str) -> None:
    """Wherever a single member is cut, but for cutting all of it away, damage is reported."""
    content = noise(300)
    data = COMPRESS[suffix](content)
    for cut in range(1, len(data)):
        got, damages = read(suffix, data[:cut])
        assert content.startswith(got)
        assert len(damages) == 1, cut


@suffixes
def test_resumes_at_the_next_member(suffix: str) -> None:
    """A member that is broken in its middle costs its own rest; later members are read."""
    parts = [noise(500_000, seed) for seed in range(3)]
    members = [COMPRESS[suffix](part) for part in parts]
    middle = members[1][:200_000] + bytes(3000) + members[1][203_000:]
    got, damages = read(suffix, members[0] + middle + members[2])
    assert got.startswith(parts[0])
    assert got.endswith(parts[2])
    assert parts[1][:200_000] in got
    # Deflate can take destroyed bytes for others, so that only the checksum tells.
    assert {damage.error_type for damage in damages} <= {"lost_tail", "checksum_mismatch"}
    assert len(damages) == 1
    assert damages[0].bytes < len(middle)


@suffixes
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("size", [500, 20_000, 800_000])
def test_cut_member_before_another(suffix: str, kept: float, size: int) -> None:
    """Nothing is made up of the bytes of the next member where one ends too early."""
    parts = [noise(size, seed) for seed in range(3)]
    members = [COMPRESS[suffix](part) for part in parts]
    cut = max(int(len(members[1]) * kept), 20)
    got, damages = read(suffix, members[0] + members[1][:cut] + members[2])
    assert got.startswith(parts[0])
    assert got.endswith(parts[2])
    assert parts[1].startswith(got[len(parts[0]) : -len(parts[2])])
    assert [damage.error_type for damage in damages] == ["lost_tail"]


@suffixes
def test_checksum_mismatch(suffix: str) -> None:
    """A member whose checksum differs is delivered and reported, and the next one follows."""
    first, second = noise(5000, 1), noise(5000, 2)
    member = COMPRESS[suffix](first)
    position = len(member) - (8 if suffix == ".gz" else 1)
    got, damages = read(suffix, flip(member, position) + COMPRESS[suffix](second))
    assert got == first + second
    assert [(damage.error_type, damage.bytes) for damage in damages] == [("checksum_mismatch", 0)]


def test_gzip_length_mismatch() -> None:
    """The length at the end of a gzip member is checked as well."""
    member = gzip_member(b"abc")
    got, damages = read(".gz", flip(member, len(member) - 1) + member)
    assert got == b"abcabc"
    assert [damage.error_type for damage in damages] == ["checksum_mismatch"]


@suffixes
def test_garbage_between_and_behind_members(suffix: str) -> None:
    """Bytes that are no member are a lost tail with their exact number."""
    member = COMPRESS[suffix](b"abc")
    got, damages = read(suffix, member + b"garbage" + member + b"more garbage")
    assert got == b"abcabc"
    assert [(damage.error_type, damage.bytes) for damage in damages] == [
        ("lost_tail", 7),
        ("lost_tail", 12),
    ]


@suffixes
def test_damaged_beginning(suffix: str) -> None:
    """An archive whose first bytes are destroyed is read from its second member on."""
    member = COMPRESS[suffix](noise(1000))
    got, damages = read(suffix, flip(member, 0) + COMPRESS[suffix](b"abc"))
    assert got == b"abc"
    assert [(damage.error_type, damage.bytes) for damage in damages] == [("lost_tail", len(member))]


def test_archive_inside_of_an_archive() -> None:
    """An archive that stands verbatim inside a member is content, even where that is damaged."""
    inner = gzip_member(noise(3000))
    stored = zlib.compressobj(0, wbits=31)
    member = stored.compress(b"a" * 1000 + inner + b"b" * 1000) + stored.flush()
    got, damages = read(".gz", flip(member, len(member) - 8) + gzip_member(b"next"))
    assert got == b"a" * 1000 + inner + b"b" * 1000 + b"next"
    assert [damage.error_type for damage in damages] == ["checksum_mismatch"]


@suffixes
def test_search_asks_what_a_member_begins_with(suffix: str) -> None:
    """Behind a damage only a member is taken up that begins as the caller knows it must."""
    compress = COMPRESS[suffix]
    data = b"xx" + compress(b"something else") + compress(b"WARC/1.0")
    got, damages = read(suffix, data, is_start=lambda content: content.startswith(b"WARC/"))
    assert got == b"WARC/1.0"
    assert len(damages) == 1


@suffixes
def test_bomb(suffix: str) -> None:
    """A file that grows beyond the allowed ratio ends after 64 MiB, in bounded memory."""
    data = COMPRESS[suffix](bytes(200 << 20))
    produced = 0
    damages = []
    for event in decompress(io.BytesIO(data), KINDS[suffix], max_expansion=500):
        if isinstance(event, Damage):
            damages.append(event)
        else:
            assert len(event) <= 1 << 20
            produced += len(event)
    assert [damage.error_type for damage in damages] == ["decompression_bomb"]
    assert produced <= 66 << 20


@suffixes
def test_small_reads(suffix: str) -> None:
    """A stream that returns less than was asked for, as remote ones do, changes nothing."""

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 777))

    parts = [noise(50_000, seed) for seed in range(3)]
    data = b"".join(map(COMPRESS[suffix], parts))
    events = list(decompress(Slow(data), KINDS[suffix]))
    assert b"".join(event for event in events if isinstance(event, bytes)) == b"".join(parts)


def test_bytes_decide_over_names() -> None:
    """What the first bytes show is believed before the name, which object stores may belie."""
    plain = b'{"text": "a"}\n'
    assert sniff(gzip_member(b"")) == "gzip"
    assert sniff(zstd_frame(b"")) == "zstd"
    assert sniff(plain) is None

    def content(data: bytes, named: Compression | None) -> list[bytes | Damage]:
        return list(decoded(io.BytesIO(data), named, is_plain=lambda head: head[:1] == b"{"))

    assert content(plain, "gzip") == [plain]
    assert content(zstd_frame(plain), "gzip") == [plain]
    assert content(gzip_member(plain), None) == [plain]
    assert isinstance(content(b"\0" + plain, "gzip")[0], Damage)


@suffixes
@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(st.binary(max_size=400), min_size=1, max_size=4),
    edits=st.lists(
        st.tuples(st.sampled_from("fxid"), st.integers(0, 10_000), st.binary(max_size=30)),
        max_size=3,
    ),
)
def test_any_damage(suffix: str, parts: list[bytes], edits: list[tuple[str, int, bytes]]) -> None:
    """Whatever is done to an archive, reading ends, and changed content comes with damage."""
    members = list(map(COMPRESS[suffix], parts))
    data = whole = b"".join(members)
    for kind, place, extra in edits:
        position = place % (len(data) + 1)
        if kind == "f" and position < len(data):
            data = flip(data, position)
        elif kind == "x":
            data = data[:position]
        elif kind == "i":
            data = data[:position] + extra + data[position:]
        elif kind == "d":
            data = data[:position] + data[position + len(extra) :]
    got, damages = read(suffix, data)
    boundaries = {0}
    for member in members:
        boundaries.add(max(boundaries) + len(member))
    if data == whole:
        assert (got, damages) == (b"".join(parts), [])
    elif got != b"".join(parts) and suffix == ".gz" and len(edits) == 1:
        kind, place, extra = edits[0]
        position = place % (len(whole) + 1)
        end = position + len(extra) if kind == "d" else len(whole)
        whole_members = kind in "dx" and {position, min(end, len(whole))} <= boundaries
        assert damages or whole_members


@suffixes
@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300), magic=st.booleans())
def test_any_bytes(suffix: str, data: bytes, magic: bool) -> None:
    """Bytes that are no archive raise nothing."""
    head = COMPRESS[suffix](b"")[:6] if magic else b""
    read(suffix, head + data)


def test_agrees_with_gzip_on_wbits() -> None:
    """Optional fields of the gzip header are understood."""
    file = io.BytesIO()
    with gzip.GzipFile("name.txt", "wb", fileobj=file, mtime=1) as stream:
        stream.write(b"abc")
    assert read(".gz", file.getvalue()) == (b"abc", [])


@suffixes
def test_many_cut_members(suffix: str) -> None:
    """Members that end too early one after another cost their own ends only."""
    contents = [noise(1_000_000, seed) for seed in range(8)]
    cut = [COMPRESS[suffix](content)[: 60_000 * (n + 1)] for n, content in enumerate(contents)]
    got, damages = read(suffix, b"".join(cut))
    assert [damage.error_type for damage in damages] == ["lost_tail"] * len(cut)
    # What these bytes decode to, less a block of zstd, of up to 128 KiB, in each.
    assert len(got) > 1.7 * len(b"".join(cut)) - (131_072 * len(cut) if suffix == ".zst" else 0)


@suffixes
def test_next_member_anywhere_in_the_search(suffix: str) -> None:
    """The next member is found wherever it begins, also across two windows of the search."""
    member = COMPRESS[suffix](b"abc")
    for size in range((256 << 10) - 6, (256 << 10) + 3):
        got, damages = read(suffix, b"x" * size + member)
        assert got == b"abc"
        assert [damage.bytes for damage in damages] == [size]
