"""The forward pass of a causal language model: log-likelihoods at the tokens that are asked for.

The body of the model runs over a batch; its head only at the places whose next token is scored, a
few hundred at a time, so that nothing as wide as the vocabulary is kept. The head is reached
through the model's own `forward` with its body replaced by what the body returned, so that
soft-caps and scales of logits (Gemma 2, Cohere, Granite) are the model's own code. GELU in its
tanh form, which many models write as eight operations, runs as one. On loading, each way to save
work is compared with the plain forward pass, and not used where it differs.
"""

import copy
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers.activations import NewGELUActivation
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions as BodyOutput

from raicurate.probes.token_trees import Row, TokenSequence, batches, rows

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Scored = tuple[torch.Tensor, torch.Tensor]

BATCH_TOKENS = {"cpu": 2048, "cuda": 32768}
"""Tokens of a batch with padding. On two cores more makes it slower: hidden states leave the
caches. A GPU needs many to be busy."""

HEAD_NUMBERS = {"cpu": 1 << 22, "cuda": 1 << 28}
"""Logits that are held at once: 16 MB stay in the caches of a CPU, 1 GB is little to a GPU."""

_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.25, torch.float16: 0.05}
"""Largest difference of one token in nats that is rounding: matrix products add up in another order
in another shape, and bfloat16 has 8 bits."""


