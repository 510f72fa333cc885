"""The small models of an ablation: trained on a mix, asked once, their answers kept.

Trained transformers and all answers stay in the output folder under the digest of what they depend
on, so that a run that was stopped goes on where it stood.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raicurate.corpora_manifests.ablation import AblationManifest, ModelKind
from raicurate.corpora_manifests.digests import digest
from raicurate.probes import ngram
from raicurate.probes.backend import Backend
from raicurate.probes.items import ProbeDocument
from raicurate.probes.ngram import NGramModel
from raicurate.probes.perplexity import KeyTerms, document_samples
from raicurate.probes.records import RECORDS_VERSION, Ask, samples
from raicurate.probes.tiny_transformer import Training, train, training_key


@dataclass(frozen=True, slots=True)
class Questions:
    """What every model is asked.

    Attributes:
        items: Crossed items, refusals and clauses.
        documents: Documents of the unseen arm and neutral rulebooks that no mix holds.
        key_terms: Terms by language and dimension.
    """

    items: Sequence[Ask]
    documents: Sequence[ProbeDocument]
    key_terms: KeyTerms

    @property
    def digest(self) -> str:
        """Digest of all that is asked."""
        return digest(
            RECORDS_VERSION,
            [repr(ask) for ask in self.items],
            [document.model_dump(mode="json") for document in self.documents],
            {name: dict(terms) for name, terms in self.key_terms.items()},
        )


@dataclass(frozen=True, slots=True)
class Answers:
    """What one model answered: records of items and of documents."""

    items: pa.Table
    documents: pa.Table


def answers_of(
    manifest: AblationManifest,
    kind: ModelKind,
    texts: Sequence[str],
    base: Sequence[str],
    seed: int,
    wanted: Questions,
    out: Path,
) -> Answers:
    """Returns what a model of a mix answers: kept answers, or those of a model that is trained now.

    Args:
        manifest: How models are trained.
        kind: Which kind of model.
        texts: What it reads.
        base: What the tokenizer of all transformers is made of.
        seed: Of a transformer.
        wanted: What is asked.
        out: Where models and answers are kept.

    Raises:
        UsageError: The texts are too few to train on.
        MissingExtraError: A transformer is to be trained without the extra `probes`.
    """
    training = Training(tokens=manifest.tokens, seed=seed)
    key = (
        digest("ngram", ngram.VERSION, manifest.order, list(texts))
        if kind == "ngram"
        else training_key(texts, base, training)
    )
    kept = out / "answers" / digest(key, wanted.digest)
    paths = kept.with_suffix(".items.parquet"), kept.with_suffix(".documents.parquet")
    if all(path.is_file() for path in paths):
        return Answers(*(pq.read_table(path) for path in paths))
    backend = _trained(manifest, kind, texts, base, training, out / "models" / key)
    answers = Answers(
        samples(backend, wanted.items),
        document_samples(backend, "ablation", wanted.documents, wanted.key_terms),
    )
    kept.parent.mkdir(parents=True, exist_ok=True)
    for path, table in zip(paths, (answers.items, answers.documents), strict=True):
        unfinished = path.with_name("." + path.name)
        pq.write_table(table, unfinished, compression="zstd")
        unfinished.replace(path)
    return answers


def averaged(seeds: Sequence[Answers]) -> Answers:
    """Returns the answers of several seeds as one, with the mean log-likelihoods."""
    return Answers(
        _averaged([answers.items for answers in seeds], ["sum_nll_nats"]),
        _averaged([answers.documents for answers in seeds], ["sum_nll_nats", "key_term_nll_nats"]),
    )


def _averaged(tables: Sequence[pa.Table], columns: Sequence[str]) -> pa.Table:
    result = tables[0]
    for name in columns:
        values = np.mean([table[name].to_numpy() for table in tables], axis=0)
        place = result.schema.get_field_index(name)
        result = result.set_column(place, result.schema.field(place), pa.array(values))
    return result


def _trained(
    manifest: AblationManifest,
    kind: ModelKind,
    texts: Sequence[str],
    base: Sequence[str],
    training: Training,
    folder: Path,
) -> Backend:
    if kind == "ngram":
        return NGramModel.fit(texts, manifest.order)
    from raicurate.probes.hugging_face import open_model

    # The tokenizer is saved last, so where it stands, all of the model does.
    if not (folder / "tokenizer.json").is_file():
        train(texts, folder, training, tokenizer_texts=base)
    return open_model(str(folder))
