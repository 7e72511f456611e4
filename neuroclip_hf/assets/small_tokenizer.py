"""A byte-level BPE tokenizer of at most 1,000 entries in the form of `CLIPTokenizer`."""

import json
from collections.abc import Sequence

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

VOCABULARY = 1000
MAX_TOKENS = 32
_START, _END = "<|startoftext|>", "<|endoftext|>"
_WORD_END = "</w>"


def make_tokenizer(texts: Sequence[str]) -> CLIPTokenizer:
    """Learn merges from `texts`. Whatever else is said tokenises too, at worst byte by byte.

    CLIP's tokenizer marks the end of a word on its last symbol. The trainer makes such an entry only of bytes at the
    end of a word in `texts`; here every byte has both entries, so that no word is ever unknown.
    """
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    symbols += [symbol + _WORD_END for symbol in symbols]
    merges = _learn_merges(texts, VOCABULARY - len(symbols) - 2)
    entries = [_START, _END, *symbols, *("".join(pair) for pair in merges)]
    vocabulary = {entry: number for number, entry in enumerate(dict.fromkeys(entries))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS)


def _learn_merges(texts: Sequence[str], count: int) -> list[tuple[str, str]]:
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix=_WORD_END))
    form = CLIPTokenizer().backend_tokenizer
    tokenizer.normalizer, tokenizer.pre_tokenizer = form.normalizer, form.pre_tokenizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        # The trainer counts the bytes that it met, with and without the end of a word, among its entries.
        vocab_size=count + len(alphabet),
        initial_alphabet=alphabet,
        end_of_word_suffix=_WORD_END,
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(set(texts)), trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(first, second) for first, second in merges][:count]