class Forward:
    """A loaded model."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._device = next(model.parameters()).device
        self._batch_tokens = BATCH_TOKENS.get(self._device.type, BATCH_TOKENS["cuda"])
        self._head = self._reached_head()
        self._shares = True
        self._check()

    def score(
        self, sequences: Sequence[TokenSequence], *, share: bool
    ) -> list[tuple[Floats, Bools]]:
        """Returns, of each sequence, the nats of each scored token and if it was the first choice.

        Args:
            sequences: What to score.
            share: Whether to read what sequences have in common once.
        """
        nll = [np.zeros(len(one.tokens) - one.scored) for one in sequences]
        greedy = [np.zeros(len(one.tokens) - one.scored, bool) for one in sequences]
        packed = rows(sequences, share=share and self._shares)
        for batch in batches(packed, self._batch_tokens):
            with torch.inference_mode():
                found, first = self._batch(batch)
            owners = np.concatenate([row.owners for row in batch])
            # A sequence stands in one row, and there its scores stand together and in order.
            bounds = np.flatnonzero(np.diff(owners)) + 1
            for start, end in zip([0, *bounds], [*bounds, len(owners)], strict=True):
                nll[owners[start]][:], greedy[owners[start]][:] = found[start:end], first[start:end]
        return list(zip(nll, greedy, strict=True))

    def generate(
        self, prompts: Sequence[npt.NDArray[np.int64]], max_tokens: int, end: int | None
    ) -> list[list[int]]:
        """Returns the tokens that greedy decoding writes after each prompt, up to `end`."""
        written: list[list[int]] = [[] for _ in prompts]
        order = sorted(range(len(prompts)), key=lambda number: -len(prompts[number]))
        width = max(1, self._batch_tokens // (max_tokens + max(map(len, prompts), default=1)))
        for start in range(0, len(order), width):
            chosen = order[start : start + width]
            length = len(prompts[chosen[0]])
            tokens = np.zeros((len(chosen), length), np.int64)
            mask = np.zeros_like(tokens)
            for line, number in enumerate(chosen):
                tokens[line, length - len(prompts[number]) :] = prompts[number]
                mask[line, length - len(prompts[number]) :] = 1
            with torch.inference_mode():
                output = self._model.generate(
                    input_ids=torch.from_numpy(tokens).to(self._device),
                    attention_mask=torch.from_numpy(mask).to(self._device),
                    max_new_tokens=max_tokens, do_sample=False, num_beams=1, eos_token_id=end,
                    pad_token_id=0 if end is None else end,
                )  # fmt: skip
            for number, line in zip(chosen, output[:, length:].tolist(), strict=True):
                written[number] = line[: line.index(end)] if end in line else line
        return written

    def _batch(self, batch: Sequence[Row]) -> tuple[Floats, Bools]:
        hidden = self._hidden(batch)
        length = hidden.shape[1]
        sources = np.concatenate([row.sources + line * length for line, row in enumerate(batch)])
        targets = np.concatenate([row.targets for row in batch])
        # Where sequences of a tree share a source, its logits are computed once.
        unique, back = np.unique(sources, return_inverse=True)
        order = np.argsort(back, kind="stable")
        chosen = hidden.flatten(0, 1)[torch.from_numpy(unique).to(self._device)]
        places = torch.from_numpy(back[order]).to(self._device)
        asked = torch.from_numpy(targets[order]).to(self._device)
        nll, greedy = self._reduced(chosen, places, asked)
        unsorted = np.empty_like(order)
        unsorted[order] = np.arange(len(order))
        return nll.double().cpu().numpy()[unsorted], greedy.cpu().numpy()[unsorted]

    def _hidden(self, batch: Sequence[Row]) -> torch.Tensor:
        """Returns what the body makes of a batch, padded on the right; nothing attends to that."""
        length = max(len(row.tokens) for row in batch)
        tokens = np.zeros((len(batch), length), np.int64)
        for line, row in enumerate(batch):
            tokens[line, : len(row.tokens)] = row.tokens
        given: dict[str, Any] = {"input_ids": torch.from_numpy(tokens).to(self._device)}
        if batch[0].attends is not None:
            positions = np.zeros((len(batch), length), np.int64)
            attends = np.broadcast_to(np.eye(length, dtype=bool), (len(batch), length, length))
            attends = attends.copy()
            for line, row in enumerate(batch):
                size = len(row.tokens)
                positions[line, :size] = row.positions
                attends[line, :size, :size] = row.attends
            given["position_ids"] = torch.from_numpy(positions).to(self._device)
            mask = torch.zeros(attends.shape, dtype=self._model.dtype, device=self._device)
            mask.masked_fill_(
                ~torch.from_numpy(attends).to(self._device), torch.finfo(mask.dtype).min
            )
            given["attention_mask"] = mask[:, None]
        if self._head is None:
            logits: torch.Tensor = self._model(**given, use_cache=False).logits
            return logits
        body = getattr(self._model, self._model.base_model_prefix)
        hidden: torch.Tensor = body(**given, use_cache=False).last_hidden_state
        return hidden

    def _reduced(self, chosen: torch.Tensor, places: torch.Tensor, asked: torch.Tensor) -> Scored:
        """Returns nats and first choices; `places` says, in rising order, whose logits count."""
        budget = HEAD_NUMBERS.get(self._device.type, HEAD_NUMBERS["cuda"])
        step = max(1, budget // int(self._model.config.get_text_config().vocab_size))
        nll = torch.empty(len(asked), dtype=torch.float32, device=self._device)
        greedy = torch.empty(len(asked), dtype=torch.bool, device=self._device)
        starts = torch.arange(0, len(chosen) + step, step, device=self._device)
        bounds = torch.searchsorted(places, starts).tolist()
        for index, start in enumerate(range(0, len(chosen), step)):
            part = chosen[start : start + step]
            logits = (part if self._head is None else self._head(part)).float()
            line = places[bounds[index] : bounds[index + 1]] - start
            target = asked[bounds[index] : bounds[index + 1]]
            at_target = logits[line, target]
            highest = logits.amax(-1)
            total = highest + logits.sub_(highest[:, None]).exp_().sum(-1).log_()
            nll[bounds[index] : bounds[index + 1]] = total[line] - at_target
            greedy[bounds[index] : bounds[index + 1]] = at_target >= highest[line]
        return nll, greedy

    def _reached_head(self) -> "_Head | None":
        prefix = self._model.base_model_prefix
        return _Head(self._model, prefix) if prefix in dict(self._model.named_children()) else None

    def _check(self) -> None:
        """Gives up what the model does not bear, by comparison with its plain forward pass."""
        size = min(24, int(self._model.config.get_text_config().vocab_size) - 1)
        # Fixed tokens of no meaning; three sequences with a common beginning.
        shared = np.arange(24) * 7 % size + 1
        sequences = [
            TokenSequence(np.concatenate([shared, (np.arange(9 - step) * step) % size + 1]), 5)
            for step in (1, 2, 3)
        ]
        expected = [self._plain(sequence) for sequence in sequences]
        plain = _fuse_activations(self._model)
        if plain and not self._agrees(sequences, expected, share=False):
            for parent, name, activation in plain:
                setattr(parent, name, activation)
        if self._head is not None and not self._agrees(sequences, expected, share=False):
            self._head = None
        if not self._agrees(sequences, expected, share=True):
            self._shares = False
            logging.getLogger(__name__).info("this model reads each sequence by itself")

    def _agrees(
        self, sequences: Sequence[TokenSequence], expected: Sequence[Floats], *, share: bool
    ) -> bool:
        try:
            found = self.score(sequences, share=share)
        except (TypeError, ValueError, RuntimeError, AttributeError):
            return False  # it does not take such arguments
        bound = _TOLERANCE[self._model.dtype]
        return all(
            np.allclose(nll, plain, rtol=0, atol=bound)
            for (nll, _), plain in zip(found, expected, strict=True)
        )

    def _plain(self, sequence: TokenSequence) -> Floats:
        tokens = torch.from_numpy(sequence.tokens).to(self._device)
        with torch.inference_mode():
            logits = self._model(input_ids=tokens[None, :-1], use_cache=False).logits[0].float()
        chosen = torch.log_softmax(logits, -1).gather(-1, tokens[1:, None])[:, 0]
        found: Floats = -chosen[sequence.scored - 1 :].double().cpu().numpy()
        return found


def _fuse_activations(model: Any) -> list[tuple[Any, str, Any]]:
    """Replaces activations by a faster form of the same function; returns what stood there."""
    replaced = []
    for parent in model.modules():
        for name, child in parent.named_children():
            if isinstance(child, NewGELUActivation):
                replaced.append((parent, name, child))
    for parent, name, _ in replaced:
        setattr(parent, name, torch.nn.GELU(approximate="tanh"))
    return replaced


class _Head:
    """All that a model does to hidden states after its body."""

    def __init__(self, model: Any, prefix: str) -> None:
        self._stand_in = _StandIn()
        # A shallow copy has the same weights and code, and modules of its own.
        self._headed = copy.copy(model)
        self._headed._modules = {**model._modules, prefix: self._stand_in}

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        self._stand_in.hidden = hidden[None]
        logits: torch.Tensor = self._headed(input_ids=None, use_cache=False).logits[0]
        return logits


class _StandIn(torch.nn.Module):  # type: ignore[misc]
    """Returns given hidden states in place of the body."""

    hidden: torch.Tensor

    def forward(self, *_: Any, **__: Any) -> BodyOutput:
        """Returns them, whatever the input."""
        return BodyOutput(last_hidden_state=self.hidden)
