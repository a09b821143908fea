"""Beam search over CTC by torchaudio and flashlight-text, with words, a language model and hot words as wanted."""

import math
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lth.decoding.language import LanguageModel
from lth.decoding.lexicon import BLANK, SILENCE, names, space_of, spelled, vocabulary
from lth.decoding.ngram import UNKNOWN
from lth.decoding.options import check, check_spelling
from lth.decoding.quiet import quiet
from lth.errors import needs
from lth.speech.tokens import Tokens

if TYPE_CHECKING:
    from torchaudio.models.decoder import CTCDecoder

#: A log probability of nothing that keeps sums finite.
NEVER = -1e4


class Beam:
    """Search for the text with most probability over its CTC alignments, ``decoder=beam`` (Graves et al. 2006; Hannun
    et al. 2014).

    With ``lm`` or ``lexicon`` only known words are put out, and ``alpha log p(word) + beta`` is added for each. Without
    either, any tokens are.

    Args:
        tokens: of the model's output.
        family: the kind of model.
        width: texts that are kept from frame to frame.
        threshold: how much worse than the best, in natural log probability, a text may be and still be kept.
        tokens_tried: the likeliest tokens of a frame that are tried; None for all of them.
        lm: an n-gram model in ARPA or KenLM's binary form.
        alpha, beta: weight of its natural log probabilities, and bonus for each word.
        lexicon: a file with a word a line; None: the words of ``lm``, which has to be ARPA then.
        hotwords, boost: words that are known too, and what is added for each of them.
        processes: that decode; None: as many as torch has threads.

    Raises:
        ValueError: an option makes no sense, or a hot word cannot be spelled.
        UserError: flashlight-text is not installed, or a file is not there, damaged, or holds no word that the tokens
            can spell.
    """

    families: tuple[str, ...] = ("ctc",)

    def __init__(
        self,
        tokens: Tokens,
        family: str,
        *,
        width: int = 100,
        threshold: float = 25.0,
        tokens_tried: int | None = None,
        lm: str | None = None,
        alpha: float = 0.5,
        beta: float = 0.0,
        lexicon: str | None = None,
        hotwords: Sequence[str] | None = None,
        boost: float = 5.0,
        processes: int | None = None,
    ):
        check(width=width, threshold=threshold, tokens_tried=tokens_tried, alpha=alpha, beta=beta, boost=boost)
        check(lm=lm, lexicon=lexicon, hotwords=hotwords, processes=processes)
        if hotwords and not lm:
            raise ValueError("hotwords are words among words: give lm too")
        check_spelling(hotwords or (), tokens)
        self.tokens, self.space, self.processes = tokens, space_of(tokens), processes
        self.between = " " if " " in tokens.characters else ""  # words, in the texts that the model learnt
        self.spellings = None
        if lm or lexicon:
            known = [*vocabulary(lm, lexicon), *(hotwords or ())]
            self.spellings = spelled(known, tokens, f"decoder.lexicon={lexicon}" if lexicon else f"decoder.lm={lm}")
        model = LanguageModel(lm) if lm else None  # says what is wrong with a file, which flashlight does not
        with needs("lm", "decoder=beam"):
            import flashlight.lib.text.decoder  # noqa: F401 (torchaudio names no remedy for its absence)
        if hotwords and model and self.spellings:
            from lth.decoding.words import HotWords

            options = {"lm": HotWords(model, list(self.spellings), alpha, hotwords, boost), "lm_weight": 1.0}
        else:  # KenLM's logarithms are to base 10
            options = {"lm": str(model.path) if model else None, "lm_weight": alpha * math.log(10)}
        options |= {"beam_size": width, "beam_threshold": threshold, "beam_size_token": tokens_tried}
        self.search = _search(names(tokens), self.spellings, word_score=beta, **options)

    @torch.no_grad()
    def __call__(self, model: nn.Module, logits: Tensor, lengths: Tensor) -> list[str]:
        """Return the texts of B utterances from the (B, T', tokens) logits of ``model`` and their (B,) lengths."""
        emissions = logits.float().log_softmax(-1).cpu()
        parts = [x[:length].numpy() for x, length in zip(emissions, lengths.tolist(), strict=True)]
        if self._processes == 1 or len(parts) == 1:
            return [self.text(part) for part in parts]
        return list(self._pool.map(_text, parts))

    def text(self, emissions) -> str:
        """Return the text of (T, tokens) float32 log probabilities, an array."""
        if not len(emissions):
            return ""
        emissions = torch.from_numpy(emissions)
        if self.spellings is not None:
            emissions = self._closed(emissions)
        (hypotheses,) = self.search(emissions[None].contiguous())
        if not hypotheses:
            return ""
        best = hypotheses[0]
        if self.spellings is None:
            return self.tokens.decode(best.tokens.tolist())
        return self.between.join(best.words)

    def _closed(self, emissions: Tensor) -> Tensor:
        """Append a silent frame, which completes the last word as a space between two words does."""
        if self.space is None:  # pieces say where a word begins; silence is a token that never comes
            return torch.nn.functional.pad(emissions, (0, 1), value=NEVER)
        last = torch.full_like(emissions[:1], NEVER)
        last[0, self.space] = 0.0
        return torch.cat([emissions, last])

    @property
    def _processes(self) -> int:
        return self.processes or torch.get_num_threads()

    @cached_property
    def _pool(self) -> ProcessPoolExecutor:
        """Start the processes that search: flashlight holds Python's lock, so threads would wait for each other."""
        context = multiprocessing.get_context("fork")  # which copies the search, that cannot be pickled
        return ProcessPoolExecutor(self._processes, context, _adopt, (self,))


def _search(names: list[str], spellings: dict[str, list[list[str]]] | None, **options) -> "CTCDecoder":
    from torchaudio.models.decoder import ctc_decoder

    options |= {"blank_token": BLANK, "sil_token": SILENCE, "unk_word": UNKNOWN, "log_add": True}
    with TemporaryDirectory() as folder, quiet():
        if spellings is None:
            return ctc_decoder(None, names, **options)
        lexicon, numbers = Path(folder) / "lexicon.txt", Path(folder) / "words.txt"
        lines = (f"{word} {' '.join(spelling)}\n" for word, variants in spellings.items() for spelling in variants)
        lexicon.write_text("".join(lines), encoding="utf-8")
        # Without it words are numbered as a hash map of C++ has them, which no language model of ours could know.
        numbers.write_text("".join(f"{word}\n" for word in [*spellings, UNKNOWN]), encoding="utf-8")
        return ctc_decoder(str(lexicon), names, lm_dict=str(numbers), **options)


_adopted: Beam


def _adopt(beam: Beam) -> None:
    global _adopted
    _adopted = beam
    torch.set_num_threads(1)


def _text(emissions) -> str:
    return _adopted.text(emissions)
