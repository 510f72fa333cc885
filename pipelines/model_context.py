"""Context from a language model within a unit: asks what is not known, keeps it, counts it."""

import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import orjson
import pyarrow as pa

from raicurate.corpora_manifests.errors import BudgetError, RaicurateError, UsageError
from raicurate.corpora_manifests.language_model import LanguageModel
from raicurate.corpora_manifests.manifest import Manifest
from raicurate.corpora_manifests.policy import Policy
from raicurate.exercise_templates.context import ContextLibrary
from raicurate.exercise_templates.prompts import load_prompt
from raicurate.pipelines import storage
from raicurate.pipelines.answer_cache import AnswerCache, Asker
from raicurate.pipelines.model_server import running_endpoint
from raicurate.transforms.contextualize import contextualize
from raicurate.transforms.llm_answers import judge, replaced
from raicurate.transforms.llm_client import Answer, ChatClient
from raicurate.transforms.llm_context import ContextTask, context_tasks, model_digest
from raicurate.transforms.verify_context import Checks

_MIN_BYTES_PER_TOKEN = 3
"""For an estimate on the safe side; English has about four bytes a token, other scripts about
three."""

_RANGE = re.compile(r"#\d+$")
"""What stands behind the name of a file of which a range was read."""

Contextualizer = Callable[[pa.RecordBatch, Policy, ContextLibrary, Checks], pa.RecordBatch]
"""What puts context beside the documents of a batch; `contextualize` is one."""


def configuration_digest(manifest: Manifest) -> str | None:
    """Returns the digest of model and prompt of a manifest; None where it names no model."""
    settings = manifest.language_model
    return None if settings is None else model_digest(settings, load_prompt(settings.prompt))


class Budget:
    """What the model has cost, over all runs and workers of an output, in tokens.

    Each unit keeps its sum in a file of its own, so workers need no common counter; before each
    batch all files are read. Workers that run at the same time can pass the limit by what they
    have under way at once.
    """

    def __init__(self, out: str, unit: str, limit: int | None) -> None:
        self._folder = storage.join(out, "_rai", "answers_spent")
        self._path = storage.join(self._folder, f"{unit}.json")
        self._limit = limit
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
                    f"`language_model.token_budget` ({self._limit}) does not reach for the next "
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


class ModelContext:
    """The language model of a manifest, for one process. Nothing is sent before it is needed."""

    def __init__(self, settings: LanguageModel, out: str) -> None:
        self.settings = settings
        self.prompt = load_prompt(settings.prompt)
        self.cache = AnswerCache(out, model_digest(settings, self.prompt))
        self._out = out
        self._client: ChatClient | None = None

    @classmethod
    def of(cls, manifest: Manifest, out: str) -> "ModelContext | None":
        """Returns the model that a manifest names, or None."""
        return None if manifest.language_model is None else cls(manifest.language_model, out)

    def for_unit(self, unit: str, corpus: str) -> "UnitContext":
        """Returns what writes the context of one unit."""
        return UnitContext(self, corpus, Budget(self._out, unit, self.settings.token_budget))

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
                    f"the environment variable {variable}, which `language_model` names for the "
                    "credential, is not set where the work is done, so the model was not asked; "
                    "set it on every worker"
                )
            endpoint = running_endpoint(self.settings)
            settings = self.settings.model_copy(update={"endpoint": endpoint})
            self._client = ChatClient(settings, credential)
        return self._client


class UnitContext:
    """Writes the context of one unit's documents: templates first, then the model in their place.

    Called like `contextualize`, with the columns `src_file` and `text_sha256` beside its own.
    """

    def __init__(self, model: ModelContext, corpus: str, budget: Budget) -> None:
        self._model = model
        self._corpus = corpus
        self._budget = budget
        self._verdicts: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()

    def __call__(
        self, batch: pa.RecordBatch, policy: Policy, library: ContextLibrary, checks: Checks
    ) -> pa.RecordBatch:
        """Returns what `contextualize` returns, with the model's words where they are accepted."""
        applied = contextualize(batch, policy, library, checks)
        model = self._model
        tasks = list(context_tasks(batch, applied, policy, model.settings, model.prompt))
        answers = self._answers(batch, tasks)
        verdicts = judge(tasks, answers, policy.context, checks)
        for answer, verdict in zip(answers, verdicts, strict=True):
            self._tokens["prompt"] += answer.prompt_tokens
            self._tokens["answer"] += answer.completion_tokens
            name = "accepted" if verdict.rejection is None else f"template: {verdict.rejection}"
            self._verdicts[name] += 1
        accepted = {
            task.row: verdict
            for task, verdict in zip(tasks, verdicts, strict=True)
            if verdict.rejection is None
        }
        return replaced(applied, accepted)

    def tables(self) -> dict[str, dict[str, int]]:
        """Returns how many answers were accepted or not, and what lies behind them in tokens.

        Answers from the cache count like others: what stands here depends on the output alone.
        """
        named = {"model_context": self._verdicts, "model_tokens": self._tokens}
        return {name: dict(sorted(counts.items())) for name, counts in named.items() if counts}

    def _answers(self, batch: pa.RecordBatch, tasks: Sequence[ContextTask]) -> list[Answer]:
        if not tasks:
            return []
        by_key = {task.key: task for task in tasks}
        with ThreadPoolExecutor(self._model.settings.concurrency) as pool:
            found = dict(zip(by_key, pool.map(self._model.cache.get, by_key), strict=True))
            missing = [by_key[key] for key, answer in found.items() if answer is None]
            if missing:
                found |= self._asked(pool, batch, missing)
        answers = [found[task.key] for task in tasks]
        assert all(answer is not None for answer in answers)
        return [answer for answer in answers if answer is not None]

    def _asked(
        self, pool: ThreadPoolExecutor, batch: pa.RecordBatch, tasks: Sequence[ContextTask]
    ) -> dict[str, Answer]:
        """Asks the server. After a fault nothing more is sent, but what is under way is kept."""
        client = self._model.client()
        self._budget.look_up()
        faults: list[RaicurateError | OSError] = []

        def ask(task: ContextTask) -> Answer | None:
            if faults:
                return None
            try:
                return self._ask(client, task, self._asker(batch, task.row))
            except (RaicurateError, OSError) as error:
                faults.append(error)
                return None

        answers = list(pool.map(ask, tasks))
        self._budget.save()
        if faults:
            raise faults[0]
        return {
            task.key: answer
            for task, answer in zip(tasks, answers, strict=True)
            if answer is not None
        }

    def _ask(self, client: ChatClient, task: ContextTask, asker: Asker) -> Answer:
        reserved = len(task.body) // _MIN_BYTES_PER_TOKEN + self._model.settings.max_tokens
        self._budget.reserve(reserved)
        spent = 0
        try:
            answer = client.ask(task.body)
            spent = answer.prompt_tokens + answer.completion_tokens
        finally:
            self._budget.settle(reserved, spent)
        self._model.cache.put(task.key, answer, asker)
        return answer

    def _asker(self, batch: pa.RecordBatch, row: int) -> Asker:
        file, identity, sha256 = (
            batch.column(name)[row].as_py() for name in ("src_file", "id", "text_sha256")
        )
        return Asker(self._corpus, _RANGE.sub("", file), identity, sha256)
