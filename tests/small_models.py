"""Small causal language models with random weights, saved as Hugging Face saves them."""

from pathlib import Path
from typing import Any

SENTENCES = [
    "Bread rises overnight in a cool kitchen, and the baker folds the dough twice before dawn.",
    "The clerk may close the account only after the customer has been told why, in plain words.",
    "Wer eine Auskunft verlangt, bekommt sie innerhalb eines Monats, schriftlich und ohne Gebühr.",
    "Les données personnelles ne sont conservées que le temps nécessaire à leur usage.",
    "個人情報は、本人の同意なしに第三者へ提供してはならない。",
    "निजी जानकारी बिना अनुमति के किसी को नहीं दी जाती।",
    "A model that was trained on one hospital's records says little about another hospital's.",
    "Trains run every ten minutes; on Sundays, every twenty, and the last one leaves at midnight.",
]


def save_tokenizer(folder: Path, *, adds_bos: bool = False) -> int:
    """Trains a byte-level BPE on `SENTENCES`, saves it, and returns the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(SENTENCES * 5, trainer)
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    fast.save_pretrained(folder)
    return int(tokenizer.get_vocab_size())


def save_model(
    folder: Path, kind: str = "gpt2", *, adds_bos: bool = False, length: int = 64
) -> Path:
    """Saves a model with weights drawn from a fixed seed, wide enough to have opinions."""
    import torch
    import transformers

    vocabulary = save_tokenizer(folder, adds_bos=adds_bos)
    torch.manual_seed(7)
    ends: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 1}
    grouped = {
        "vocab_size": vocabulary, "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": length, "initializer_range": 0.3, **ends,
    }  # fmt: skip
    if kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=vocabulary, n_positions=length, n_embd=32, n_layer=2, n_head=4,
            initializer_range=0.3, **ends,
        )  # fmt: skip
    elif kind == "llama":
        config = transformers.LlamaConfig(**grouped)
    elif kind == "gemma2":
        config = transformers.Gemma2Config(
            **grouped, head_dim=8, final_logit_softcapping=3.0, attn_logit_softcapping=5.0,
            sliding_window=length,
        )  # fmt: skip
    elif kind == "cohere":
        config = transformers.CohereConfig(**grouped, logit_scale=0.25)
    elif kind == "bloom":
        config = transformers.BloomConfig(
            vocab_size=vocabulary, hidden_size=32, n_layer=2, n_head=4,
            initializer_range=0.3, **ends,
        )  # fmt: skip
    else:
        raise ValueError(kind)
    model = transformers.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    return folder
