"""Names the language of each document: fast models first, a broad one for what they doubt.

The first two are small fastText models, over words and over n-grams of characters, that decide 17
frequent languages and are trained to doubt whatever is none of them (see `train_language`). The
second sees what the first doubts. Documents that both doubt, and short texts, on which they are
overconfident, go to the naive Bayes model of py3langid, which knows 117 languages with an ISO 639-1
code. py3langid reads byte by byte in Python; here its model is evaluated for
many documents at once with numpy, with the same answers.

`lang` is an ISO 639-1 code or `und`, never null. It is `und` where neither model is sure: no
letters, a language without a two-letter code, or, on texts such as `ok :)`, a confidence below
0.5 without the two models agreeing. `lang_score` is the confidence of the model that decided.
"""

import functools
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import py3langid.langid
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.transforms.fasttext_model import FastTextModel, file_sha256, lines_of
from raicurate.transforms.registry import Annotator, register
from raicurate.transforms.train_language import (
    DESCRIPTION,
    MODEL,
    OTHER,
    WORDS,
    decided_by_words,
    prepare,
    prepare_words,
)
from raicurate.transforms.word_vectors import WordVectors

SHIPPED = Path(__file__).parent / "models" / "language"

UNDETERMINED = "und"

CHARACTERS = 1000
"""How many code points of a document are looked at."""

SHORT = 300
"""Texts of fewer code points always go to the broad model. Of interface messages in languages
outside its training the fast model claims 5 % at 120 code points, 1 % from 400 on."""

SURE = 0.5
"""Confidence of the broad model below which its answer counts only if the fast model agrees. On
sentences cut to 30 code points answers below it are right in 66 % of cases, above it in 99 %."""

# The letters without which the answer of the first model is not believed: its n-grams say nothing
# about scripts that it was not trained on.
_SCRIPTS = {
    **dict.fromkeys(("ar", "fa", "ur"), r"\p{Arabic}"),
    **dict.fromkeys(("ru", "uk", "be", "bg"), r"\p{Cyrillic}"),
    **dict.fromkeys(("hi", "mr", "ne"), r"\p{Devanagari}"),
    "ja": r"[\p{Hiragana}\p{Katakana}]",
    "ko": r"\p{Hangul}",
    "zh": r"\p{Han}",
}

# ISO 639-1 codes and the ISO 639-3 codes, as other models answer with, that belong to them.
_CODES = """
af=afr am=amh ar=ara,arb,arz,ary,apc,acm,ajp,aeb as=asm av=ava ay=aym,ayr az=aze,azj,azb
ba=bak be=bel bg=bul bm=bam bn=ben bo=bod br=bre bs=bos ca=cat ce=che co=cos cs=ces
cu=chu cv=chv cy=cym da=dan de=deu dv=div dz=dzo ee=ewe el=ell en=eng eo=epo es=spa
et=est,ekk eu=eus fa=fas,pes,prs ff=ful,fuv fi=fin fj=fij fo=fao fr=fra fy=fry ga=gle
gd=gla gl=glg gn=grn,gug gu=guj gv=glv ha=hau he=heb hi=hin ho=hmo hr=hrv ht=hat hu=hun
hy=hye ia=ina id=ind ie=ile ig=ibo io=ido is=isl it=ita iu=iku,ike ja=jpn jv=jav ka=kat
kg=kon ki=kik kk=kaz kl=kal km=khm kn=kan ko=kor kr=kau,knc ks=kas ku=kur,kmr,ckb,sdh
kv=kom kw=cor ky=kir la=lat lb=ltz lg=lug li=lim ln=lin lo=lao lt=lit lu=lub lv=lav,lvs
mg=mlg,plt mh=mah mi=mri mk=mkd ml=mal mn=mon,khk mr=mar ms=msa,zsm mt=mlt my=mya na=nau
nd=nde ne=nep,npi nl=nld no=nor,nob,nb nn=nno nr=nbl nv=nav ny=nya oc=oci om=orm,gaz
or=ori,ory os=oss pa=pan pl=pol ps=pus,pbt pt=por qu=que,quy rm=roh rn=run ro=ron ru=rus
rw=kin sa=san sc=srd sd=snd se=sme sg=sag si=sin sk=slk sl=slv sm=smo sn=sna so=som
sq=sqi,als sr=srp,hbs,srl ss=ssw st=sot su=sun sv=swe sw=swa,swh ta=tam te=tel tg=tgk
th=tha ti=tir tk=tuk tl=tgl,fil tn=tsn to=ton tr=tur ts=tso tt=tat tw=twi,aka ty=tah
ug=uig uk=ukr ur=urd uz=uzb,uzn,uzs ve=ven vi=vie vo=vol wa=wln wo=wol xh=xho yi=yid,ydd
yo=yor za=zha zh=zho,cmn,yue,wuu zu=zul
"""
_TWO_LETTERS = {
    three: two
    for two, _, codes in (entry.partition("=") for entry in _CODES.split())
    for three in codes.split(",")
}


