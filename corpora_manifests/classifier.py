"""The manifest of a classifier: from which labelled sets, split how, and trained with what."""

import re
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
    """

    group: str | None = None
    held_out: tuple[str, ...] = ()
    test: float = Field(default=0.2, ge=0, le=1)


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


class SentenceGroup(Model):
    """Sentences of one language that share a label, some with places for names of groups.

    Attributes:
        lang: Their language.
        text_type: What they are.
        stance: Their stance.
        hazards: What they are about.
        texts: `{one}` stands for a person or an adjective, `{many}` for a group of people, and the
            name of a list of `words` for one of them.
        words: Words by name of their list, from which places are filled.
        fillings: A sentence with places is used with so many fillings.
    """

    lang: str
    text_type: TextType
    stance: Stance | Literal["none"]
    hazards: tuple[Hazard, ...] = ()
    texts: tuple[str, ...] = Field(min_length=1)
    words: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    fillings: int = Field(default=4, ge=1, le=100)

    @model_validator(mode="after")
    def _places_known(self) -> "SentenceGroup":
        known = {"one", "many", *self.words}
        for text in self.texts:
            unknown = sorted(set(re.findall(r"\{(.*?)\}", text)) - known)
            if unknown:
                raise ValueError(
                    f"a sentence has a place {unknown[0]!r} that no list of `words` fills; add the "
                    "list or correct the place"
                )
        return self


class SentenceFile(Model):
    """Labelled sentences that were written for a classifier."""

    license: str = Field(min_length=1)
    groups: tuple[SentenceGroup, ...] = Field(min_length=1)


def load_sentences(path: Path) -> SentenceFile:
    """Returns the labelled sentences in a YAML file.

    Raises:
        ManifestError: The file is not valid.
    """
    return validated(SentenceFile, read_yaml(path), str(path))


class Inflected(Model):
    """Words that differ in their endings alone.

    Attributes:
        stems: What they begin with.
        one: Endings of a single person or an adjective.
        many: Endings of several persons.
    """

    stems: tuple[str, ...] = Field(min_length=1)
    one: tuple[str, ...] = ()
    many: tuple[str, ...] = ()


class IdentityWords(Model):
    """Neutral words for groups of people in one language, in lower case.

    Attributes:
        one: Words for a single person, and adjectives.
        many: Words for several persons.
        inflected: More of both, by stem and ending. Where both numbers share a form, `many` holds
            if it is written out there, else `one`.
        person: Words for any person, which say nothing more beside a word of `one`.
        people: Words for any people, likewise.
    """

    one: tuple[str, ...] = ()
    many: tuple[str, ...] = ()
    inflected: tuple[Inflected, ...] = ()
    person: tuple[str, ...] = ()
    people: tuple[str, ...] = ()

    def listed(self) -> dict[str, list[str]]:
        """Returns the words by kind, endings joined to their stems."""
        found = {"one": set(self.one), "many": set(self.many)}
        for words in self.inflected:
            for stem in words.stems:
                found["one"] |= {stem + ending for ending in words.one} - found["many"]
                found["many"] |= {stem + ending for ending in words.many} - found["one"]
        return {
            **{number: sorted(words) for number, words in found.items()},
            "person": sorted(self.person),
            "people": sorted(self.people),
        }


def load_identity_terms(path: Path) -> dict[str, dict[str, list[str]]]:
    """Returns the neutral words for groups of people in a YAML file, by language and kind.

    Raises:
        ManifestError: The file is not valid.
    """
    terms = validated(IdentityTermFile, read_yaml(path), str(path)).identity_terms
    return {lang: own.listed() for lang, own in terms.items()}


class IdentityTermFile(Model):
    """Neutral words for groups of people."""

    license: str = Field(min_length=1)
    identity_terms: dict[str, IdentityWords]


class RatingFile(Model):
    """Severities, 0 to 5, that readers gave to texts of public sets: by set, then by id."""

    version: int = Field(ge=1)
    raters: int = Field(ge=1)
    ratings: dict[str, dict[str, Annotated[int, Field(ge=0, le=5)]]]


def load_ratings(path: Path) -> RatingFile:
    """Returns the ratings in a YAML file.

    Raises:
        ManifestError: The file is not valid.
    """
    return validated(RatingFile, read_yaml(path), str(path))


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
        form: `rows`, or `sentences` for a YAML file of `SentenceFile`, whose places for names of
            groups are filled with terms drawn from `identity_terms`.
        balanced: Whether its harmful and harmless texts count the same in sum, since it was made
            with a mix that says nothing of the world (functional tests, say).
        covers: Hazards that the set labels wherever they occur: a harmful text without one of
            these is an example against it. Other hazards may go unlabelled in it.
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
    form: Literal["rows", "sentences"] = "rows"
    balanced: bool = False
    covers: tuple[Hazard | Literal["all"], ...] = ()


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


class ScreenParameters(Model):
    """How the word-level model is trained, and what it sends on.

    Attributes:
        bits: Runs of words are hashed into `2 ** bits` buckets.
        penalty: Of the squared weights.
        min_texts: Buckets in fewer texts have no weight.
        documents: Share of ordinary long documents that may be sent on.
        short_recall: Share of harmful texts of a single passage that must be sent on; they cost
            little.
    """

    bits: int = Field(default=18, ge=8, le=24)
    penalty: float = Field(default=0.05, gt=0)
    min_texts: int = Field(default=3, ge=1)
    documents: float = Field(default=0.05, gt=0, lt=1)
    short_recall: float = Field(default=0.98, gt=0, lt=1)


class HeadParameters(Model):
    """How the passage-level model is trained.

    Attributes:
        bits: Runs of words and characters are hashed into `2 ** bits` buckets.
        penalty: Of the squared weights.
        min_texts: Buckets in fewer texts have no weight.
        steps: Most steps of the solver.
        folds: Scores for calibration come from models that did not see the text, of so many folds.
        typos: Share of the statements that are trained on once more with misspellings.
    """

    bits: int = Field(default=19, ge=8, le=24)
    penalty: float = Field(default=1.0, gt=0)
    min_texts: int = Field(default=2, ge=1)
    steps: int = Field(default=25, ge=1)
    folds: int = Field(default=3, ge=2)
    typos: float = Field(default=0.25, ge=0, le=1)


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
        identity_terms: YAML file with neutral words for groups of people, beside the manifest.
        screen: Parameters of the word-level model that sees every document.
        heads: Parameters of the passage-level model that sees what the first sends on.
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
    identity_terms: str | None = None
    screen: ScreenParameters = ScreenParameters()
    heads: HeadParameters = HeadParameters()
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
            if labelled.form == "sentences" and self.identity_terms is None:
                raise ValueError(
                    f"set {labelled.name!r} has sentences with places for names of groups, so "
                    "`identity_terms` has to name the file of them"
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
