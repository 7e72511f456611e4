"""Random numbers for a purpose."""

import numpy as np


def random_of(seed: int, subject: int, purpose: str, number: int = 0) -> np.random.Generator:
    """A generator of its own for every purpose, so that more of one thing never changes another.

    Args:
        seed (`int`): of the whole simulation.
        subject (`int`): whose; 0 for what all share.
        purpose (`str`): any words that nothing else uses.
        number (`int`): tells a session or run from the others.
    """
    return np.random.default_rng(np.random.SeedSequence([seed, subject, number, *purpose.encode()]))
