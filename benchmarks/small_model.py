"""Trains a small GPT-2 on the general documents below `$RAI_DATA` and saves it.

    RAI_DATA=... python benchmarks/small_model.py DIRECTORY --steps 240

A byte-level BPE of 8,192 tokens is trained on the same text. Good enough that its probabilities
mean something, small enough for two cores and a few minutes.
"""

import argparse
import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

VOCABULARY = 8192
LENGTH = 512
BATCH = 2


def general_texts(data: Path) -> Iterator[str]:
    """Yields the general documents in English, in the order of the file."""
    with gzip.open(data / "general" / "general_documents_english.jsonl.gz") as file:
        for line in file:
            yield orjson.loads(line)["text"]


def train(data: Path, folder: Path, steps: int) -> None:
    """Trains the tokenizer and the model, and saves both."""
    texts = list(general_texts(data))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<s>", "</s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts[::8], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast.save_pretrained(folder)

    encoded = tokenizer.encode_batch(texts)
    stream = torch.tensor([token for one in encoded for token in (0, *one.ids)])
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY, n_positions=LENGTH, n_embd=256, n_layer=4, n_head=8,
            bos_token_id=0, eos_token_id=1, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        )
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    random = np.random.default_rng(0)
    for step in range(steps):
        starts = random.integers(0, len(stream) - LENGTH, BATCH)
        batch = torch.stack([stream[start : start + LENGTH] for start in starts])
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 20 == 0:
            print(f"step {step}: {loss.item():.3f} nats a token", flush=True)
    model.save_pretrained(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=240)
    options = parser.parse_args()
    train(Path(os.environ["RAI_DATA"]), options.folder, options.steps)
