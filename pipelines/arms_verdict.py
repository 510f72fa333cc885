"""The pass over policy documents that deals their clauses to arms, before any unit is curated.

It reads the documents of all corpora with the role `policy` or `guidance` and leaves a verdict: per
unit the documents of the unseen arm, whose digest enters the keys of the unit, and per clause its
arm and what it is called in parallel documents. The same documents are dealt once: the verdict is
stored under a key of all that it depends on. Memory holds signatures and the words of clauses.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.exercises import EXERCISE_ROLES
from raicurate.corpora_manifests.vocabulary import DATA_ACTIONS
from raicurate.pipelines import storage
from raicurate.pipelines.deny_list import DenyList
from raicurate.pipelines.keys import RunConfig
from raicurate.pipelines.unit_input import read_unit
from raicurate.pipelines.units import Unit
from raicurate.transforms.annotate import annotate
from raicurate.transforms.arms import Arms, ArmShares, DocumentSignature, deal_arms, sign
from raicurate.transforms.clause import Clause
from raicurate.transforms.clause_packs import ClausePacks, shipped_packs
from raicurate.transforms.clauses import VERSION as CLAUSES_VERSION
from raicurate.transforms.clauses import extract_clauses
from raicurate.transforms.near_duplicates import near_duplicates
from raicurate.transforms.policy_document import PolicyDocument
from raicurate.transforms.policy_rows import declared_family, path_of, policy_of_row
from raicurate.transforms.registry import Annotator

VERSION = "3"
"""Raised when the same documents would be dealt otherwise, or other clauses found in them."""

UNSEEN_RULE = "unseen_arm"
"""Stands as the rule of a document that is dropped because its clauses are held out."""

_LETTER = re.compile(r"[^\W\d_]")
_PARALLEL = pa.struct([pa.field("language", pa.string()), pa.field("text", pa.string())])

CLAUSES = pa.schema(
    [
        pa.field("clause", pa.string(), nullable=False),
        pa.field("document", pa.string(), nullable=False),
        pa.field("family", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("arm", pa.string(), nullable=False),
        pa.field("modality", pa.string(), nullable=False),
        pa.field("section", pa.list_(pa.string()), nullable=False),
        pa.field("start", pa.int32(), nullable=False),
        pa.field("end", pa.int32(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("text_sha256", pa.string(), nullable=False),
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("license", pa.string(), nullable=False),
        pa.field("repeats", pa.bool_(), nullable=False),
        pa.field("unit", pa.string(), nullable=False),
        pa.field("parallel", pa.list_(_PARALLEL), nullable=False),
    ]
)
"""Every clause by arm. `text` is null for taught clauses, which stand in the data. `repeats` is set
where an earlier document of the same language says nearly the same: it is not taught twice."""


@dataclass(frozen=True)
class ArmsVerdict:
    """What was dealt.

    Attributes:
        key: Key of all that it depends on.
        unseen: Ids of the documents of the unseen arm by unit, for units that have any.
        counts: Documents, families and clauses by arm.
        clauses: Rows of `CLAUSES`; None where the verdict was loaded for its keys only.
    """

    key: str = ""
    unseen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    clauses: pa.Table | None = None

    def digest(self, unit: str) -> str:
        """Returns what enters the keys of a unit: nothing, unless documents of it are unseen."""
        found = self.unseen.get(unit)
        return digest(VERSION, sorted(found)) if found else ""

    def held_out(
        self, unit: str, documents: pa.RecordBatch, decisions: pa.RecordBatch
    ) -> pa.RecordBatch:
        """Returns the decisions, with documents of the unseen arm dropped instead of published.

        Args:
            unit: Id of the unit.
            documents: Anything with the column `id`, aligned to the decisions.
            decisions: Rows of `decide.DECISIONS`.
        """
        found = self.unseen.get(unit)
        if not found:
            return decisions
        hit = pc.and_(
            pc.is_in(documents.column("id"), value_set=pa.array(found, pa.string())),
            pc.is_in(decisions.column("action"), value_set=pa.array(DATA_ACTIONS)),
        )
        changes = {
            "action": "drop",
            "rule": UNSEEN_RULE,
            "context_kind": "none",
            "withhold": "nothing",
        }
        for name, value in changes.items():
            index = decisions.schema.get_field_index(name)
            column = pc.if_else(hit, value, decisions.column(index))
            decisions = decisions.set_column(index, decisions.schema.field(index), column)
        return decisions

    def save(self, out: str) -> None:
        """Writes the verdict, for workers and for later runs; the clauses first."""
        if not self.key:
            storage.delete(_verdict_path(out))
            storage.delete(_clauses_path(out))
            return
        if _stored_key(out) == self.key:
            return
        assert self.clauses is not None, "a verdict without its clauses cannot be stored"
        sink = pa.BufferOutputStream()
        pq.write_table(self.clauses, sink, compression="zstd")
        storage.write_bytes(_clauses_path(out), sink.getvalue().to_pybytes())
        content = {"key": self.key, "unseen": self.unseen, "counts": self.counts}
        storage.write_bytes(_verdict_path(out), orjson.dumps(content, option=orjson.OPT_SORT_KEYS))

    @classmethod
    def load(cls, config: RunConfig) -> "ArmsVerdict":
        """Returns the stored verdict without its clauses; an empty one if none is wanted."""
        if not wanted_corpora(config) or not storage.exists(_verdict_path(config.out)):
            return cls()
        values = orjson.loads(storage.read_bytes(_verdict_path(config.out)))
        return cls(values["key"], values["unseen"], values["counts"])

    @classmethod
    def dealt(
        cls, config: RunConfig, units: Sequence[Unit], annotators: Sequence[Annotator]
    ) -> "ArmsVerdict":
        """Returns the verdict for the units of a run: the stored one, or one dealt now."""
        corpora = wanted_corpora(config)
        units = [unit for unit in units if unit.corpus in corpora]
        if not units:
            return cls()
        packs = shipped_packs()
        language = [annotator for annotator in annotators if annotator.name == "language"]
        key = _key(config, units, packs, language)
        if _stored_key(config.out) == key:
            return cls.load(config)
        return _deal(config, units, packs, language, key)


def wanted_corpora(config: RunConfig) -> set[str]:
    """Returns the names of the corpora of which exercises are made."""
    manifest = config.manifest
    if not manifest.exercises.enabled:
        return set()
    return {corpus.name for corpus in manifest.corpora if corpus.role in EXERCISE_ROLES}


def clauses_of_unit(out: str, unit: str) -> pa.Table:
    """Returns the rows of `CLAUSES` of a unit."""
    with storage.open_read(_clauses_path(out)) as opened:
        return pq.read_table(opened, filters=[("unit", "=", unit)], schema=CLAUSES)


def clause_ids(out: str) -> set[str]:
    """Returns the ids of all clauses that were dealt; none where there was nothing to deal."""
    if not storage.exists(_clauses_path(out)):
        return set()
    with storage.open_read(_clauses_path(out)) as opened:
        return set(pq.read_table(opened, columns=["clause"]).column("clause").to_pylist())


def write_heldout(config: RunConfig) -> None:
    """Writes `heldout/clauses.parquet`, or removes it where no clause was dealt."""
    path = storage.join(config.out, "heldout", "clauses.parquet")
    if not ArmsVerdict.load(config).key:
        storage.delete(path)
        return
    with storage.open_read(_clauses_path(config.out)) as opened:
        table = pq.read_table(opened, schema=CLAUSES).drop_columns(["unit", "parallel"])
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    storage.write_bytes(path, sink.getvalue().to_pybytes())


def _verdict_path(out: str) -> str:
    return storage.join(out, "_rai", "arms", "verdict.json")


def _clauses_path(out: str) -> str:
    return storage.join(out, "_rai", "arms", "clauses.parquet")


def _stored_key(out: str) -> str | None:
    path = _verdict_path(out)
    if not storage.exists(path):
        return None
    try:
        key: str = orjson.loads(storage.read_bytes(path))["key"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return key


def _shares(config: RunConfig) -> ArmShares:
    wanted = config.manifest.exercises
    return ArmShares(wanted.read_only, wanted.unseen, wanted.seed)


def _key(
    config: RunConfig, units: Sequence[Unit], packs: ClausePacks, language: Sequence[Annotator]
) -> str:
    output, shares = config.manifest.output, _shares(config)
    corpora = [
        config.corpus(name).model_dump(mode="json", include={"name", "keys", "lang", "license"})
        for name in sorted({unit.corpus for unit in units})
    ]
    return digest(
        VERSION, CLAUSES_VERSION, packs.digest,
        [list(annotator.identity()) for annotator in language],
        sorted([unit.id, unit.content] for unit in units), corpora,
        [output.max_document_bytes, output.max_expansion, config.limit, config.sample],
        sorted(DenyList(config.manifest.withdrawn).entries),
        [shares.read_only, shares.unseen, shares.seed],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Found:
    """A clause as the pass keeps it."""

    unit: str
    corpus: str
    license: str
    clause: Clause
    words: str
    edges: tuple[bool, bool]


def _deal(
    config: RunConfig,
    units: Sequence[Unit],
    packs: ClausePacks,
    language: Sequence[Annotator],
    key: str,
) -> ArmsVerdict:
    signatures: list[DocumentSignature] = []
    found: list[_Found] = []
    unit_of: dict[str, list[str]] = {}
    for unit, document, file, metadata in _documents(config, units, language):
        clauses = extract_clauses(document, packs)
        pack = packs.get(document.language)
        signatures.append(
            sign(
                document,
                clauses,
                path_of(file, metadata),
                declared_family(metadata),
                pack is None or pack.spaces,
            )
        )
        unit_of.setdefault(document.id, []).append(unit.id)
        corpus = config.corpus(unit.corpus)
        found += [
            _Found(
                unit.id,
                corpus.name,
                corpus.license,
                clause,
                _words(document, clause),
                _edges(document, clause),
            )
            for clause in clauses
        ]
    arms = deal_arms(signatures, _shares(config))
    unseen: dict[str, list[str]] = {}
    for document_id in sorted(arms.unseen):
        for unit_id in sorted(set(unit_of[document_id])):
            unseen.setdefault(unit_id, []).append(document_id)
    return ArmsVerdict(key, unseen, arms.counts, _table(found, arms, signatures))


def _documents(
    config: RunConfig, units: Sequence[Unit], language: Sequence[Annotator]
) -> Iterator[tuple[Unit, PolicyDocument, str, str]]:
    """Yields the documents that are not withdrawn, with their file and metadata."""
    deny = DenyList(config.manifest.withdrawn)
    for annotator in language:
        annotator.setup()
    for unit in units:
        for batch in read_unit(unit, config):
            documents, _ = deny.split(batch.documents)
            if not documents.num_rows:
                continue
            langs = annotate(documents, language).column("lang").to_pylist()
            names = ("id", "text", "src_file", "metadata")
            columns = [documents.column(name).to_pylist() for name in names]
            for lang, identity, text, file, metadata in zip(langs, *columns, strict=True):
                yield unit, policy_of_row(identity, text, lang, file, metadata), file, metadata


def _edges(document: PolicyDocument, clause: Clause) -> tuple[bool, bool]:
    """Returns whether a clause begins its block, and whether it ends it."""
    spans = [block.span for block in document.blocks]
    block = spans[max(bisect_right(spans, clause.span.start, key=lambda span: span.start) - 1, 0)]
    before = document.text[block.start : clause.span.start]
    after = document.text[clause.span.end : block.end]
    return _LETTER.search(before) is None, _LETTER.search(after) is None


def _words(document: PolicyDocument, clause: Clause) -> str:
    words = document.words(clause.span)
    return words if clause.lead is None else f"{document.words(clause.lead)} {words}"


def _table(
    found: Sequence[_Found], arms: Arms, signatures: Sequence[DocumentSignature]
) -> pa.Table:
    parallel = _parallel(found, arms, signatures)
    repeats = _repeats(found, signatures)
    rows = []
    for one in found:
        clause = one.clause
        arm = arms.arm(clause.document, clause.id)
        rows.append(
            {
                "clause": clause.id,
                "document": clause.document,
                "family": arms.family[clause.document],
                "language": clause.language,
                "arm": arm,
                "modality": clause.modality,
                "section": list(clause.section),
                "start": clause.span.start,
                "end": clause.span.end,
                "text": None if arm == "taught" else one.words,
                "text_sha256": clause.text_sha256,
                "corpus": one.corpus,
                "license": one.license,
                "repeats": (clause.document, clause.id) in repeats,
                "unit": one.unit,
                "parallel": parallel.get((clause.document, clause.id), []),
            }
        )
    return pa.Table.from_pylist(rows, schema=CLAUSES)


def _repeats(
    found: Sequence[_Found], signatures: Sequence[DocumentSignature]
) -> set[tuple[str, str]]:
    """Returns the clauses that nearly repeat an earlier one in their language."""
    language = {one.clause.document: one.clause.language for one in found}
    flat = [
        (signature.shape.document, clause)
        for signature in signatures
        for clause in signature.clauses
    ]
    pairs = near_duplicates([clause.shingles for _, clause in flat])
    return {
        (flat[max(pair)][0], flat[max(pair)][1].id)
        for pair in pairs
        if language[flat[pair[0]][0]] == language[flat[pair[1]][0]]
    }


def _parallel(
    found: Sequence[_Found], arms: Arms, signatures: Sequence[DocumentSignature]
) -> dict[tuple[str, str], list[dict[str, str]]]:
    """Returns what taught clauses are called in other languages.

    Two clauses say the same where their documents are of one family, in two languages, built of
    the same blocks, each is the only clause of its block, of the same modality, and all of them
    begin their block, or end it, or are the whole of it. They are of
    one unit, so that a withdrawn document leaves nothing in the exercises of another unit.
    """
    words = {(one.clause.document, one.clause.id): one for one in found}
    places: dict[tuple[str, str, tuple[str, ...], int, int], list[tuple[str, str]]] = {}
    for signature in signatures:
        shape = signature.shape
        if not signature.clauses:
            continue
        family = arms.family[shape.document]
        for clause in signature.clauses:
            unit = words[shape.document, clause.id].unit
            place = (unit, family, shape.blocks, clause.heading, clause.block)
            places.setdefault(place, []).append((shape.document, clause.id))
    parallel: dict[tuple[str, str], list[dict[str, str]]] = {}
    for members in places.values():
        if len({document for document, _ in members}) < len(members) or len(members) < 2:
            continue
        clauses = [words[member] for member in members]
        if len({one.clause.modality for one in clauses}) > 1:
            continue
        # Another sentence of the same block says something else.
        edges = {(one.edges, one.clause.lead is None) for one in clauses}
        if len(edges) > 1 or not any(clauses[0].edges):
            continue
        by_language = {one.clause.language: one for one in clauses}
        if len(by_language) < len(clauses):
            continue
        for one in clauses:
            if arms.arm(one.clause.document, one.clause.id) != "taught":
                break
        else:
            for one in clauses:
                parallel[one.clause.document, one.clause.id] = [
                    {"language": language, "text": other.words}
                    for language, other in sorted(by_language.items())
                    if other is not one
                ]
    return parallel
