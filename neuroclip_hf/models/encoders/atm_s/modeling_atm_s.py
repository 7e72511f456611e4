"""ATM-S: channels attend to each other and to a token of their subject, then convolutions."""

import torch
from torch import nn

from neuroclip_hf.models.batches import require_subjects
from neuroclip_hf.models.encoders.atm_s.configuration_atm_s import ATMSConfig
from neuroclip_hf.models.encoders.base import EEGEncoder
from neuroclip_hf.models.encoders.convolution import nice_convolutions
from neuroclip_hf.models.encoders.layers import ResidualProjector, SelfAttention, feed_forward


class SubjectTokens(nn.Module):
    """A learned token for each subject, and a last one that all unknown subjects share."""

    def __init__(self, num_subjects: int, width: int, dropout: float) -> None:
        super().__init__()
        self.num_subjects, self.dropout = num_subjects, dropout
        self.tokens = nn.Embedding(num_subjects + 1, width)

    def forward(self, subject_index: torch.Tensor | None, batch: int) -> torch.Tensor:
        """(batch,) places of subjects, or `None`, to (batch, 1, width)."""
        unknown = torch.full((batch,), self.num_subjects, device=self.tokens.weight.device)
        if subject_index is None:
            return self.tokens(unknown)[:, None]
        places = subject_index.to(unknown)
        is_unknown = (places < 0) | (places >= self.num_subjects)
        if self.training and self.dropout > 0:
            is_unknown = is_unknown | (torch.rand(batch, device=places.device) < self.dropout)
        return self.tokens(torch.where(is_unknown, unknown, places))[:, None]


class ChannelAttentionLayer(nn.Module):
    """Attention among tokens, then a small network for each, each added and then layer-normalised."""

    def __init__(self, config: ATMSConfig) -> None:
        super().__init__()
        width, dropout = config.convolved_size, config.token_dropout
        head_size = width // config.num_heads
        self.attention = SelfAttention(width, config.num_heads, dropout, scale=head_size**-0.5)
        self.attention_dropout = nn.Dropout(dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.network = feed_forward(width, config.feedforward_size, dropout)
        self.network_norm = nn.LayerNorm(width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, tokens, width) to the same."""
        tokens = self.attention_norm(tokens + self.attention_dropout(self.attention(tokens)))
        return self.network_norm(tokens + self.network(tokens))


class ATMSEncoder(EEGEncoder):
    """ATM-S: every channel is a token; channels and a token of the subject attend to each other, then TSConv.

    Each channel's samples are mapped linearly to a token. A learned token of the subject is put in front, layers of
    attention mix them, and what the channels have become is read by TSConv's convolutions and projector as if it were
    EEG.

    Subjects: `subject_index` (batch,) counts from 0 to `num_subjects` - 1. `None`, or -1, which the processor gives
    for a subject that was not trained on, is answered with the token of unknown subjects, row by row; any other index
    is refused. That token learns in training: a random `subject_dropout` of the rows is shown as unknown, so it
    becomes what the subjects have in common. With `num_subjects` 0, whatever the index, or training without
    `subject_index`, it is the only one.

    Source: ATM-S (Li et al., NeurIPS 2024, "Visual Decoding and Reconstruction via EEG Embeddings with Guided
    Diffusion"), its public code, dongyangli-del/EEG_Image_decode; the attention is that of iTransformer (Liu et al.,
    ICLR 2024).

    Shapes: (batch, num_channels, num_timesteps), and (batch,) subjects, to (batch, hidden_size).

    Units: standard deviations of the training trials in; layer-normalised features out. Kernels are in samples and do
    not follow the sampling rate; the defaults are for 250 Hz.

    Differences from the source: sizes come from the config. The convolutions read all channels; the source keeps the
    first 63 of 64 tokens, which are the subject's and all channels but the last. Unknown subjects are told row by row
    and their token is trained by dropout (ours); in the source one index out of range makes the whole batch unknown,
    and indices count from 1 to 10 in a table of 10, so that subject 10 alone trains that token. Its mask token, time
    features and linear layers for each subject, which nothing uses, are left out. Keys, and convolutions in front of
    batch norm, have no bias, which would be dead. Start weights are torch's.
    """

    config: ATMSConfig

    def build(self, config: ATMSConfig) -> None:
        """See [`BrainEncoder`]."""
        width = config.convolved_size
        self.embedding = nn.Linear(config.num_timesteps, width)
        self.subjects = SubjectTokens(config.num_subjects, width, config.subject_dropout)
        self.embedding_dropout = nn.Dropout(config.token_dropout)
        self.layers = nn.Sequential(*(ChannelAttentionLayer(config) for _ in range(config.num_layers)))
        self.norm = nn.LayerNorm(width)
        self.features = nice_convolutions(config)
        self.projector = ResidualProjector(config.flat_size, config.hidden_size, config.projector_dropout)

    def encode(self, values: torch.Tensor, subject_index: torch.Tensor | None) -> torch.Tensor:
        """See [`BrainEncoder`]."""
        if subject_index is not None and self.config.num_subjects > 0:
            require_subjects(subject_index, self.config.num_subjects)
        subjects = self.subjects(subject_index, len(values))
        tokens = torch.cat([subjects, self.embedding(values)], dim=1)  # (B, 1 + C, D)
        tokens = self.norm(self.layers(self.embedding_dropout(tokens)))
        maps = self.features(tokens[:, None, 1:])  # (B, 1, C, D) -> (B, filters, 1, positions)
        return self.projector(maps.flatten(1))
