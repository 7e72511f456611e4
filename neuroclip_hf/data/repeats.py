"""Which repeats of a picture are used of one session."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data.things_eeg2 import FACTS

REPEATS_PER_SESSION = {TRAIN: 2, TEST: 20}
"""Most repeats of a picture that are used of one session, as all recent work does; the rest is left out."""


def choose_repeats(pictures: Sequence[str] | Sequence[int], most: int) -> list[NDArray[np.int64]]:
    """Choose at most so many repeats of each picture, by the shuffle of Gifford et al. (NeuroImage 2022).

    Args:
        pictures (sequence of ids): what each event of a session shows, in the order of time.
        most (`int`): repeats to keep of one picture.

    Returns:
        For each picture, sorted by id, the places of its events in `pictures`, in the order of the shuffle.
    """
    import pandas as pd  # here, since `neuroclip --help` reads the constant above and should not wait
    from sklearn.utils import shuffle

    groups = pd.DataFrame({"picture": pictures}).groupby("picture").indices.values()
    return [shuffle(np.sort(places), random_state=FACTS.repeat_seed)[:most] for places in groups]
