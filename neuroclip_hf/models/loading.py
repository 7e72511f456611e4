"""What transformers prints while it reads and writes weights, and how it is kept quiet."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from transformers.utils import logging as transformers_logging


@contextmanager
def without_weight_bars() -> Iterator[None]:
    """Switch transformers' bars for reading and writing weights off inside; those of downloads stay."""
    shown = transformers_logging.is_progress_bar_enabled()
    downloads_hidden = are_progress_bars_disabled()
    transformers_logging.disable_progress_bar()
    if not downloads_hidden:
        enable_progress_bars()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
        if downloads_hidden:
            disable_progress_bars()


@contextmanager
def without_load_report() -> Iterator[None]:
    """Inside, do not print which weights of a checkpoint were not used: whoever loads looks at the lists."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
