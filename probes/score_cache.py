"""Scores that are kept, so that a second run of a probe asks a model nothing that it answered.

One SQLite file, next to a probe's results or shared by many. An answer is kept under the digest of
the weights (with window, precision and tokenizer) and of the question: neither the name of a model
nor that of an item matters. Answers are kept as they come, so a run that was killed goes on.
Questions are kept as digests; completions as text, since they are what was measured.
"""

import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import UsageError
from raicurate.probes.backend import (
    Backend,
    Capabilities,
    Generator,
    Request,
    Score,
    TokenNll,
    check_requests,
)
from raicurate.probes.records import request_sha256

SCHEMA_VERSION = 1
"""Another version is another file: a cache is never migrated, it is filled again."""

_TOGETHER = 1024
"""Questions after which answers are kept: enough to batch well, few enough to lose little."""

_DOCUMENT_CHARACTERS = 1_000_000
"""Characters of documents after which answers are kept, likewise."""

_TABLES = """
CREATE TABLE IF NOT EXISTS scores (
    model TEXT, question TEXT, sum_nll_nats REAL, n_tokens INTEGER, n_utf8_bytes INTEGER,
    is_greedy INTEGER, PRIMARY KEY (model, question)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
    model TEXT, question TEXT, nll BLOB, starts BLOB,
    PRIMARY KEY (model, question)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS completions (
    model TEXT, question TEXT, text TEXT, PRIMARY KEY (model, question)) WITHOUT ROWID;
"""


class ScoreCache:
    """A file of answers. Several processes may use it at once."""

    def __init__(self, path: Path) -> None:
        """Opens or creates the file.

        Raises:
            UsageError: It is no cache of this version.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        try:
            with closing(self._open()) as database:
                version = database.execute("PRAGMA user_version").fetchone()[0]
                if version not in (0, SCHEMA_VERSION):
                    raise UsageError(
                        f"{path} is a score cache of version {version}, not {SCHEMA_VERSION}, so "
                        "its answers cannot be used; delete it"
                    )
                database.executescript(_TABLES)
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                database.commit()
        except sqlite3.DatabaseError as error:
            raise UsageError(f"{path} is no score cache ({error}); delete it") from error

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=60.0)
        database.execute("PRAGMA journal_mode = WAL")
        return database

    def get(
        self, table: str, columns: str, model: str, questions: Sequence[str]
    ) -> dict[str, tuple[object, ...]]:
        """Returns the rows that are kept of these questions, by question."""
        wanted = set(questions)
        with closing(self._open()) as database:
            if len(wanted) > 20_000:
                # One pass over the model's rows is faster than so many look-ups.
                rows: Iterator[tuple[object, ...]] = database.execute(
                    f"SELECT question, {columns} FROM {table} WHERE model = ?", (model,)
                )
                return {str(row[0]): row[1:] for row in rows if row[0] in wanted}
            ordered = sorted(wanted)
            found = {}
            for start in range(0, len(ordered), 500):
                part = ordered[start : start + 500]
                marks = ",".join("?" * len(part))
                for row in database.execute(
                    f"SELECT question, {columns} FROM {table} "
                    f"WHERE model = ? AND question IN ({marks})",
                    (model, *part),
                ):
                    found[str(row[0])] = row[1:]
            return found

    def put(self, table: str, model: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Keeps rows, each a question and its answer."""
        if not rows:
            return
        marks = ",".join("?" * (len(rows[0]) + 1))
        with closing(self._open()) as database, database:
            database.executemany(
                f"INSERT OR REPLACE INTO {table} VALUES ({marks})",
                [(model, *row) for row in rows],
            )


