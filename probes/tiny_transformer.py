"""Trains a small transformer on a mix of texts: minutes on two cores, for ablations.

A Llama of 1.4 million parameters and a byte-level BPE, saved as Hugging Face saves them, so that
any tool can read it. It sees further than the n-gram model, and shows whether a mix teaches at all;
what it does not show, a large model may still learn.
"""

import importlib.util
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import MissingExtraError, UsageError
from raicurate.probes.statistics import generator

VERSION = "2"
"""Raised whenever the same texts and options give other weights."""

START, END = "<s>", "</s>"


@dataclass(frozen=True, slots=True)
class Training:
    """How a model is trained.

    Attributes:
        tokens: Tokens that are read, those that are read again included.
        seed: Of the weights at the start and of the order of the text.
        vocabulary: Tokens of the tokenizer.
        width: Numbers that stand for a token.
        layers: Blocks.
        heads: Attention heads of a block.
        window: Tokens of a training example.
        batch: Examples of a step.
        rate: Highest learning rate; it rises for a twentieth of the steps, two at least, and falls
            as a cosine.
    """

    tokens: int = 2_500_000
    seed: int = 0
    vocabulary: int = 4096
    width: int = 128
    layers: int = 4
    heads: int = 4
    window: int = 512
    batch: int = 8
    rate: float = 3e-3


def require_torch() -> None:
    """Checks that the packages for training are there.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError.for_package(
                package, "training a small transformer", "pip install 'raicurate[probes]'"
            )


def training_key(texts: Sequence[str], tokenizer_texts: Sequence[str], training: Training) -> str:
    """Returns the digest of all that a trained model depends on."""
    return digest(VERSION, list(texts), list(tokenizer_texts), asdict(training))


def train(
    texts: Sequence[str],
    folder: Path,
    training: Training = Training(),
    tokenizer_texts: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Trains a model and saves it with its tokenizer.

    Args:
        texts: What it reads; documents are parted by the end and the start of text.
        folder: Where it is saved; loadable by `hugging_face.open_model`.
        training: How it is trained.
        tokenizer_texts: What the tokenizer is trained on, so that models of several mixes can share
            one; by default the texts.
        progress: Called with the steps done and all steps.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        UsageError: The texts are shorter than one training example.
    """
    require_torch()
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer(texts if tokenizer_texts is None else tokenizer_texts, training)
    stream = _stream(tokenizer, texts)
    if stream.size <= training.window:
        raise UsageError(
            f"the texts for {folder.name} have {stream.size} tokens, fewer than one training "
            f"example of {training.window}; give the mix more bytes"
        )
    torch.manual_seed(training.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=training.width,
            intermediate_size=training.width * 8 // 3,
            num_hidden_layers=training.layers,
            num_attention_heads=training.heads,
            max_position_embeddings=training.window,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id,
        )
    )
    steps = max(1, training.tokens // (training.batch * training.window))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=training.rate, betas=(0.9, 0.95), weight_decay=0.1
    )
    planned = max(steps, 3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, training.rate, total_steps=planned, pct_start=max(0.05, 2 / planned)
    )
    model.train()
    batches = itertools.islice(_batches(stream, training), steps)
    for step, batch in enumerate(batches, 1):
        tokens = torch.from_numpy(batch)
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if progress:
            progress(step, steps)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer(texts: Sequence[str], training: Training) -> Any:
    """Returns a byte-level BPE that puts the start of text before each document."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=training.vocabulary,
        special_tokens=[START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", special_tokens=[(START, bpe.token_to_id(START))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=START,
        eos_token=END,
        model_max_length=training.window,
        clean_up_tokenization_spaces=False,
    )


def _stream(tokenizer: Any, texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Returns all texts as one row of tokens, each between its start and its end."""
    end = tokenizer.eos_token_id
    encoded = tokenizer.backend_tokenizer.encode_batch(list(texts))
    return np.fromiter(
        itertools.chain.from_iterable((*one.ids, end) for one in encoded), dtype=np.int64
    )


def _batches(stream: npt.NDArray[np.int64], training: Training) -> Iterator[npt.NDArray[np.int64]]:
    """Yields batches without end: each pass reads all of the text once, in a new order."""
    rows = stream[: stream.size // training.window * training.window]
    examples = rows.reshape(-1, training.window)
    left = np.empty(0, np.int64)
    for turn in itertools.count():
        order = generator("batches", str(training.seed), str(turn)).permutation(len(examples))
        left = np.concatenate([left, order])
        while left.size >= training.batch:
            yield examples[left[: training.batch]]
            left = left[training.batch :]