@functools.cache
def two_letter_code(label: str | None) -> str:
    """Returns the ISO 639-1 code of a model's label such as `eng_Latn` or `zh-Hans`, or `und`."""
    code = (label or "").replace("-", "_").partition("_")[0].lower()
    code = _TWO_LETTERS.get(code, code)
    return code if len(code) == 2 and code.isalpha() else UNDETERMINED


class BroadModel:
    """The model that py3langid bundles, evaluated for many texts at once.

    Its features are the final states of an automaton over UTF-8 bytes, which knows no more than the
    last bytes. So texts are cut into stretches, and all stretches step through it together.
    """

    def __init__(self) -> None:
        identifier = py3langid.langid.LanguageIdentifier.from_model_file(
            py3langid.langid.MODEL_FILE, norm_probs=True
        )
        self._rows = np.asarray(identifier.tk_row, dtype=np.int32) << 8
        self._next = np.asarray(identifier.tk_nextmove, dtype=np.int32)
        self._feature = np.asarray(identifier.tk_output, dtype=np.int32)
        self._weights = np.asarray(identifier.nb_ptc, dtype=np.float32)
        self._prior = np.asarray(identifier.nb_pc, dtype=np.float32)
        codes = np.array([two_letter_code(label) for label in identifier.nb_classes])
        order = np.argsort(codes, kind="stable")
        self._by_code = order[codes[order] != UNDETERMINED]
        self._codes, self._code_starts = np.unique(codes[self._by_code], return_index=True)
        self._codes = self._codes.tolist()

    @classmethod
    @functools.cache
    def load(cls) -> "BroadModel":
        """Returns the model, loaded once for each process."""
        return cls()

    @staticmethod
    def path() -> Path:
        """Returns the model file within the installed package."""
        return Path(py3langid.langid.MODEL_DIR) / py3langid.langid.MODEL_FILE

    def best(self, texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """Returns code and confidence of the likeliest language of every text."""
        codes = [UNDETERMINED] * len(texts)
        scores = np.zeros(len(texts), dtype=np.float32)
        for start in range(0, len(texts), _TOGETHER):
            group = slice(start, start + _TOGETHER)
            encoded = [_bytes_for_broad_model(text) for text in texts[group]]
            codes[group], scores[group] = self._decide(encoded)
        return codes, scores

    def _features(self, texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Returns all features of all texts, and by feature the index of its text."""
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        offsets = np.cumsum(lengths) - lengths
        # Zeros before and behind, so that no stretch ends outside.
        data = np.frombuffer(b"".join([bytes(_MEMORY), *texts, bytes(_STRETCH)]), dtype=np.uint8)
        counts = -(-lengths // _STRETCH)
        row = np.repeat(np.arange(len(texts)), counts)
        within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        starts = offsets[row] + within * _STRETCH
        ends = (offsets + lengths)[row]
        state = np.zeros(len(row), dtype=np.int32)
        features = np.full((_STRETCH, len(row)), -1, dtype=np.int32)
        for step in range(-_MEMORY, _STRETCH):
            if step == 0:
                state[within == 0] = 0  # nothing stands before a text
            state = self._next[self._rows[state] + data[starts + step + _MEMORY]]
            if step >= 0:
                features[step] = np.where(starts + step < ends, self._feature[state], -1)
        found = features >= 0
        return features[found], np.broadcast_to(row, features.shape)[found]

    def _decide(self, texts: list[bytes]) -> tuple[list[str], np.ndarray]:
        """Returns code and confidence for each text."""
        codes = [UNDETERMINED] * len(texts)
        confidence = np.zeros(len(texts), dtype=np.float32)
        feature, row = self._features(texts)
        if not len(row):
            return codes, confidence
        number = len(self._weights)
        found, counts = np.unique(row * number + feature, return_counts=True)
        row, feature = np.divmod(found, number)
        rows, starts = np.unique(row, return_index=True)
        evidence = np.log1p(counts.astype(np.float32))
        ends = [*starts[1:].tolist(), len(row)]
        scores = self._prior + np.stack(
            [
                evidence[start:end] @ self._weights[feature[start:end]]
                for start, end in zip(starts.tolist(), ends, strict=True)
            ]
        )
        # py3langid's temperature, which keeps confidence comparable across lengths.
        lengths = np.array([len(texts[index]) for index in rows.tolist()], dtype=np.float32)
        scores = np.exp((scores - scores.max(axis=1, keepdims=True)) / np.sqrt(lengths)[:, None])
        scores /= scores.sum(axis=1, keepdims=True)
        # Varieties of a language (Serbian in two scripts, Cantonese) count together.
        by_code = np.add.reduceat(scores[:, self._by_code], self._code_starts, axis=1)
        best = by_code.argmax(axis=1)
        confidence[rows] = np.minimum(by_code[np.arange(len(rows)), best], 1)
        for index, code in zip(rows.tolist(), best.tolist(), strict=True):
            codes[index] = self._codes[code]
        return codes, confidence


_TOGETHER = 512  # texts that step through the automaton together
_STRETCH = 64  # bytes
_MEMORY = 6  # bytes; the longest n-gram of the model that py3langid brings


def _bytes_for_broad_model(text: str) -> bytes:
    """Encodes a text as py3langid does before it looks at the bytes."""
    text = text.lower() if text.isupper() else text
    return unicodedata.normalize("NFC", text).encode()


@register("language@1")
class LanguageAnnotator(Annotator):
    """Fills `lang` (ISO 639-1 or `und`) and `lang_score` from the first 1,000 code points.

    Args:
        model: A fastText model to ask first, instead of those that ship: one trained by
            `train_language` (with its other files beside it), or any other with languages as
            labels, such as lid.176, GlotLID or OpenLID, whose licences are for the user to check.
        fallback: Whether what the first model doubts goes to the broad model. Without it, such
            texts are `und`.
        threshold: Confidence from which the first model decides; by default as the model's
            description says, or 0.8.
    """

    columns = ("lang", "lang_score")

    def __init__(
        self, model: str | None = None, fallback: bool = True, threshold: float | None = None
    ) -> None:
        self._path = SHIPPED / MODEL if model is None else Path(model)
        if not self._path.is_file():
            raise ManifestError(
                f"annotator 'language@1': there is no model at {self._path}, so no language can be "
                "told; correct `model`, or leave it out for the model that ships"
            )
        if threshold is not None and not 0 < threshold <= 1:
            raise ManifestError(
                f"annotator 'language@1': `threshold` is {threshold}, so nothing or everything "
                "would be doubted; give a confidence between 0 and 1"
            )
        description = _description(self._path)
        self._fallback = fallback
        self._parameters = description.get("parameters", {})
        self._threshold = threshold or self._parameters.get("threshold", 0.8)
        self._characters = self._parameters.get("characters")
        self._decides = description.get("decides")
        words = self._path.with_name(WORDS)
        self._words = words if "words_sha256" in description else None

    def setup(self) -> None:
        """Loads the models, about 1 MB and, with the fallback, 150 MB."""
        FastTextModel.load(self._path)
        if self._words:
            WordVectors.load(self._words)
        if self._fallback:
            BroadModel.load()

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Returns the columns `lang` and `lang_score`."""
        texts = pc.utf8_slice_codeunits(pc.fill_null(batch.column("text"), ""), 0, CHARACTERS)
        short = pc.less(pc.utf8_length(texts), SHORT).to_numpy(zero_copy_only=False)
        answers, scores, decided = self._ask_words(texts)
        if self._fallback:
            decided &= ~short
        rest = np.flatnonzero(~decided)
        answers[rest], scores[rest], decided[rest] = self._ask_ngrams(texts.take(pa.array(rest)))
        if self._fallback:
            decided &= ~short
        doubted = np.flatnonzero(~decided)
        if self._fallback and len(doubted):
            codes, confidence = BroadModel.load().best(texts.take(pa.array(doubted)).to_pylist())
            agreed = np.array(codes, dtype=object) == answers[doubted]
            scores[doubted] = np.where(agreed, np.maximum(confidence, scores[doubted]), confidence)
            sure = agreed | (confidence >= SURE)
            answers[doubted] = np.where(sure, np.array(codes, dtype=object), UNDETERMINED)
        else:
            answers[doubted] = UNDETERMINED
        return [pa.array(answers.tolist(), pa.string()), pa.array(scores, pa.float32())]

    def _ask_words(self, texts: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns code and confidence of every text, and whether they are decided."""
        if self._words is None:
            none = np.zeros(len(texts))
            return none.astype(object), none.astype(np.float32), none.astype(bool)
        labels, decided, scores = decided_by_words(
            WordVectors.load(self._words),
            prepare_words(texts, self._parameters["characters"]),
            self._decides or (),
            self._parameters,
        )
        answers = np.array([two_letter_code(label) for label in labels], dtype=object)
        return answers, scores, decided & _in_its_script(texts, answers)

    def _ask_ngrams(self, texts: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns code and confidence of every text, and whether they are decided."""
        model = FastTextModel.load(self._path)
        lines = lines_of(texts) if self._characters is None else prepare(texts, self._characters)
        labels, scores = model.best(lines)
        answers = np.array([two_letter_code(label) for label in labels], dtype=object)
        may_decide = np.array(
            [
                label not in {None, OTHER} and (self._decides is None or label in self._decides)
                for label in labels
            ],
            dtype=bool,
        )
        decided = may_decide & (scores >= self._threshold) & _in_its_script(texts, answers)
        return answers, scores, decided

    def model_digest(self) -> str:
        """Returns the digests of all models that are used."""
        paths = [self._path]
        if self._words:
            paths.append(self._words)
        if self._fallback:
            paths.append(BroadModel.path())
        return "+".join(file_sha256(path) for path in paths)

    def parameters(self) -> dict[str, Any]:
        """Returns what the answers depend on besides the models."""
        return {
            "threshold": self._threshold,
            "fallback": self._fallback,
            "characters": self._characters,
            "decides": self._decides,
            "words": {
                name: value for name, value in self._parameters.items() if name.startswith("words_")
            },
        }


def _in_its_script(texts: pa.Array, codes: np.ndarray) -> np.ndarray:
    """Whether each text has a letter of the script that its language is written in."""
    result = np.ones(len(codes), dtype=bool)
    for code, script in _SCRIPTS.items():
        rows = np.flatnonzero(codes == code)
        if len(rows):
            found = pc.match_substring_regex(texts.take(pa.array(rows)), script)
            result[rows] = found.to_numpy(zero_copy_only=False)
    return result


def _description(model: Path) -> dict[str, Any]:
    """Returns what `train_language` wrote beside its model; empty for any other model."""
    path = model.with_name(DESCRIPTION)
    if not path.is_file():
        return {}
    description: dict[str, Any] = orjson.loads(path.read_bytes())
    return description if description.get("model_sha256") == file_sha256(model) else {}
