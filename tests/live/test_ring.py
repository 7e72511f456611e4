"""The latest samples, by their numbers."""

import numpy as np
import pytest

from neuroclip_hf.live.ring import RingBuffer


@pytest.mark.parametrize("chunk", [1, 3, 10, 25])
def test_the_latest_samples_are_kept(chunk):
    values, ring = np.arange(100.0).reshape(50, 2), RingBuffer(2, 10)
    for first in range(0, 50, chunk):
        ring.add(values[first : first + chunk], np.arange(50.0)[first : first + chunk])
    assert (ring.count, ring.first, ring.newest) == (50, 40, 49.0)
    np.testing.assert_array_equal(ring.values(43, 5), values[43:48].T)
    np.testing.assert_array_equal(ring.times(40, 10), np.arange(40.0, 50.0))
    for first, count in ((39, 2), (45, 6)):
        with pytest.raises(IndexError):
            ring.values(first, count)