class CachedBackend:
    """A backend that asks the model behind it only what is not kept; itself a backend.

    Attributes:
        asked: How many questions the model was asked.
    """

    def __init__(
        self,
        backend: Backend,
        cache: ScoreCache,
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        """Wraps a backend.

        Args:
            backend: The model.
            cache: Where answers are kept.
            on_progress: Called with the number of questions that were answered, again and again.
        """
        self._backend, self._cache = backend, cache
        self._report = on_progress or (lambda count: None)  # noqa: ARG005
        self.asked = 0

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._backend.name

    @property
    def digest(self) -> str:
        """Digest of the weights and of all else that answers depend on."""
        return self._backend.digest

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        return self._backend.capabilities

    def score(self, requests: Sequence[Request]) -> list[Score]:
        """Returns one score for each request, in their order."""
        check_requests(requests, self.name)
        questions = [request_sha256(request) for request in requests]
        kept = self._cache.get(
            "scores", "sum_nll_nats, n_tokens, n_utf8_bytes, is_greedy", self.digest, questions
        )
        found = {key: _score(row) for key, row in kept.items()}
        missing = {
            key: request
            for key, request in zip(questions, requests, strict=True)
            if key not in found
        }
        self._report(len(requests) - len(missing))
        for part in _parts(list(missing), lambda _: 1, _TOGETHER):
            scores = self._backend.score([missing[key] for key in part])
            self.asked += len(part)
            answers = dict(zip(part, scores, strict=True))
            self._cache.put(
                "scores",
                self.digest,
                [
                    (key, one.sum_nll_nats, one.n_tokens, one.n_utf8_bytes, int(one.is_greedy))
                    for key, one in answers.items()
                ],
            )
            found |= answers
            self._report(len(part))
        return [found[key] for key in questions]

    def token_nll(self, texts: Sequence[str]) -> list[TokenNll]:
        """Returns the log-likelihoods of the tokens of each document, in their order."""
        questions = [digest(text) for text in texts]
        kept = self._cache.get("documents", "nll, starts", self.digest, questions)
        found = {key: _token_nll(row) for key, row in kept.items()}
        missing = {
            key: text for key, text in zip(questions, texts, strict=True) if key not in found
        }
        self._report(len(texts) - len(missing))
        for part in _parts(list(missing), lambda key: len(missing[key]), _DOCUMENT_CHARACTERS):
            answers = dict(
                zip(part, self._backend.token_nll([missing[key] for key in part]), strict=True)
            )
            self.asked += len(part)
            self._cache.put(
                "documents",
                self.digest,
                [
                    (key, _packed(one.nll_nats), _packed(np.diff(one.starts, prepend=0)))
                    for key, one in answers.items()
                ],
            )
            found |= answers
            self._report(len(part))
        return [found[key] for key in questions]

    def generate(
        self, prompts: Sequence[str], *, max_tokens: int, stop: Sequence[str] = ()
    ) -> list[str]:
        """Returns the greedy completion of each prompt, cut before the first of `stop`.

        Raises:
            UsageError: The model cannot write.
        """
        if not isinstance(self._backend, Generator) or not self.capabilities.generates:
            raise UsageError(f"{self.name} cannot write text; leave out generation probes")
        questions = [digest(prompt, max_tokens, list(stop)) for prompt in prompts]
        kept = self._cache.get("completions", "text", self.digest, questions)
        found = {key: str(row[0]) for key, row in kept.items()}
        missing = {
            key: prompt for key, prompt in zip(questions, prompts, strict=True) if key not in found
        }
        self._report(len(prompts) - len(missing))
        for part in _parts(list(missing), lambda _: 1, _TOGETHER):
            written = self._backend.generate(
                [missing[key] for key in part], max_tokens=max_tokens, stop=stop
            )
            self.asked += len(part)
            self._cache.put("completions", self.digest, list(zip(part, written, strict=True)))
            found |= dict(zip(part, written, strict=True))
            self._report(len(part))
        return [found[key] for key in questions]


def _parts(keys: Sequence[str], size: Callable[[str], int], most: int) -> Iterator[list[str]]:
    part: list[str] = []
    total = 0
    for key in keys:
        part.append(key)
        total += size(key)
        if total >= most:
            yield part
            part, total = [], 0
    if part:
        yield part


def _score(row: tuple[object, ...]) -> Score:
    nll, tokens, size, greedy = row
    assert isinstance(nll, float)
    assert isinstance(tokens, int)
    assert isinstance(size, int)
    return Score(nll, tokens, size, bool(greedy))


def _token_nll(row: tuple[object, ...]) -> TokenNll:
    nll, steps = row
    assert isinstance(nll, bytes)
    assert isinstance(steps, bytes)
    return TokenNll(
        np.frombuffer(zlib.decompress(nll), "<f8").astype(np.float64),
        np.cumsum(np.frombuffer(zlib.decompress(steps), "<i8"), dtype=np.int64),
    )


def _packed(values: np.ndarray) -> bytes:
    content = values.astype("<f8" if values.dtype.kind == "f" else "<i8").tobytes()
    return zlib.compress(content, 1)
