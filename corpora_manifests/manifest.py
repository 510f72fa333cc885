"""The manifest: which corpora a run reads, under which policy, by which models, to which output."""

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from raicurate.corpora_manifests.exercises import Exercises
from raicurate.corpora_manifests.language_model import LanguageModel
from raicurate.corpora_manifests.model import Model
from raicurate.corpora_manifests.policy import Policy
from raicurate.corpora_manifests.vocabulary import Role, TargetGroup

Format = Literal["auto", "jsonl", "parquet", "warc", "wet", "markdown", "html", "pdf", "text"]

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]

MIB = 1 << 20


class Keys(Model):
    """Names under which a corpus keeps its fields; a dotted name reaches into an object.

    `lang` is unset by default: a language that a record declares is trusted only where it is named.
    """

    text: str = "text"
    id: str = "id"
    url: str = "url"
    created: str = "created"
    lang: str | None = None


class Targets(Model):
    """Labels of a corpus that say which group of people a text turns against.

    Attributes:
        key: Name of the field; a dotted name reaches into an object. Its value is a label or a list
            of labels.
        groups: What each label means. A label that is not listed names no group.
    """

    key: str = Field(min_length=1)
    groups: dict[str, TargetGroup] = Field(min_length=1)


class FileEntry(Model):
    """What a file is promised to be; written by `raicurate manifest build`."""

    path: str
    bytes: int = Field(ge=0)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    rows: int | None = Field(default=None, ge=0)


class Corpus(Model):
    """One source of documents with one licence.

    Attributes:
        name: Folder name of the corpus in the output.
        role: What its documents are; exercises are made of `policy` and `guidance`.
        format: Format of the files; `auto` goes by the suffix.
        root: Folder or URI that `paths` are relative to; itself relative to the manifest.
        paths: Globs below `root` (`**` descends).
        exclude: Globs below `root` of files to leave out.
        license: SPDX identifier where there is one, else the name of the licence.
        source: Value of the `source` column; by default the name of the corpus.
        lang: Language of all documents (ISO 639-1), where it is known.
        added: Date of collection for the `added` column (a run never looks at the clock).
        trust: How far its documents are trusted; a policy can refer to it.
        keys: Names of the fields in its records.
        targets: Labels that say which group a text turns against, so that context can name it.
        expected_damage: Globs below `root` of files known to be damaged, whose damage is
            reported, but does not make the run a partial one.
        files: Promised files with sizes and digests; where given, they are checked.
    """

    name: Name
    role: Role = "web"
    format: Format = "auto"
    root: str = "."
    paths: tuple[str, ...] = Field(min_length=1)
    exclude: tuple[str, ...] = ()
    license: str = Field(min_length=1)
    source: str | None = None
    lang: str | None = None
    added: str | None = None
    trust: Literal["high", "medium", "low"] = "medium"
    keys: Keys = Keys()
    targets: Targets | None = None
    expected_damage: tuple[str, ...] = ()
    files: tuple[FileEntry, ...] = ()

    @field_validator("added", mode="before")
    @classmethod
    def _date_as_text(cls, value: Any) -> Any:
        # YAML reads an unquoted 2026-01-31 as a date.
        return value.isoformat() if hasattr(value, "isoformat") else value

    @field_validator("paths", "exclude", "expected_damage")
    @classmethod
    def _below_the_root(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for path in value:
            if "://" in path or path.startswith("/") or ".." in PurePosixPath(path).parts:
                raise ValueError(
                    f"{path!r} is not below the root of the corpus; put its folder into `root`"
                )
        return value


class AnnotatorSpec(Model):
    """A registered annotator by `name@version`, with its parameters."""

    use: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*@[0-9A-Za-z.]+$")]
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")


class StepSpec(Model):
    """A filter or formatter of datatrove, by import name and constructor parameters."""

    use: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$")]
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")

    @property
    def name(self) -> str:
        """The class name, under which a policy refers to the step."""
        return self.use.rpartition(".")[2]


class Withdrawn(Model):
    """Documents that must not be used any more, by id or by the SHA-256 of their text."""

    ids: tuple[str, ...] = ()
    text_sha256: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = ()


class Output(Model):
    """How and how much is written at once, and when a run counts as failed.

    Attributes:
        restricted: Folder or URI of the restricted tier; required where the policy restricts.
            A leading `{out}` stands for the output, as in `{out}.restricted`.
        annotation_set: Folder name of the annotations.
        unit_bytes: Size of a unit of work, in decoded bytes.
        part_bytes: Size at which a part file rolls over to the next, in bytes of text.
        row_group_bytes: Size of a row group, in bytes of text.
        max_document_bytes: Larger documents become errors.
        max_expansion: A compressed file that grows beyond this ratio is a decompression bomb.
        error_budget: Share of documents that may be errors.
        keep_snapshots: Number of earlier snapshots that stay readable.
    """

    restricted: str | None = None
    annotation_set: Name = "core"
    unit_bytes: int = Field(default=512 * MIB, ge=1024)
    part_bytes: int = Field(default=1024 * MIB, ge=1024)
    row_group_bytes: int = Field(default=64 * MIB, ge=1024)
    max_document_bytes: int = Field(default=32 * MIB, ge=1, le=1024 * MIB)
    max_expansion: int = Field(default=1000, ge=2)
    error_budget: float = Field(default=0.001, ge=0, le=1)
    keep_snapshots: int = Field(default=3, ge=0)


DEFAULT_ANNOTATORS = (
    AnnotatorSpec(use="language@1"),
    AnnotatorSpec(use="lexicon@1"),
    AnnotatorSpec(use="harm@1"),
    AnnotatorSpec(use="personal_data@1"),
)


class Manifest(Model):
    """Everything that decides what a run writes.

    Attributes:
        schema_version: Version of this model.
        name: Name of the data set.
        version: Version of the manifest, chosen by its author.
        description: For the dataset card.
        policy: The policy; in YAML a path relative to the manifest, or the policy itself.
        corpora: What is read.
        annotators: What looks at each document, in order.
        steps: Filters and formatters of datatrove that run after the annotators, in order.
        templates: Folders with context templates that add to, or replace, those that ship.
        language_model: Writes context in place of templates, where it is set.
        exercises: How learning exercises are made of policy documents.
        output: How it is written.
        withdrawn: What must not be used any more.
    """

    schema_version: Literal[1] = 1
    name: Name
    version: str = "1"
    description: str = ""
    policy: Policy
    corpora: tuple[Corpus, ...] = Field(min_length=1)
    annotators: tuple[AnnotatorSpec, ...] = DEFAULT_ANNOTATORS
    steps: tuple[StepSpec, ...] = ()
    templates: tuple[str, ...] = ()
    language_model: LanguageModel | None = None
    exercises: Exercises = Exercises()
    output: Output = Output()
    withdrawn: Withdrawn = Withdrawn()

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        names = [corpus.name for corpus in self.corpora]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"two corpora are named {doubled[0]!r}; their parts would collide")
        blocks = [spec.use for spec in self.annotators]
        if len(set(blocks)) < len(blocks):
            raise ValueError("an annotator is named twice in `annotators`")
        if self.policy.restricts and self.output.restricted is None:
            raise ValueError(
                f"policy {self.policy.name!r} restricts documents, but `output.restricted` names "
                "no place for them; set it to a folder or URI outside the output"
            )
        return self
