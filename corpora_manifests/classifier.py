"""The manifest of a classifier: from which labelled sets, split how, and trained with what."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from raicurate.corpora_manifests.load import read_yaml, validated
from raicurate.corpora_manifests.model import Model
from raicurate.corpora_manifests.vocabulary import Hazard, Stance

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")]
TextType = Literal["statement", "request", "web_snippet", "document", "template"]
Meaning = Stance | Literal["none", "skip"]
"""What a label of a set says: a stance, no harm, or nothing that could be learned from."""


class Split(Model):
    """Which rows are held out.

    Rows that share a value of `group` stay together, so that no template, pair, translation or
    source stands on both sides.

    Attributes:
        group: Dotted name of the field that holds rows together; by default each row stands alone.
        held_out: Values of `group` that are held out for the test, as they are written here.
        test: Share of the groups that is held out for the test, drawn by hash of the group.
        calibrate: Share of the other groups that calibrates and is not trained on.
    """

    group: str | None = None
    held_out: tuple[str, ...] = ()
    test: float = Field(default=0.2, ge=0, le=1)
    calibrate: float = Field(default=0.1, ge=0, lt=1)


class Passage(Model):
    """A labelled passage that was written for training."""

    hazard: Hazard | Literal["none"]
    stance: Stance | Literal["none"]
    text: str = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> "Passage":
        if (self.hazard == "none") != (self.stance == "none"):
            raise ValueError("a passage has both a hazard and a stance, or neither")
        return self


class PassageFile(Model):
    """Labelled passages of one language, written for a classifier."""

    version: int = Field(ge=1)
    license: str = Field(min_length=1)
    language: str
    reviewed_by_native_speaker: bool
    passages: tuple[Passage, ...] = Field(min_length=1)


def load_passages(path: Path) -> PassageFile:
    """Returns the labelled passages in a YAML file.

    Raises:
        ManifestError: The file is not valid.
    """
    return validated(PassageFile, read_yaml(path), str(path))


class LabelledSet(Model):
    """One public set of labelled texts.

    Attributes:
        name: Name in reports.
        path: JSON Lines file, plain or gzip, or YAML file of passages (`PassageFile`), relative
            to the root of the manifest.
        beside_manifest: Whether `path` is relative to the manifest's own folder instead.
        sha256: Digest that the file must have, where it is known.
        source: Public repository, owner/name.
        license: SPDX identifier where there is one, else the name of the licence.
        text_type: What its texts are.
        lang: Language of all texts; by default the field `lang` of each row.
        languages: Only rows in these languages; by default all of the manifest.
        text_key: Dotted name of the field with the text.
        prefix_key: Dotted name of a field with the number of characters that the label is about.
        stances: From the value of `label_key` to its meaning; others are an error. A single
            meaning instead holds for all rows.
        label_key: Dotted name of the field with the label.
        hazard_key: Dotted name of a field with the names of hazards: a list, or a mapping of
            names to labels, of which those count that have the label of the row.
        default_hazard: Hazard of harmful rows that name none; without one they are skipped.
        only: Dotted name and value that a row must have.
        max_passages: Longer texts are cut into passages, of which at most this many are used.
        split: Which rows are held out.
        weight: How often a row is repeated in training; below 1 the share of rows that is used.
        use: Trained on and tested, or only tested (`audit`).
    """

    name: Name
    path: str
    beside_manifest: bool = False
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    source: str = Field(min_length=1)
    license: str = Field(min_length=1)
    text_type: TextType
    lang: str | None = None
    languages: tuple[str, ...] = ()
    text_key: str = "text"
    prefix_key: str | None = None
    label_key: str = "label"
    stances: Meaning | dict[str, Meaning]
    hazard_key: str | None = None
    default_hazard: Hazard | None = None
    only: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    max_passages: int = Field(default=1, ge=1)
    split: Split = Split()
    weight: float = Field(default=1.0, gt=0, le=100)
    use: Literal["train", "audit"] = "train"


class FastTextParameters(Model):
    """Parameters of one fastText model, named as in fastText.

    Attributes:
        dim: Size of the vectors.
        epoch: Passes over the training data.
        lr: Learning rate.
        minCount: Rarer words have no vector of their own.
        wordNgrams: Longest run of words with a vector.
        minn: Shortest character n-gram; 0 for none.
        maxn: Longest character n-gram.
        bucket: Number of vectors that all n-grams share by hash.
        cutoff: Number of words and n-grams that are kept when quantised; 0 for all.
        dsub: Size of the parts that are quantised together.
    """

    dim: int = Field(default=16, ge=2, le=1000)
    epoch: int = Field(default=5, ge=1)
    lr: float = Field(default=0.5, gt=0)
    minCount: int = Field(default=2, ge=1)  # noqa: N815
    wordNgrams: int = Field(default=2, ge=1)  # noqa: N815
    minn: int = Field(default=0, ge=0)
    maxn: int = Field(default=0, ge=0)
    bucket: int = Field(default=200_000, ge=1)
    cutoff: int = Field(default=0, ge=0)
    dsub: int = Field(default=2, ge=1)


class ClassifierManifest(Model):
    """Everything that decides what a trained harm model says.

    Attributes:
        schema_version: Version of this model.
        name: Name of the classifier.
        version: Version, raised by its author on every change.
        description: For the model card.
        root: Folder that the paths of the sets are relative to; itself relative to the manifest.
        folder: Folder of the manifest; filled in when it is loaded.
        seed: Of splits, sampling and training.
        languages: Languages that are trained; rows in others are left out.
        hazards: From the names of hazards in the sets to those of the vocabulary; names that are
            not listed are left out.
        sets: The labelled sets.
        word: Parameters of the word-level model that sees every document.
        passage: Parameters of the model with subwords that sees what the first escalates.
        escalation_recall: Share of harmful passages that the word-level model must escalate.
        min_auc: A language whose held-out AUC is lower counts as not measured.
        min_test_examples: A language needs this many held-out texts of each kind, harmful and
            not, to count as measured.
    """

    schema_version: Literal[1] = 1
    name: Name
    version: str
    description: str = ""
    root: str = "."
    folder: str = "."
    seed: int = Field(default=0, ge=0)
    languages: tuple[str, ...] = Field(min_length=1)
    hazards: dict[str, Hazard] = Field(default_factory=dict)
    sets: tuple[LabelledSet, ...] = Field(min_length=1)
    word: FastTextParameters = FastTextParameters()
    passage: FastTextParameters = FastTextParameters()
    escalation_recall: float = Field(default=0.95, gt=0, lt=1)
    min_auc: float = Field(default=0.75, ge=0.5, le=1)
    min_test_examples: int = Field(default=50, ge=1)

    def path_of(self, labelled: LabelledSet) -> Path:
        """Returns the file of a set."""
        return Path(self.folder if labelled.beside_manifest else self.root) / labelled.path

    @model_validator(mode="after")
    def _consistent(self) -> "ClassifierManifest":
        names = [labelled.name for labelled in self.sets]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(
                f"two sets are named {doubled[0]!r}; reports could not tell them apart"
            )
        for labelled in self.sets:
            if labelled.split.held_out and labelled.split.group is None:
                raise ValueError(
                    f"set {labelled.name!r} holds out values, but `split.group` names no field"
                )
        return self


def load_classifier(path: Path) -> ClassifierManifest:
    """Returns the classifier manifest in a YAML file, with its root made absolute.

    Raises:
        ManifestError: The file is not a valid classifier manifest.
    """
    manifest = validated(ClassifierManifest, read_yaml(path), str(path))
    folder = path.resolve().parent
    root = (folder / manifest.root).resolve()
    return manifest.model_copy(update={"root": str(root), "folder": str(folder)})
