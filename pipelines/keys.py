"""The chained keys that decide what must be done again: `read`, `annotate`, `apply`.

Each key digests the one before it and what its own layer depends on. Names, versions and
descriptions that people give to manifests and policies are in no key: they change no byte.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.manifest import Corpus, Manifest
from raicurate.exercise_templates.context import ContextLibrary
from raicurate.pipelines import reading
from raicurate.pipelines.deny_list import DenyList
from raicurate.pipelines.model_context import configuration_digest
from raicurate.pipelines.units import Unit
from raicurate.transforms import contextualize, decide, target_groups, verify_context
from raicurate.transforms.identity_mentions import groups_digest
from raicurate.transforms.registry import Annotator
from raicurate.transforms.schema import SCHEMA_VERSION


@dataclass(frozen=True)
class RunConfig:
    """What a run was asked to do; everything that workers need to know.

    Attributes:
        manifest: The manifest, with absolute paths.
        out: Folder or URI of the output.
        restricted: Folder or URI of the restricted tier.
        limit: Take only this many documents of the first unit of each corpus.
        sample: Take only this share of the documents, drawn by the digest of their text.
    """

    manifest: Manifest
    out: str
    restricted: str | None = None
    limit: int | None = None
    sample: float | None = None

    def corpus(self, name: str) -> Corpus:
        """Returns a corpus by name."""
        return next(corpus for corpus in self.manifest.corpora if corpus.name == name)


class Keys:
    """Computes the keys of units under one configuration."""

    def __init__(
        self,
        config: RunConfig,
        annotators: Sequence[Annotator],
        library: ContextLibrary,
        arms: Callable[[str], str] = lambda _: "",
    ) -> None:
        """Takes in what a run depends on.

        Args:
            config: What the run was asked to do.
            annotators: What looks at each document.
            library: The words of context.
            arms: Returns by unit the digest of its documents that are held out, or nothing.
        """
        self._config = config
        self._arms = arms
        manifest = config.manifest
        identities = [annotator.identity() for annotator in annotators]
        model = configuration_digest(manifest)
        policy = manifest.policy.model_dump(
            # Pairs have a key of their own: a changed wish for them decides nothing anew. Nor do
            # limits for models that are audited.
            mode="json",
            exclude={"name", "version", "description", "schema_version", "pairs", "audit"},
        )
        output = manifest.output
        self._common: dict[str, str] = {
            "code": digest(
                reading.VERSION,
                decide.VERSION,
                contextualize.VERSION,
                verify_context.VERSION,
                target_groups.VERSION,
                groups_digest(),
                [[identity.name, identity.version] for identity in identities],
            ),
            "models": digest([identity.model for identity in identities]),
            "parameters": digest([identity.parameters for identity in identities]),
            "policy": digest(policy),
            "templates": library.digest,
            # Left out where there is none, so that older keys hold.
            **({} if model is None else {"language_model": model}),
            "withdrawn": digest(sorted(DenyList(manifest.withdrawn).entries)),
        }
        self._read_options = [
            reading.VERSION,
            output.max_document_bytes,
            output.max_expansion,
            config.limit,
            config.sample,
        ]
        # With the schema, since annotations of an older one lack columns that are read.
        self._annotators = digest(SCHEMA_VERSION, [list(identity) for identity in identities])
        self._apply_options = [
            SCHEMA_VERSION,
            contextualize.VERSION,
            verify_context.VERSION,
            target_groups.VERSION,
            groups_digest(),
            output.part_bytes,
            output.row_group_bytes,
            policy["context"],
            policy["personal_data"],
        ]

    @property
    def withdrawn(self) -> str:
        """Digest of the deny list."""
        return self._common["withdrawn"]

    def components(self, unit: Unit) -> dict[str, str]:
        """Returns what a unit depends on, by kind, so that a change can be named."""
        corpus = self._config.corpus(unit.corpus)
        output = self._config.manifest.output
        return {
            "input": digest(unit.content),
            "options": digest(
                self._read_options,
                corpus.model_dump(
                    mode="json",
                    include={"keys", "source", "added", "lang", "license", "role", "trust"},
                ),
                [output.part_bytes, output.row_group_bytes, output.annotation_set],
                *_targets(corpus),
            ),
            **self._common,
            # Left out where nothing is held out, as in every unit without policy documents.
            **({"arms": held} if (held := self._arms(unit.id)) else {}),
        }

    def request(self, unit: Unit) -> str:
        """Returns the key of all that is asked for a unit: the same request, the same answer."""
        return digest(unit.id, self.components(unit))

    def read(self, unit: Unit, withdrawn: Sequence[str]) -> str:
        """Returns the key of the documents of a unit, without those that were withdrawn."""
        corpus = self._config.corpus(unit.corpus)
        fields = corpus.model_dump(mode="json", include={"keys", "source", "added", "lang"})
        return digest(
            unit.id, unit.content, self._read_options, fields, corpus.name, sorted(withdrawn)
        )

    def annotate(self, read: str) -> str:
        """Returns the key of the annotations of a unit."""
        return digest(read, self._annotators)

    def apply(self, unit: Unit, annotate: str, decisions: str, templates: Sequence[str]) -> str:
        """Returns the key of the published rows of a unit.

        Args:
            unit: The unit.
            annotate: Key of its annotations.
            decisions: Digest of its decisions.
            templates: Digests of the templates that its documents can reach.
        """
        corpus = self._config.corpus(unit.corpus)
        fields = corpus.model_dump(mode="json", include={"license", "role"})
        arms = self._arms(unit.id)
        further = [*([arms] if arms else []), *_targets(corpus)]
        return digest(annotate, decisions, sorted(templates), self._apply_options, fields, *further)


def _targets(corpus: Corpus) -> list[Any]:
    # Left out where there are none, so that older keys hold.
    return [] if corpus.targets is None else [corpus.targets.model_dump(mode="json")]
