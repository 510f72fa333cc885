"""A text encoder as a stage of the cascade: its head, its batches, what it sees and says."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from small_models import save_tokenizer

from raicurate.corpora_manifests.encoder import EncoderManifest
from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.load import PACKAGE_FOLDER
from raicurate.pipelines.cli import main
from raicurate.transforms import text_encoder
from raicurate.transforms.annotate_encoder import EncoderAnnotator
from raicurate.transforms.encoder_head import FILE, EncoderHead
from raicurate.transforms.schema import ANNOTATED_HAZARD, HARM_STAGE
from raicurate.transforms.text_encoder import TextEncoder, encoder_folder
from raicurate.transforms.train_encoder import train_head

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

KIND = "The library opens at nine and lends books to everyone in the valley."
UNKIND = "You are worthless and nobody wants you here, get out of this town."


def save_encoder(folder: Path) -> Path:
    """Saves a tiny encoder with weights drawn from a fixed seed."""
    import torch
    from transformers import BertConfig, BertModel

    vocabulary = save_tokenizer(folder)
    torch.manual_seed(7)
    BertModel(
        BertConfig(
            vocab_size=vocabulary, hidden_size=24, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=66, initializer_range=0.3,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=1,
        )
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny encoder."""
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def manifest(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of a head over a few sentences, as a user writes it."""
    place = tmp_path_factory.mktemp("sets")
    rows = []
    for number in range(120):
        harmful = number % 2 == 0
        words = f"{UNKIND if harmful else KIND} Case {number}."
        rows.append(
            {
                "id": str(number),
                "text": words,
                "lang": "en",
                "label": str(int(harmful)),
                "h": ["hate"],
            }
        )
    lines = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    (place / "rows.jsonl").write_bytes(lines)
    (place / "sets.yaml").write_text(
        "schema_version: 1\nname: s\nversion: '1'\nlanguages: [en]\nsets:\n"
        "  - {name: rows, path: rows.jsonl, source: own, license: CC0-1.0, text_type: statement,\n"
        "     stances: {'1': intent, '0': none}, hazard_key: h}\n"
    )
    path = place / "head.yaml"
    path.write_text(
        f"schema_version: 1\nname: h\nversion: '1'\nencoder: {folder}\nlabelled_sets: sets.yaml\n"
        "languages: [en]\nmax_tokens: 48\nband: [0.2, 0.8]\nsample: 1.0\n"
    )
    return path


@pytest.fixture(scope="module")
def head(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trained head."""
    out = tmp_path_factory.mktemp("head")
    assert main(["train", str(manifest), "--out", str(out)]) == 0
    return out


def batch_of(*documents: tuple[str, float | None, list[tuple[str, str, float]]]) -> pa.RecordBatch:
    """Returns documents given by text, score and (hazard, stance, score) of the whole text."""
    entries = [
        [
            {"hazard": hazard, "stance": stance, "operational": False, "score": score, "start": 0,
             "end": len(text), "target": False, "threat": False}
            for hazard, stance, score in found
        ]
        for text, _, found in documents
    ]  # fmt: skip
    rows = len(documents)
    return pa.RecordBatch.from_pydict(
        {
            "id": [str(row) for row in range(rows)],
            "text": [text for text, _, _ in documents],
            "text_sha256": [str(row) for row in range(rows)],
            "lang": ["en"] * rows,
            "harm_score": pa.array([score for _, score, _ in documents], pa.float32()),
            "hazards": pa.array(entries, pa.list_(ANNOTATED_HAZARD)),
            "harm_stages": pa.array([[]] * rows, pa.list_(HARM_STAGE)),
        }
    )


def annotated(head: Path, batch: pa.RecordBatch) -> list[dict[str, Any]]:
    annotator = EncoderAnnotator(str(head))
    annotator.setup()
    return pa.RecordBatch.from_arrays(
        annotator.annotate(batch), names=list(annotator.columns)
    ).to_pylist()


def test_embeddings_do_not_depend_on_the_batch(folder: Path) -> None:
    """Alone or among others, sorted or not: the same up to rounding; nothing gives nothing."""
    encoder = TextEncoder(folder, 48, "cpu", threads=1)
    texts = [KIND * count for count in (1, 9, 2)] + ["", UNKIND]
    together = encoder.embeddings(texts)
    assert together.shape == (5, 24)
    for row, text in enumerate(texts):
        np.testing.assert_allclose(encoder.embeddings([text])[0], together[row], atol=1e-5)
    np.testing.assert_allclose(encoder.embeddings(texts, by_length=False), together, atol=1e-5)
    assert encoder.embeddings([]).shape == (0, 24)


def test_padding_does_not_count(folder: Path) -> None:
    """The mean is taken over the tokens of a text, as computed by hand."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder)(KIND, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        expected = AutoModel.from_pretrained(folder).eval()(input_ids=tokens).last_hidden_state
    found = TextEncoder(folder, 64, "cpu").embeddings([KIND, "short"])[0]
    np.testing.assert_allclose(found, expected[0].mean(dim=0).numpy(), atol=1e-5)


def test_only_the_band_and_its_sample_are_seen(head: Path) -> None:
    """Above the band nothing is looked at again, and what has no score stays without one."""
    batch = batch_of(
        (UNKIND, 0.5, [("harassment", "intent", 0.5)]),
        (UNKIND, 0.95, [("hate", "intent", 0.95)]),
        (KIND, 0.0, []),
        (KIND, None, []),
    )
    found = annotated(head, batch)
    assert [[(s["stage"], s["sampled"]) for s in row["harm_stages"]] for row in found] == [
        [("encoder", False)], [], [("encoder", True)], [],
    ]  # fmt: skip
    assert found[1]["harm_score"] == pytest.approx(0.95)
    assert found[3]["harm_score"] is None


def test_the_encoder_decides_and_keeps_the_hazard(head: Path) -> None:
    """What it learned moves the score to either side; the hazard is that of the stage before."""
    batch = batch_of(
        (f"{UNKIND} Case 7.", 0.4, [("harassment", "intent", 0.4), ("cyber", "intent", 0.2)]),
        (f"{KIND} Case 8.", 0.6, [("harassment", "intent", 0.6)]),
        (f"{UNKIND} Case 9.", 0.0, []),
    )
    unkind, kind, sampled = annotated(head, batch)
    assert unkind["harm_score"] > 0.8
    scores = {entry["hazard"]: entry["score"] for entry in unkind["hazards"]}
    assert scores["harassment"] == pytest.approx(unkind["harm_score"], abs=1e-4)
    assert scores["cyber"] == pytest.approx(scores["harassment"] / 2, abs=1e-4)
    assert kind["harm_score"] < 0.2
    # Where the stage before named none, the hazard is what the head learned.
    assert [entry["hazard"] for entry in sampled["hazards"]] == ["hate"]


def test_a_head_is_trained_the_same_twice(manifest: Path, head: Path, tmp_path: Path) -> None:
    """The same manifest and encoder give the same bytes, and what was measured stands beside."""
    assert main(["train", str(manifest), "--out", str(tmp_path), "--json"]) == 0
    assert (tmp_path / FILE).read_bytes() == (head / FILE).read_bytes()
    description = EncoderHead(head).description
    assert description["languages"] == ["en"]
    measured = description["measured"]["en"]
    assert measured["in_band"] <= measured["texts"]
    assert description["inputs"].keys() == {"rows"}


def test_another_encoder_is_refused(head: Path, tmp_path: Path) -> None:
    """Embeddings of other weights mean nothing to the head."""
    other = save_encoder(tmp_path)
    config = orjson.loads((other / "config.json").read_bytes())
    (other / "config.json").write_bytes(orjson.dumps(config | {"layer_norm_eps": 1e-3}))
    with pytest.raises(ManifestError, match="not the one"):
        EncoderAnnotator(str(head), encoder=str(other)).setup()


def test_what_is_no_encoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a folder without weights nor a name that nobody has."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ManifestError, match="no text encoder"):
        TextEncoder(tmp_path, 48)
    with pytest.raises(ManifestError, match="neither a folder"):
        encoder_folder("no/../such encoder")
    with pytest.raises(ManifestError, match="no head"):
        EncoderHead(tmp_path)


def test_the_shipped_manifest_trains(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_data: Path
) -> None:
    """The manifest that ships works with any encoder, by path."""
    monkeypatch.setenv("RAI_ENCODER", str(folder))
    path = PACKAGE_FOLDER / "classifiers" / "encoder.yaml"
    from raicurate.corpora_manifests.encoder import load_encoder_manifest

    manifest = load_encoder_manifest(path)
    small: EncoderManifest = manifest.model_copy(update={"most_texts": 50, "languages": ("ko",)})
    description = train_head(small, tmp_path)
    assert description["languages"] == ["ko"]
    assert description["examples"] == 50


def test_batches_hold_to_the_token_limit() -> None:
    """Texts of one batch, padded to the longest, stay within it; a longer one goes alone."""
    lengths = [5, 5000, 3, 4000, 200, 200]
    found = list(text_encoder._batches(range(6), lengths))
    assert [row for rows in found for row in rows] == list(range(6))
    for rows in found:
        longest = max(lengths[row] for row in rows)
        assert len(rows) == 1 or longest * len(rows) <= text_encoder.BATCH_TOKENS
