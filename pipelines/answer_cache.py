"""Answers of language models, by the content of the question, below `OUT/_rai/answers/`.

What was paid for once is never paid for again: an entry is written as soon as its answer is there,
before anything else happens. The entries are also what makes bytes repeatable, since a model may
answer otherwise the next time. An entry holds no text of a document; it names the input file and
the document (by digest) that first asked, so that a withdrawal takes it along.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from raicurate.corpora_manifests.digests import digest
from raicurate.pipelines import storage
from raicurate.pipelines.deny_list import entry_digest
from raicurate.transforms.llm_client import Answer


@dataclass(frozen=True)
class Asker:
    """The document that a question was about.

    Attributes:
        corpus: Its corpus.
        file: Its input file, without the range.
        id: Its id.
        text_sha256: Digest of its text.
    """

    corpus: str
    file: str
    id: str
    text_sha256: str


class AnswerCache:
    """The answers of one output under one configuration of a model."""

    def __init__(self, out: str, configuration: str) -> None:
        """Prepares the cache.

        Args:
            out: The output.
            configuration: Digest of model and prompt, by which `gc` tells what is needed.
        """
        self._folder = _folder(out)
        self._configuration = configuration

    def get(self, key: str) -> Answer | None:
        """Returns an answer, or None where there is none, or what stands there was changed."""
        path = _path(self._folder, key)
        if not storage.exists(path):
            return None
        entry = _read(path)
        return None if entry is None else Answer(**entry["answer"])

    def put(self, key: str, answer: Answer, asker: Asker) -> None:
        """Keeps an answer."""
        entry: dict[str, Any] = {
            "answer": answer._asdict(),
            "configuration": self._configuration,
            "place": place_digest(asker.corpus, asker.file),
            "asker": [
                entry_digest("id", asker.id),
                entry_digest("text", asker.text_sha256),
            ],
        }
        entry["digest"] = digest(entry)
        storage.write_bytes(_path(self._folder, key), orjson.dumps(entry))


def place_digest(corpus: str, file: str) -> str:
    """Returns the digest by which an entry names an input file."""
    return digest(corpus, file)


def _folder(out: str) -> str:
    return storage.join(out, "_rai", "answers")


def _path(folder: str, key: str) -> str:
    return storage.join(folder, key[:2], f"{key}.json")


def _read(path: str) -> dict[str, Any] | None:
    try:
        entry = orjson.loads(storage.read_bytes(path))
        promised = entry.pop("digest")
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return None
    if promised != digest(entry):
        return None
    known: dict[str, Any] = entry
    return known


def _entries(out: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
    for file in storage.list_files(_folder(out), ("*/*.json",)):
        yield file.path, _read(file.path)


def unneeded_answers(out: str, configurations: Collection[str]) -> list[str]:
    """Returns the paths of answers that were given under other configurations, or are damaged."""
    return [
        path
        for path, entry in _entries(out)
        if entry is None or entry["configuration"] not in configurations
    ]


class AnswerWithdrawals:
    """Erases the answers about inputs that a run must not hold any more.

    `_rai/answers/inputs.json` remembers which input files and which entries of the deny list the
    answers were last compared with, so that they are looked through only when something was struck.
    """

    def __init__(self, out: str) -> None:
        self._out = out
        self._path = storage.join(_folder(out), "inputs.json")

    def note_inputs(self, places: Iterable[tuple[str, str]]) -> None:
        """Remembers, before a run asks anything, which input files it may ask about."""
        files, denied = self._known()
        now = files | {place_digest(*place) for place in places}
        if now != files:
            self._write(now, denied)

    def erase(self, places: Iterable[tuple[str, str]], denied: frozenset[str]) -> int:
        """Deletes the answers about files that are not in `places` and about denied documents.

        Args:
            places: Corpus and name of every input file of the current snapshot.
            denied: Digests of the entries of the deny list.

        Returns:
            How many were deleted.
        """
        if not storage.exists(self._path):
            return 0
        files, compared = self._known()
        held = {place_digest(*place) for place in places}
        if files <= held and denied <= compared:
            return 0
        erased = 0
        for path, entry in _entries(self._out):
            if entry is None or entry["place"] not in held or denied & set(entry["asker"]):
                storage.delete(path)
                erased += 1
        self._write(held, denied)
        return erased

    def _known(self) -> tuple[set[str], frozenset[str]]:
        if not storage.exists(self._path):
            return set(), frozenset()
        values = orjson.loads(storage.read_bytes(self._path))
        return set(values["files"]), frozenset(values["denied"])

    def _write(self, files: set[str], denied: frozenset[str]) -> None:
        content = {"files": sorted(files), "denied": sorted(denied)}
        storage.write_bytes(self._path, orjson.dumps(content))
