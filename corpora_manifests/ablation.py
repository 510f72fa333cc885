"""What `raicurate ablate` trains and asks: mixes of a run's output, as data."""

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field

from raicurate.corpora_manifests.load import read_yaml, validated
from raicurate.corpora_manifests.model import Model

Mix = Literal[
    "raw",
    "filtered",
    "contextualized",
    "with_exercises",
    "neutral_rulebooks",
    "words_shuffled",
    "context_swapped",
    "generic_warning",
]
"""What a model reads: all documents as they were (the base of every comparison); only those that
were kept as they are; all with their educational context; the same with exercises. Then controls:
`neutral_rulebooks` and `words_shuffled` in place of context and exercises, the context of another
document, and one warning in place of every context."""

MIXES: tuple[Mix, ...] = get_args(Mix)
BASE: Mix = "raw"

ModelKind = Literal["ngram", "transformer"]


class AblationManifest(Model):
    """An ablation.

    Attributes:
        schema_version: Version of this model.
        name: Name in reports.
        run: Output folder of a run; a relative path starts at the manifest's folder.
        suite: Suite that is asked: a name that ships, or a path.
        language: Language of what is read and asked.
        bytes: Bytes of text of each mix; fewer where the smallest mix has fewer.
        exercise_share: Share of the bytes that are exercises, where a mix has exercises.
        clauses: Clauses of each arm that are asked about at most, of whole documents.
        mixes: What is compared with `raw`, which is always there.
        models: What is trained.
        order: Bytes of an n-gram.
        tokens: Tokens that a transformer reads.
        seeds: Seeds of the transformer; scores are averaged over them.
    """

    schema_version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")]
    run: Annotated[str, Field(min_length=1)]
    suite: str = "english"
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] = "en"
    bytes: int = Field(default=10_000_000, ge=10_000)
    exercise_share: float = Field(default=0.2, gt=0, lt=1)
    clauses: int = Field(default=500, ge=20)
    mixes: tuple[Mix, ...] = MIXES
    models: tuple[ModelKind, ...] = ("ngram",)
    order: int = Field(default=8, ge=2, le=8)
    tokens: int = Field(default=2_500_000, ge=10_000)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)


def load_ablation(path: Path) -> AblationManifest:
    """Returns the ablation in a YAML file, with `run` as a full path.

    Raises:
        ManifestError: The file is missing or not valid.
    """
    manifest = validated(AblationManifest, read_yaml(path), str(path))
    return manifest.model_copy(update={"run": str((path.parent / manifest.run).resolve())})
