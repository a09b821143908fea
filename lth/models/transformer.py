"""An attention encoder-decoder that is trained by CTC as well (Watanabe et al. 2017; Karita et al. 2019)."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lth.models.attention import Attention, FeedForward, KeyValue, Positions, key_mask
from lth.models.ctc import CTCLoss, Model, ctc_frames
from lth.models.lengths import Length, OverTokens, valid_frames
from lth.models.subsampling import Subsampling


class EncoderLayer(nn.Module):
    """A layer of the encoder: self-attention and a feed-forward layer, each normalised before (Xiong et al. 2020)."""

    def __init__(self, units: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.attention_norm = nn.LayerNorm(units)
        self.attention = Attention(units, heads, dropout)
        self.feed_norm = nn.LayerNorm(units)
        self.feed = FeedForward(units, hidden, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map (B, T, units), with its ``key_mask``, to (B, T, units)."""
        y = self.attention_norm(x)
        x = x + self.dropout(self.attention(y, self.attention.key_value(y), mask))
        return x + self.dropout(self.feed(self.feed_norm(x)))


class DecoderLayer(nn.Module):
    """A layer of the decoder: attention to the tokens before and to the encoder's frames, and a feed-forward layer."""

    def __init__(self, units: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.text_norm = nn.LayerNorm(units)
        self.text = Attention(units, heads, dropout)
        self.speech_norm = nn.LayerNorm(units)
        self.speech = Attention(units, heads, dropout)
        self.feed_norm = nn.LayerNorm(units)
        self.feed = FeedForward(units, hidden, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, speech: KeyValue, mask: Tensor | None, kv_cache: KeyValue | None
    ) -> tuple[Tensor, KeyValue]:
        """Map (B, L, units) to as many; also return the keys and values of these steps and those of ``kv_cache``."""
        y = self.text_norm(x)
        key_value = self.text.key_value(y)
        if kv_cache is not None:
            key_value = (torch.cat([kv_cache[0], key_value[0]], 2), torch.cat([kv_cache[1], key_value[1]], 2))
        x = x + self.dropout(self.text(y, key_value, causal=kv_cache is None))
        x = x + self.dropout(self.speech(self.speech_norm(x), speech, mask))
        return x + self.dropout(self.feed(self.feed_norm(x))), key_value


class TextDecoder(OverTokens):
    """A decoder that gives the probability of each token, given those before it and the encoder's frames."""

    def __init__(self, tokens: int, units: int, heads: int, hidden: int, layers: int, dropout: float):
        super().__init__()
        self.embedding = nn.Embedding(tokens, units)
        nn.init.normal_(self.embedding.weight, std=units**-0.5)
        self.positions = Positions(dropout)
        blocks = nn.ModuleList(DecoderLayer(units, heads, hidden, dropout) for _ in range(layers))
        self.layers = cast(Sequence[DecoderLayer], blocks)
        self.norm = nn.LayerNorm(units)
        self.output = nn.Linear(units, tokens)

    def key_values(self, encoded: Tensor) -> list[KeyValue]:
        """Return for each layer the keys and values of the encoder's (B, T', units)."""
        return [layer.speech.key_value(encoded) for layer in self.layers]

    def forward(
        self,
        tokens: Tensor,
        lengths: Tensor,
        speech: list[KeyValue],
        mask: Tensor | None,
        kv_cache: list[KeyValue] | None = None,
    ) -> tuple[Tensor, list[KeyValue]]:
        """Return logits (B, L, tokens) of what comes after each of (B, L) tokens, of which (B,) are real.

        Args:
            speech, mask: what ``key_values`` made of the encoder's frames, and their ``key_mask``; None: all are real.
            kv_cache: returned by the call for the tokens before these, which are one a sequence then.
        """
        x = self.positions(self.embedding(tokens), kv_cache[0][0].shape[2] if kv_cache else 0)
        key_values = []
        for n, layer in enumerate(self.layers):
            x, key_value = layer(x, speech[n], mask, kv_cache[n] if kv_cache else None)
            key_values.append(key_value)
        return self.output(self.norm(x)), key_values


class Transformer(Model):
    """An encoder-decoder, trained by ``ctc_weight`` of CTC on the encoder's frames and the rest of cross-entropy.

    Token 0 is the blank of CTC and both the start and the end of a sentence for the decoder.

    Args:
        features: bins a frame.
        tokens: output classes, token 0 included.
        channels: of the convolutions before the encoder.
        units, heads, feed_forward: width, heads and inner width of every layer.
        encoder_layers, decoder_layers: depths.
        ctc_weight: of CTC in the loss, between 0 and 1 and neither of them: both parts must learn to be of use.
        smoothing: the share of a label's probability that is spread over all tokens (Szegedy et al. 2016).

    Raises:
        ValueError: no layer, heads that do not divide the units, or a weight that is no such share.
    """

    family = "attention"

    def __init__(
        self,
        features: int,
        tokens: int,
        *,
        channels: int = 64,
        units: int = 256,
        heads: int = 4,
        feed_forward: int = 1024,
        encoder_layers: int = 6,
        decoder_layers: int = 2,
        dropout: float = 0.1,
        ctc_weight: float = 0.3,
        smoothing: float = 0.1,
    ):
        super().__init__()
        if min(encoder_layers, decoder_layers, channels, units, feed_forward) < 1:
            raise ValueError("channels, units, feed_forward, encoder_layers and decoder_layers are at least 1")
        if not 0 < ctc_weight < 1 or not 0 <= smoothing < 1:
            raise ValueError(f"ctc_weight={ctc_weight} lies between 0 and 1, smoothing={smoothing} from 0 to below 1")
        self.ctc_weight, self.smoothing = ctc_weight, smoothing
        self.subsampling = Subsampling(features, channels, units)
        self.positions = Positions(dropout)
        self.encoder = nn.ModuleList(EncoderLayer(units, heads, feed_forward, dropout) for _ in range(encoder_layers))
        self.norm = nn.LayerNorm(units)
        self.ctc = nn.Linear(units, tokens)
        self.decoder = TextDecoder(tokens, units, heads, feed_forward, decoder_layers, dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, features) and (B,) lengths to the encoder's (B, T', units) and (B,) lengths."""
        x, lengths = self.positions(self.subsampling(x)), self.out_length(lengths)
        mask = key_mask(lengths, x.shape[1])
        for layer in self.encoder:
            x = layer(x, mask)
        return self.norm(x), lengths

    def loss(self, encoded: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor, ctc: CTCLoss) -> Tensor:
        """Return the mean over the batch of both losses per token; the end of the sentence is a token to the
        decoder."""
        aligned = ctc(self.ctc(encoded), lengths, tokens, token_lengths)
        started = F.pad(tokens, (1, 0))
        steps = token_lengths + 1
        speech, mask = self.decoder.key_values(encoded), key_mask(lengths, encoded.shape[1])
        logits, _ = self.decoder(started, steps, speech, mask)
        wanted = F.pad(tokens, (0, 1)) * valid_frames(token_lengths, started.shape[1])
        each = F.cross_entropy(logits.transpose(1, 2).float(), wanted, reduction="none", label_smoothing=self.smoothing)
        attended = ((each * valid_frames(steps, started.shape[1])).sum(1) / steps).mean()
        return self.ctc_weight * aligned + (1 - self.ctc_weight) * attended

    def outputs(self, encoded: Tensor) -> Tensor:
        """Return all that comes out, (B, T', 2 x tokens): CTC's logits beside as many steps of the decoder's, of one
        and the same token."""
        steps = torch.zeros(encoded.shape[:2], dtype=torch.long, device=encoded.device)
        logits, _ = self.decoder(steps, steps[:, 0], self.decoder.key_values(encoded), None)
        return torch.cat([self.ctc(encoded), logits], -1)

    def out_length(self, length: Length) -> Length:
        """Return the encoder's frames for ``length`` input frames, an int or a tensor of them."""
        return self.subsampling.out_length(length)

    def frames_needed(self, tokens: Sequence[int]) -> int:
        """Return the frames that CTC needs for these tokens."""
        return ctc_frames(tokens)

    def prunable(self) -> dict[str, list[str]]:
        """Return the prunable parameters by layer, from input to output: convolutions, the four matrices of an
        attention, the two of a feed-forward layer, and the output layers; never a bias, a norm or the embedding."""
        layers: dict[str, list[str]] = {}
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                within = name.rsplit(".", 1)[0]
                layer = within if within.endswith((".attention", ".text", ".speech", ".feed")) else name
                layers.setdefault(layer, []).append(f"{name}.weight")
        return layers
