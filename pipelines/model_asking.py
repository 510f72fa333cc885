"""Asks a language model within a unit what is not known yet, keeps answers, holds the budget."""

import os
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import orjson

from raicurate.corpora_manifests.errors import BudgetError, RaicurateError, UsageError
from raicurate.corpora_manifests.language_model import ServedModel
from raicurate.pipelines import storage
from raicurate.pipelines.answer_cache import AnswerCache, Asker
from raicurate.pipelines.model_server import running_endpoint
from raicurate.transforms.llm_client import Answer, ChatClient

_MIN_BYTES_PER_TOKEN = 3
"""For an estimate on the safe side; English has about four bytes a token, other scripts about
three."""

_RANGE = re.compile(r"#\d+$")
"""What stands behind the name of a file of which a range was read."""


class Question(NamedTuple):
    """What a model is asked about a document.

    Attributes:
        body: The request body.
        key: SHA-256 of the body: the same question, the same key.
        asker: The document.
    """

    body: bytes
    key: str
    asker: Asker


def asker_of(corpus: str, src_file: str, document: str, text_sha256: str) -> Asker:
    """Returns a document as the cache of answers names it, its file without the range."""
    return Asker(corpus, _RANGE.sub("", src_file), document, text_sha256)


class Budget:
    """What a model has cost, over all runs and workers of an output, in tokens.

    Each unit keeps its sum in a file of its own, so workers need no common counter; before each
    batch all files are read. Workers that run at the same time can pass the limit by what they
    have under way at once.
    """

    def __init__(self, folder: str, unit: str, settings: ServedModel) -> None:
        self._folder = folder
        self._path = storage.join(folder, f"{unit}.json")
        self._limit = settings.token_budget
        self._place = settings.place
        self._lock = threading.Lock()
        self._spent = _tokens(self._path) if storage.exists(self._path) else 0
        self._saved = self._spent
        self._elsewhere = 0
        self._under_way = 0

    def look_up(self) -> None:
        """Reads what other units have cost."""
        if self._limit is not None:
            files = storage.list_files(self._folder, ("*.json",))
            self._elsewhere = sum(_tokens(file.path) for file in files if file.path != self._path)

    def reserve(self, tokens: int) -> None:
        """Sets aside what a request may cost at most.

        Raises:
            BudgetError: It may cost more than is left.
        """
        with self._lock:
            total = self._elsewhere + self._spent + self._under_way + tokens
            if self._limit is not None and total > self._limit:
                raise BudgetError(
                    f"`{self._place}.token_budget` ({self._limit}) does not reach for the next "
                    f"request ({self._elsewhere + self._spent} tokens are spent), so the unit was "
                    "not done; what was answered is kept and costs nothing again. Raise the "
                    "budget and run again"
                )
            self._under_way += tokens

    def settle(self, reserved: int, spent: int) -> None:
        """Replaces what was set aside by what the request did cost."""
        with self._lock:
            self._under_way -= reserved
            self._spent += spent

    def save(self) -> None:
        """Writes what this unit has cost so far."""
        if self._spent != self._saved:
            storage.write_bytes(self._path, orjson.dumps({"tokens": self._spent}))
            self._saved = self._spent


def _tokens(path: str) -> int:
    return int(orjson.loads(storage.read_bytes(path))["tokens"])


class AskedModel:
    """A model for one process. Nothing is sent before it is needed."""

    def __init__(
        self, settings: ServedModel, out: str, configuration: str, spent: str = "answers_spent"
    ) -> None:
        """Prepares a model.

        Args:
            settings: Where it is, and how it is asked.
            out: The output.
            configuration: Digest of all that decides what it is asked.
            spent: Folder below `_rai` where it stands what it cost.
        """
        self.settings = settings
        self.cache = AnswerCache(out, configuration)
        self._spent = storage.join(out, "_rai", spent)
        self._client: ChatClient | None = None

    def for_unit(self, unit: str) -> "UnitAsking":
        """Returns what asks about the documents of one unit."""
        return UnitAsking(self, Budget(self._spent, unit, self.settings))

    def client(self) -> ChatClient:
        """Returns the connection, made at the first question.

        Raises:
            UsageError: The environment variable of the credential is not set.
            MissingExtraError: A server is to be started, and a package for it is missing.
            ServerError: The server does not start.
        """
        if self._client is None:
            variable = self.settings.credential_variable
            credential = None if variable is None else os.environ.get(variable, "").strip()
            if variable is not None and not credential:
                raise UsageError(
                    f"the environment variable {variable}, which `{self.settings.place}` names "
                    "for the credential, is not set where the work is done, so the model was not "
                    "asked; set it on every worker"
                )
            endpoint = running_endpoint(self.settings)
            settings = self.settings.model_copy(update={"endpoint": endpoint})
            self._client = ChatClient(settings, credential)
        return self._client


class UnitAsking:
    """Asks a model about the documents of one unit."""

    def __init__(self, model: AskedModel, budget: Budget) -> None:
        self._model = model
        self._budget = budget

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        """Returns the answers, in order; what was answered before is not asked again.

        Raises:
            RaicurateError: The server fails, or the budget is spent. What is under way is kept.
        """
        if not questions:
            return []
        by_key = {question.key: question for question in questions}
        with ThreadPoolExecutor(self._model.settings.concurrency) as pool:
            found = dict(zip(by_key, pool.map(self._model.cache.get, by_key), strict=True))
            missing = [by_key[key] for key, answer in found.items() if answer is None]
            if missing:
                found |= self._asked(pool, missing)
        answers = [found[question.key] for question in questions]
        assert all(answer is not None for answer in answers)
        return [answer for answer in answers if answer is not None]

    def _asked(self, pool: ThreadPoolExecutor, questions: Sequence[Question]) -> dict[str, Answer]:
        """Asks the server. After a fault nothing more is sent, but what is under way is kept."""
        client = self._model.client()
        self._budget.look_up()
        faults: list[RaicurateError | OSError] = []

        def ask(question: Question) -> Answer | None:
            if faults:
                return None
            try:
                return self._ask(client, question)
            except (RaicurateError, OSError) as error:
                faults.append(error)
                return None

        answers = list(pool.map(ask, questions))
        self._budget.save()
        if faults:
            raise faults[0]
        return {
            question.key: answer
            for question, answer in zip(questions, answers, strict=True)
            if answer is not None
        }

    def _ask(self, client: ChatClient, question: Question) -> Answer:
        reserved = len(question.body) // _MIN_BYTES_PER_TOKEN + self._model.settings.max_tokens
        self._budget.reserve(reserved)
        spent = 0
        try:
            answer = client.ask(question.body)
            spent = answer.prompt_tokens + answer.completion_tokens
        finally:
            self._budget.settle(reserved, spent)
        self._model.cache.put(question.key, answer, question.asker)
        return answer
