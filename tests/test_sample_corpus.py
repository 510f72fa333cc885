import json
import re
import zlib
from collections import Counter
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest
import zstandard

from raicurate.corpora_manifests import sample_corpus
from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.vocabulary import HAZARDS, STANCES

FILES = sample_corpus.read_documents(sample_corpus.DOCUMENTS)
DOCUMENTS = [document for file in FILES for document in file.documents]
POLICIES = sorted((sample_corpus.CORPUS / "policies").glob("*.md"))


def gzip_members(content: bytes) -> list[tuple[bytes, bool]]:
    """The members of a gzip file, each with whether it is complete."""
    members = []
    while content:
        inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        members.append((inflate.decompress(content), inflate.eof))
        content = inflate.unused_data
    return members


def decoded(path: Path) -> object:
    """What a file says, whatever bytes a version of a library chose to say it with."""
    if path.suffix == ".gz":
        return gzip_members(path.read_bytes())
    if path.suffix == ".zst":
        with path.open("rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            return reader.read()
    if path.suffix == ".parquet":
        file = pq.ParquetFile(path)
        return [file.read_row_group(i).to_pydict() for i in range(file.num_row_groups)]
    return path.read_bytes()


def built(folder: Path) -> dict[str, Path]:
    """The files of a corpus that are built from documents, by their path below it."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "policies"
    }


def records(name: str) -> list[dict[str, object]]:
    content = decoded(sample_corpus.CORPUS / name)
    if isinstance(content, list):
        content = b"".join(member for member, _ in content)
    assert isinstance(content, bytes)
    # What follows the last line feed is empty, or a line that was cut.
    return [json.loads(line) for line in content.split(b"\n")[:-1]]


def targets(name: str, kind: str) -> list[str]:
    """The addresses of the WARC records of a kind."""
    content = decoded(sample_corpus.CORPUS / name)
    assert isinstance(content, list)
    return [
        re.search(rb"WARC-Target-URI: (\S+)", record)[1].decode()
        for record, _ in content
        if f"WARC-Type: {kind}".encode() in record.partition(b"\r\n\r\n")[0]
    ]


def test_committed_corpus_is_what_its_documents_build(tmp_path):
    """Rebuilding the corpus gives the committed files, no more and no fewer, with their content."""
    sample_corpus.build(sample_corpus.DOCUMENTS, tmp_path)
    rebuilt, committed = built(tmp_path), built(sample_corpus.CORPUS)
    assert sorted(rebuilt) == sorted(committed)
    for name, path in rebuilt.items():
        # Other versions of zlib, zstd and pyarrow may write the same content in other bytes.
        if path.read_bytes() != committed[name].read_bytes():
            assert decoded(path) == decoded(committed[name]), f"{name} is out of date; rebuild it"


def test_building_twice_gives_the_same_bytes(tmp_path):
    """A build depends on neither clock, machine nor folder: two of them agree byte for byte."""
    for name in ("first", "second"):
        sample_corpus.main(["--corpus", str(tmp_path / name)])
    first, second = built(tmp_path / "first"), built(tmp_path / "second")
    assert {name: path.read_bytes() for name, path in first.items()} == {
        name: path.read_bytes() for name, path in second.items()
    }


def test_every_document_is_in_exactly_one_file():
    """All documents are found once in the corpus, but for those that the damage swallowed."""
    by_url = {document.url: document.id for document in DOCUMENTS}
    found = Counter(
        str(record["id"])
        for name in (
            "web.jsonl",
            "web.jsonl.gz",
            "web.jsonl.zst",
            "dolma.jsonl.gz",
            "datatrove.jsonl.gz",
            "damaged.jsonl.gz",
        )
        for record in records(name)
    )
    found.update(pq.read_table(sample_corpus.CORPUS / "web.parquet")["doc_id"].to_pylist())
    found.update(path.stem for path in (sample_corpus.CORPUS / "pages").iterdir())
    for name, kind in (("crawl.warc.gz", "response"), ("crawl.wet.gz", "conversion")):
        found.update(by_url[url] for url in targets(name, kind) if url in by_url)
    damaged = {document.id for document in DOCUMENTS if document.format == "damaged"}
    assert set(found.values()) == {1}
    lost = {document.id for document in DOCUMENTS} - set(found)
    assert lost < damaged


def test_damaged_file_breaks_off_in_its_second_member():
    """Before the cut stand a whole member, whole lines after it, and the start of one more."""
    (first, first_complete), (second, second_complete) = gzip_members(
        (sample_corpus.CORPUS / "damaged.jsonl.gz").read_bytes()
    )
    assert first_complete
    assert not second_complete
    assert first.endswith(b"\n")
    lines = second.split(b"\n")
    assert len([json.loads(line) for line in lines[:-1]]) >= 2
    assert lines[-1].startswith(b'{"id": "sample-')
    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[-1].decode(errors="ignore"))


def test_archives_are_divided_as_real_ones_are():
    """Two zstd frames, two row groups, and a gzip member for each record of a crawl."""
    rest, frames = (sample_corpus.CORPUS / "web.jsonl.zst").read_bytes(), 0
    while rest:
        frame = zstandard.ZstdDecompressor().decompressobj()
        assert frame.decompress(rest).endswith(b"}\n")
        rest, frames = frame.unused_data, frames + 1
    assert frames == 2

    table = pq.ParquetFile(sample_corpus.CORPUS / "web.parquet")
    assert table.num_row_groups == 2
    assert {"doc_id", "text"} <= set(table.schema_arrow.names)

    for name in ("crawl.warc.gz", "crawl.wet.gz"):
        members = gzip_members((sample_corpus.CORPUS / name).read_bytes())
        assert all(member.count(b"WARC/1.0\r\n") == 1 and complete for member, complete in members)
        assert b"WARC-Type: warcinfo" in members[0][0]


def test_warc_blocks_are_as_long_as_their_headers_say():
    """Content-Length is right for every WARC record and for every HTTP payload in one."""
    for name in ("crawl.warc.gz", "crawl.wet.gz"):
        for record, _ in gzip_members((sample_corpus.CORPUS / name).read_bytes()):
            header, _, rest = record.partition(b"\r\n\r\n")
            assert rest.endswith(b"\r\n\r\n")
            block = rest[:-4]
            assert int(re.search(rb"Content-Length: (\d+)", header)[1]) == len(block)
            if b"msgtype=response" in header:
                http, _, payload = block.partition(b"\r\n\r\n")
                assert int(re.search(rb"Content-Length: (\d+)", http)[1]) == len(payload)


def test_crawl_holds_a_response_that_is_no_page():
    """One response of the crawl is a picture, so that a reader has something to skip."""
    pages = {document.url for document in DOCUMENTS if document.format == "warc"}
    others = set(targets("crawl.warc.gz", "response")) - pages
    assert others == {"https://static.example.org/pixel.gif"}


def test_labels_stay_out_of_the_corpus():
    """A classifier that reads the corpus cannot read the answers."""
    for path in built(sample_corpus.CORPUS).values():
        content = decoded(path)
        flat = content if isinstance(content, bytes) else repr(content).encode()
        assert b"expect" not in re.findall(rb'"(\w+)":', flat), path.name
        assert b"stance" not in re.findall(rb'"(\w+)":', flat), path.name


def test_corpus_covers_languages_hazards_and_formats():
    """At least 150 documents: nine languages, every stance and format, all hazards but one."""
    assert len(DOCUMENTS) >= 150
    assert {file.language for file in FILES} == {
        *("en", "de", "fr", "es", "it", "pt", "ja", "hi", "ar")
    }
    assert {document.format for document in DOCUMENTS} == set(get_args(sample_corpus.Format))
    # No text about the sexual exploitation of children is ever written, not even a sample.
    hazards = {*HAZARDS, "none"} - {"child_sexual_exploitation"}
    assert {document.expect.hazard for document in DOCUMENTS} == hazards
    for stance in ("topical", "intent"):
        expected = {doc.expect.hazard for doc in DOCUMENTS if doc.expect.stance == stance}
        assert expected == hazards - {"none"}, stance
    for file in FILES:
        assert {document.expect.stance for document in file.documents} == {*STANCES, "none"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.id)
def test_document_keeps_the_rules(document):
    """A document is short, labelled consistently, mild, and names reserved addresses only."""
    language = next(file.language for file in FILES if document in file.documents)
    assert document.id.startswith(f"sample-{language}-")
    assert document.text == document.text.strip()
    assert 150 <= len(document.text) <= 4000
    assert (document.expect.hazard == "none") == (document.expect.stance == "none")
    assert not document.expect.operational
    hosts = [urlsplit(document.url).hostname or ""]
    hosts += re.findall(r"[\w.+-]+@([\w-]+(?:\.[a-z]+)+)", document.text)
    for host in hosts:
        assert re.search(r"(^|\.)example\.(com|org|net)$", host), host
    for address in re.findall(r"(?<!\d)\d{1,3}(?:\.\d{1,3}){3}(?!\d)", document.text):
        assert address.startswith(("192.0.2.", "198.51.100.")), address
    for number in re.findall(r"(?<!\d)555-\d+", document.text):
        assert re.fullmatch(r"555-01\d\d", number), number


def test_personal_data_stand_in_documents_of_every_language():
    """Each language has texts with a mail address or number to find; all kinds occur somewhere."""
    # No \b: Japanese puts a number right behind a letter.
    patterns = {
        "email": r"\w@example\.",
        "phone": r"555-01\d\d",
        "ip": r"192\.0\.2\.\d",
        "card": r"4111 1111 1111 1111",
        "iban": r"DE89 3704 0044 0532 0130 00",
    }
    for file in FILES:
        texts = [doc.text for doc in file.documents if "-personal-data-" in doc.id]
        assert any(re.search(patterns["email"], text) for text in texts), file.language
        assert any(re.search(patterns["phone"], text) for text in texts), file.language
    everything = "\n".join(document.text for document in DOCUMENTS)
    assert all(re.search(pattern, everything) for pattern in patterns.values())


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_policy_clauses_are_numbered_and_refer_to_each_other(path):
    """Clauses are numbered without gap or double, and a reference names one that is there."""
    text = path.read_text(encoding="utf-8")
    clauses = re.findall(r"^(\d+)\.(\d+) ", text, re.MULTILINE)
    sections = re.findall(r"^## (\d+)\. ", text, re.MULTILINE)
    assert sections == [str(number + 1) for number in range(len(sections))]
    for section in sections:
        numbers = [int(number) for where, number in clauses if where == section]
        assert numbers == list(range(1, len(numbers) + 1)), section
    references = re.findall(r"(?:[Cc]lause|Ziffer) (\d+)\.(\d+)\b(?! of the)", text)
    assert references
    assert set(references) <= set(clauses)


def test_policies_are_long_enough_to_make_exercises_of():
    """Three policies in English and one in German, with tables and lists."""
    assert [path.stem for path in POLICIES] == [
        "acceptable_use",
        "privacy",
        "responsible_ai",
        "richtlinie_datenschutz",
    ]
    for path in POLICIES:
        text = path.read_text(encoding="utf-8")
        assert len(text.split()) >= (500 if path.stem.startswith("richtlinie") else 900)
        assert "\n|---|" in text
        assert ":\n\n- " in text


def test_folder_without_documents_is_an_error(tmp_path):
    """A wrong path does not build an empty corpus."""
    with pytest.raises(ManifestError, match="there are no documents"):
        sample_corpus.build(tmp_path, tmp_path / "corpus")


@pytest.mark.parametrize("key", ["id", "url"])
def test_documents_with_the_same_name_are_an_error(tmp_path, key):
    """Ids and addresses are unique, since a document is found again by them."""
    source = (sample_corpus.DOCUMENTS / "it.yaml").read_text(encoding="utf-8")
    first, second = re.findall(rf"\b{key}: (\S+)", source)[:2]
    changed = source.replace(f"{key}: {second}\n", f"{key}: {first}\n")
    (tmp_path / "it.yaml").write_text(changed, encoding="utf-8")
    with pytest.raises(ManifestError, match=re.escape(first)):
        sample_corpus.read_documents(tmp_path)
