"""Which repeats of a picture are used of one session."""

from collections.abc import Sequence
from typing import Any

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
    from sklearn.utils import shuffle  # here, since `neuroclip --help` reads the constant above and should not wait

    places: dict[Any, list[int]] = {}
    for place, picture in enumerate(pictures):
        places.setdefault(picture, []).append(place)
    orders = {  # the shuffle depends on how many there are alone, and takes long to start
        count: shuffle(np.arange(count), random_state=FACTS.repeat_seed)[:most]
        for count in {len(found) for found in places.values()}
    }
    return [np.array(places[picture])[orders[len(places[picture])]] for picture in sorted(places)]
