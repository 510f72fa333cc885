"""The encoder stage: is it worth what it costs, and which batches are fastest?

    RAI_DATA=... python benchmarks/encoder.py ENCODER [--head HEAD] [--texts 2000]

Batches: passages of general documents, as the stage would see them, go through the encoder in four
ways: batches of texts of like length (what the stage does), batches in the order of arrival, and
Beam's `RunInference` with the same model, padded within each batch, without and with its buckets
by length. Texts a CPU second of the whole process, one thread of torch.

Worth: with `--head`, what the head measured in the band when it was trained (`head.json`). It needs
torch and transformers.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import orjson
import torch
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from transformers import AutoModel, AutoTokenizer

from raicurate.transforms.audit_data import general_documents
from raicurate.transforms.encoder_head import FILE
from raicurate.transforms.harm_text import cell_size, cells
from raicurate.transforms.labelled_sets import draw
from raicurate.transforms.text_encoder import TextEncoder

MAX_TOKENS = 256
LANGUAGES = frozenset({"en", "de", "fr", "es", "pt", "zh", "ko"})
BUCKETS = [16, 32, 64, 96, 128, 192]


def passages(data: Path, count: int) -> list[str]:
    """Returns passages of general documents, whole ones and the short ends of documents."""
    found = [
        text[start:end]
        for text, lang in general_documents(data, LANGUAGES)
        for start, end in list(cells(text, 2 * cell_size(lang)))[-2:]
    ]
    found.sort(key=lambda text: draw("passage", text))
    return found[:count]


class Encoder(ModelHandler):  # type: ignore[misc]
    """The encoder for `RunInference`.

    Beam's own handler for Hugging Face models imports TensorFlow; its one for PyTorch does the same
    as this, and wants equal lengths.
    """

    def __init__(self, folder: str, **batching: Any) -> None:
        super().__init__(max_batch_size=32, **batching)
        self._folder = folder

    def load_model(self) -> Any:
        """Returns the model, once for each process."""
        return AutoModel.from_pretrained(self._folder).eval()

    def run_inference(
        self, batch: Sequence[torch.Tensor], model: Any, _: Any = None
    ) -> Iterable[PredictionResult]:
        """Returns mean embeddings of token ids, padded to the longest of the batch."""
        longest = max(len(ids) for ids in batch)
        ids = torch.zeros((len(batch), longest), dtype=torch.long)
        mask = torch.zeros((len(batch), longest), dtype=torch.long)
        for row, own in enumerate(batch):
            ids[row, : len(own)] = own
            mask[row, : len(own)] = 1
        with torch.inference_mode():
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
            mean = (hidden * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1)[:, None]
        return [PredictionResult(None, row.numpy()) for row in mean]


def by_run_inference(folder: Path, texts: Sequence[str], buckets: bool) -> None:
    """Embeds texts in a Beam pipeline."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    by_length = {"batch_length_fn": len, "batch_bucket_boundaries": BUCKETS} if buckets else {}

    def tokens(text: str) -> torch.Tensor:
        return torch.tensor(tokenizer(text, truncation=True, max_length=MAX_TOKENS)["input_ids"])

    options = PipelineOptions([], save_main_session=False)
    with beam.Pipeline(runner=FnApiRunner(), options=options) as pipeline:
        handler = Encoder(str(folder), **by_length)
        pipeline | beam.Create(texts) | beam.Map(tokens) | RunInference(handler)


def measured(embed: Callable[[], object], texts: int) -> str:
    """Returns texts a CPU second, and a wall-clock second."""
    started, wall = time.process_time(), time.perf_counter()
    embed()
    spent, waited = time.process_time() - started, time.perf_counter() - wall
    return f"{texts / spent:.0f} | {texts / waited:.0f}"


def batches(folder: Path, texts: Sequence[str]) -> None:
    """Prints the table of batches."""
    encoder = TextEncoder(folder, MAX_TOKENS, "cpu", threads=1)
    encoder.embeddings(texts[:64])
    ways: dict[str, Callable[[], object]] = {
        "batches of like length": lambda: encoder.embeddings(texts),
        "batches in the order of arrival": lambda: encoder.embeddings(texts, by_length=False),
        "`RunInference`": lambda: by_run_inference(folder, texts, buckets=False),
        "`RunInference`, buckets by length": lambda: by_run_inference(folder, texts, buckets=True),
    }
    print("| | texts a CPU second | texts a second |\n|---|---:|---:|", flush=True)
    for name, embed in ways.items():
        print(f"| {name} | {measured(embed, len(texts))} |", flush=True)


def worth(head: Path) -> None:
    """Prints what the encoder is worth in the band."""
    description = orjson.loads((head / FILE).read_bytes())
    print("| | held-out texts | in the band | AUC before | after | ECE before | after |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for lang, found in description["measured"].items():
        cells_of = [
            "" if (value := found[side][name]) is None else f"{value:.3f}"
            for name in ("auc", "ece")
            for side in ("before", "after")
        ]
        print(f"| {lang} | {found['texts']} | {found['in_band']} | {' | '.join(cells_of)} |")


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--head", type=Path)
    parser.add_argument("--texts", type=int, default=2000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    texts = passages(Path(os.environ["RAI_DATA"]), options.texts)
    lengths = np.array([len(text) for text in texts])
    print(f"{len(texts)} passages, {np.median(lengths):.0f} characters in the middle\n")
    batches(options.encoder, texts)
    if options.head is not None:
        print()
        worth(options.head)


if __name__ == "__main__":
    main()
