"""Models of Hugging Face: what they score is what their plain forward pass says."""

import math
from pathlib import Path

import numpy as np
import pytest
from small_models import SENTENCES, save_model

from raicurate.corpora_manifests.errors import UsageError
from raicurate.probes.backend import Backend, Request, open_backend

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.torch

KINDS = ["gpt2", "llama", "gemma2", "cohere", "bloom"]

REQUESTS = [
    Request(sentence[: len(sentence) // 2], continuation)
    for sentence in SENTENCES
    for continuation in (sentence[len(sentence) // 2 :], " never.", " always, and in writing.")
] + [Request("", "Trains run."), Request("The clerk", " m"), Request("The clerk ", "may")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A saved model of each kind."""
    return {kind: save_model(tmp_path_factory.mktemp(kind), kind) for kind in KINDS}


def _plain(folder: Path, tokens: list[int], scored: int) -> tuple[float, bool]:
    """Returns nats and greediness by one unpadded sequence and all of its logits."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        logits = model(torch.tensor([tokens[:-1]])).logits[0].float()
    nll = -torch.log_softmax(logits, -1)[torch.arange(len(tokens) - 1), tokens[1:]]
    first = logits.argmax(-1) == torch.tensor(tokens[1:])
    return float(nll[scored - 1 :].double().sum()), bool(first[scored - 1 :].all())


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_the_plain_forward_pass(folders: dict[str, Path], kind: str) -> None:
    """Trees, padding and the head at chosen places change nothing; nor do soft-caps and scales."""
    backend = open_backend(str(folders[kind]))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders[kind])
    for request, score in zip(REQUESTS, backend.score(REQUESTS), strict=True):
        joint = tokenizer.encode(request.context + request.continuation, add_special_tokens=False)
        alone = tokenizer.encode(request.context, add_special_tokens=False)
        shared = 0
        while shared < len(alone) and alone[shared] == joint[shared]:
            shared += 1
        nll, greedy = _plain(folders[kind], [0, *joint], 1 + shared)
        assert score.sum_nll_nats == pytest.approx(nll, abs=2e-4)
        assert score.is_greedy == greedy
        assert score.n_tokens == len(joint) - shared
        assert score.n_utf8_bytes == len(request.continuation.encode())


@pytest.mark.parametrize("kind", KINDS)
def test_documents_are_scored_in_windows(folders: dict[str, Path], kind: str) -> None:
    """A long document is scored token by token after a start of text and what fits before it."""
    backend = open_backend(f"{folders[kind]},window=32,stride=8")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders[kind])
    texts = [" ".join(SENTENCES), SENTENCES[0], "Yes", ""]
    found = backend.token_nll(texts)
    for text, nll in zip(texts, found, strict=True):
        tokens = tokenizer.encode(text, add_special_tokens=False)
        assert len(nll.nll_nats) == len(nll.starts) == len(tokens)
    tokens = tokenizer.encode(texts[0], add_special_tokens=False)
    expected = _plain(folders[kind], [0, *tokens[:32]], 1)[0]
    assert found[0].nll_nats[:32].sum() == pytest.approx(expected, abs=2e-4)
    expected = _plain(folders[kind], [0, *tokens[8:40]], 1 + 24)[0]
    assert found[0].nll_nats[32:40].sum() == pytest.approx(expected, abs=2e-4)
    assert found[3].nll_nats.sum() == 0


def test_sharing_and_the_short_head_are_used(folders: dict[str, Path]) -> None:
    """Common models bear both ways to save work; a model with ALiBi reads each sequence alone."""
    for kind in KINDS:
        backend = open_backend(str(folders[kind]))
        backend.score(REQUESTS[:1])
        forward = backend._forward  # type: ignore[attr-defined]
        assert forward._head is not None, kind
        assert forward._shares == (kind != "bloom"), kind


def test_tokens_begin_where_their_characters_do(folders: dict[str, Path]) -> None:
    """Starts are bytes of the document and never fall; a split character is its first token's."""
    backend = open_backend(str(folders["gpt2"]))
    text = "Straße 個人 😀 ok"
    (nll,) = backend.token_nll([text])
    assert nll.starts[0] == 0
    assert (np.diff(nll.starts) >= 0).all()
    characters = np.cumsum([0, *(len(char.encode()) for char in text)])
    assert set(nll.starts) <= set(characters.tolist())


def test_the_tokenizer_adds_no_second_start_of_text(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    """A tokenizer that adds a start of text by itself scores like one that does not."""
    adding = open_backend(str(save_model(tmp_path / "adding", adds_bos=True)))
    plain = open_backend(str(folders["gpt2"]))
    assert [score.sum_nll_nats for score in adding.score(REQUESTS)] == [
        score.sum_nll_nats for score in plain.score(REQUESTS)
    ]


def test_answers_do_not_depend_on_the_batch(folders: dict[str, Path]) -> None:
    """One by one, together, and in another order, the same scores up to rounding."""
    backend = open_backend(str(folders["llama"]))
    together = [score.sum_nll_nats for score in backend.score(REQUESTS)]
    alone = [backend.score([request])[0].sum_nll_nats for request in REQUESTS]
    reverse = [score.sum_nll_nats for score in backend.score(REQUESTS[::-1])][::-1]
    assert together == pytest.approx(alone, abs=1e-4)
    assert together == pytest.approx(reverse, abs=1e-4)


def test_generation_is_greedy_and_stops(folders: dict[str, Path]) -> None:
    """Prompts of other lengths in the batch change nothing; a stop mark cuts."""
    backend = open_backend(str(folders["llama"]))
    prompts = ["Trains run", "The clerk may close the account", "W"]
    written = backend.generate(prompts, max_tokens=6)  # type: ignore[attr-defined]
    for prompt, text in zip(prompts, written, strict=True):
        assert backend.generate([prompt], max_tokens=6) == [text]  # type: ignore[attr-defined]
    mark = next(text for text in written if len(text) > 2)[1:3]
    cut = backend.generate(prompts, max_tokens=6, stop=[mark])  # type: ignore[attr-defined]
    assert all(mark not in text for text in cut)
    assert cut != written


def test_the_digest_names_weights_and_window(tmp_path: Path, folders: dict[str, Path]) -> None:
    """The same files have the same digest, wherever they stand; another window has another."""
    first = open_backend(str(folders["gpt2"]))
    copy = open_backend(str(save_model(tmp_path / "copy")))
    assert first.digest == copy.digest
    assert first.digest != open_backend(f"{folders['gpt2']},window=32").digest
    assert first.digest != open_backend(str(folders["llama"])).digest
    assert "_forward" not in vars(first), "a digest needs no weights in memory"


def test_it_is_a_backend(folders: dict[str, Path]) -> None:
    """The class keeps the protocol, and says how it scores."""
    backend = open_backend(f"hf:{folders['gpt2']}")
    assert isinstance(backend, Backend)
    assert backend.capabilities.window_tokens == 65
    assert backend.capabilities.stride_tokens == 32
    assert backend.capabilities.prefix == 0
    assert math.isclose(backend.score([Request("", "a")])[0].n_tokens, 1)


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("{folder},window=1000", "reads 64 tokens at once"),
        ("{folder},windows=8", "no option 'windows'"),
        ("{folder},stride=x", "no number"),
        ("{folder},precision=int3", "precision"),
        ("{folder}/nothing", "no directory"),
        ("{folder}/..", "no config.json"),
    ],
)
def test_wrong_references_are_refused(folders: dict[str, Path], rest: str, message: str) -> None:
    """Each says what is wrong, before any weights are read."""
    with pytest.raises(UsageError, match=message):
        _ = open_backend("hf:" + rest.format(folder=folders["gpt2"])).capabilities


def test_what_does_not_fit_is_refused(folders: dict[str, Path]) -> None:
    """Nothing is cut off in silence: neither a context nor an empty continuation."""
    backend = open_backend(str(folders["gpt2"]))
    with pytest.raises(UsageError, match="its window holds 65"):
        backend.score([Request(" ".join(SENTENCES), " yes")])
    with pytest.raises(UsageError, match="empty continuation"):
        backend.score([Request("a", "")])
