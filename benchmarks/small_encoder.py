"""Trains a small text encoder on the texts below `$RAI_DATA` and saves it, for tests of the stage.

    RAI_DATA=... python benchmarks/small_encoder.py FOLDER --minutes 9

Masked-language modelling (Devlin et al. 2019: 15 % of the tokens, of which 80 % are masked, 10 %
are others, 10 % stay) over general documents and the training part of the labelled sets of harm,
with a byte-level BPE of 8,192 tokens trained on the same. About 2.5 million parameters: enough that
its embeddings mean something, far from what a public encoder knows. It needs torch and
transformers.
"""

import argparse
import os
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from raicurate.corpora_manifests.classifier import load_classifier
from raicurate.corpora_manifests.load import PACKAGE_FOLDER
from raicurate.transforms.audit_data import general_documents
from raicurate.transforms.labelled_sets import read_examples

VOCABULARY = 8192
LENGTH = 64
BATCH = 32
RATE = 2e-3
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LANGUAGES = ("en", "de", "fr", "es", "pt", "zh", "ko")


def training_texts(data: Path) -> list[str]:
    """Returns the texts to learn from: nothing that the audit of harm models holds out."""
    manifest = load_classifier(PACKAGE_FOLDER / "classifiers" / "harm.yaml")
    manifest = manifest.model_copy(update={"root": str(data), "languages": LANGUAGES})
    examples = read_examples(manifest)
    held_out = {example.whole for example in examples if example.part != "train"}
    labelled = [example.text for example in examples if example.part == "train"]
    documents = [
        text[start : start + 600]
        for text, _ in general_documents(data, frozenset(LANGUAGES))
        if text not in held_out
        for start in range(0, min(len(text), 6000), 600)
    ]
    return labelled + documents


def save_tokenizer(texts: list[str], folder: Path) -> PreTrainedTokenizerFast:
    """Trains a byte-level BPE and saves it."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts[::4], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]", model_max_length=256,
    )  # fmt: skip
    fast.save_pretrained(folder)
    return fast


def masked(ids: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns token ids with some masked, and what stands there (-100 elsewhere)."""
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & (ids >= len(SPECIAL))
    labels = torch.where(chosen, ids, -100)
    how = torch.rand(ids.shape, generator=generator)
    other = torch.randint(len(SPECIAL), VOCABULARY, ids.shape, generator=generator)
    ids = torch.where(chosen & (how < 0.8), SPECIAL.index("[MASK]"), ids)
    return torch.where(chosen & (how >= 0.9), other, ids), labels


def train(data: Path, folder: Path, minutes: float) -> None:
    """Trains the tokenizer and the encoder for about so many CPU minutes, and saves both."""
    texts = training_texts(data)
    tokenizer = save_tokenizer(texts, folder)
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=VOCABULARY, hidden_size=192, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=768, max_position_embeddings=258, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )  # fmt: skip
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters", flush=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    started, step = time.process_time(), 0
    while (spent := (time.process_time() - started) / 60 / minutes) < 1:
        # Up to the full rate within the first twentieth, then down to nothing.
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(spent * 20, 1 - spent)
        rows = torch.randint(len(texts), (BATCH,), generator=generator).tolist()
        encoded = tokenizer(
            [texts[row] for row in rows], truncation=True, max_length=LENGTH, padding=True,
            return_tensors="pt",
        )  # fmt: skip
        ids, labels = masked(encoded["input_ids"], generator)
        hidden = model.bert(input_ids=ids, attention_mask=encoded["attention_mask"])
        # Only where something is masked is anything predicted.
        wanted = labels >= 0
        logits = model.cls(hidden.last_hidden_state[wanted])
        loss = torch.nn.functional.cross_entropy(logits, labels[wanted])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        if step % 50 == 1:
            print(f"step {step}: {loss.item():.3f} nats a masked token", flush=True)
    model.bert.save_pretrained(folder)
    print(f"{step} steps", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=9, help="CPU minutes")
    options = parser.parse_args()
    train(Path(os.environ["RAI_DATA"]), options.folder, options.minutes)
