"""The manifest of a head: what a text encoder's embeddings say about harm, and when it is asked."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from raicurate.corpora_manifests.load import is_uri, read_yaml, validated
from raicurate.corpora_manifests.model import Model


class EncoderManifest(Model):
    """What the head of an encoder is trained on, and how.

    The encoder itself is not trained; any text encoder of Hugging Face serves.

    Attributes:
        schema_version: Version of this model.
        name: Name of the head.
        version: Version, raised by its author on every change.
        description: For whoever reads it.
        encoder: Folder of an encoder, or its name on the hub.
        revision: Branch, tag or commit of an encoder that is named, not a folder.
        labelled_sets: The classifier manifest whose labelled sets, label maps and splits are
            used; relative to this one.
        harm_model: Folder of the harm model before the encoder; by default the one that ships.
        languages: In which the encoder is asked.
        most_texts: Of more texts to train on, so many are drawn in each language.
        max_tokens: Of a longer passage the encoder reads the beginning.
        penalty: Of the squared weights.
        band: Documents are looked at again whose `harm_score` lies between these two.
        sample: Share of the documents below the band that are looked at as well, so that what the
            stages before miss can be estimated.
        seed: Of the draw.
    """

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")]
    version: str
    description: str = ""
    encoder: Annotated[str, Field(min_length=1)]
    revision: str | None = None
    labelled_sets: str
    harm_model: str | None = None
    languages: tuple[str, ...] = Field(min_length=1)
    most_texts: int = Field(default=20_000, ge=10)
    max_tokens: int = Field(default=256, ge=8)
    penalty: float = Field(default=10.0, gt=0)
    band: tuple[float, float] = (0.1, 0.9)
    sample: float = Field(default=0.01, ge=0, le=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _band_in_order(self) -> "EncoderManifest":
        if not 0 <= self.band[0] < self.band[1] <= 1:
            raise ValueError("`band` is two scores from 0 to 1, the lower one first")
        return self


def load_encoder_manifest(path: Path) -> EncoderManifest:
    """Returns the manifest in a YAML file, with paths beside it made absolute.

    Raises:
        ManifestError: The file is not valid.
    """
    manifest = validated(EncoderManifest, read_yaml(path), str(path))
    folder = path.resolve().parent
    changed: dict[str, str] = {"labelled_sets": str(folder / manifest.labelled_sets)}
    # A name on the hub looks like a relative path; it is one where there is such a folder.
    if not is_uri(manifest.encoder) and (folder / manifest.encoder).is_dir():
        changed["encoder"] = str((folder / manifest.encoder).resolve())
    if manifest.harm_model is not None:
        changed["harm_model"] = str(folder / manifest.harm_model)
    return manifest.model_copy(update=changed)
