"""One simulated recording: which picture is shown when, and the signal of all channels."""

from dataclasses import dataclass

import numpy as np

from neuroclip_hf.columns import TRAIN
from neuroclip_hf.data.simulation.background import Background
from neuroclip_hf.data.simulation.evoked import RESPONSE_LENGTH, add_responses, make_kernel
from neuroclip_hf.data.simulation.settings import SimulationSettings
from neuroclip_hf.data.things_eeg2 import FACTS

_LEAD = 1.5  # seconds before the first and after the last response
_PAUSE = 0.8  # seconds between sequences
_SEQUENCE = 20  # pictures shown without a pause
_CATCH_TRIALS = 0.06  # of all trials
_RESOLUTION = 0.05  # microvolts of one step of the recorder


@dataclass(frozen=True)
class SessionPlan:
    """What is shown in a recording.

    Args:
        onsets (`numpy.ndarray`): (events,) in samples.
        codes (`numpy.ndarray`): (events,) stimulus codes: a row of the metadata counted from 1, or the catch code.
        length (`int`): of the recording, in samples.
    """

    onsets: np.ndarray
    codes: np.ndarray
    length: int


def plan_session(settings: SimulationSettings, subject: int, session: int, split: str) -> SessionPlan:
    """Draw the order of pictures of a session (counted from 1): sequences at 5 Hz with pauses, and catch trials."""
    if split == TRAIN:
        pictures = settings.concepts * settings.images_per_concept
        shares = settings.sessions_of_training_picture
        # Which pictures share a session is the subject's; each is shown in every second session, as in the dataset.
        group = random_of(settings, subject, "groups").permutation(pictures) % settings.sessions
        sessions = (group[:, None] + 2 * np.arange(shares)) % settings.sessions
        shown = np.flatnonzero((sessions == session - 1).any(axis=1)) + 1
        repeats = settings.train_repeats // shares
    else:
        shown = np.arange(1, settings.test_concepts + 1)
        repeats = settings.test_repeats // settings.sessions
    random = random_of(settings, subject, f"order of {split}", session)
    catches = np.full(round(_CATCH_TRIALS * len(shown) * repeats), FACTS.catch_code)
    codes = random.permutation(np.concatenate([np.tile(shown, repeats), catches]))
    places = np.arange(len(codes))
    times = _LEAD + FACTS.stimulus_interval * places + _PAUSE * (places // _SEQUENCE)
    onsets = np.rint(times * settings.sampling_rate).astype(np.int64)
    end = _LEAD + RESPONSE_LENGTH + (times[-1] if len(times) else 0)
    return SessionPlan(onsets, codes, round(end * settings.sampling_rate))


def simulate_session(
    settings: SimulationSettings, subject: int, session: int, split: str, picture_codes: np.ndarray
) -> np.ndarray:
    """The signal of a session.

    Args:
        settings (`SimulationSettings`): all settings.
        subject (`int`): whose recording.
        session (`int`): which, counted from 1.
        split (`str`): "train" or "test".
        picture_codes (`numpy.ndarray`): (pictures, code size), in the order of the metadata.

    Returns:
        (channels + 1, samples) float64: EEG in volts, then the stimulus channel, which holds the code at the onset.
        Nothing else of that size is made.
    """
    plan = plan_session(settings, subject, session, split)
    data = np.zeros((len(settings.channels) + 1, plan.length))
    eeg = data[:-1]
    random = random_of(settings, subject, f"signal of {split}", session)
    Background(settings.channels, settings.sampling_rate, random_of(settings, subject, "background")).fill(eeg, random)
    shown = np.where(plan.codes == FACTS.catch_code, 0, plan.codes)
    with_catch = np.concatenate([np.zeros((1, picture_codes.shape[1])), picture_codes])  # a catch trial has no content
    kernel = make_kernel(
        settings.sampling_rate, settings.channels, settings.snr, random_of(settings, subject, "responses")
    )
    add_responses(eeg, plan.onsets, with_catch[shown], kernel, settings.sampling_rate, random)
    eeg /= _RESOLUTION
    np.rint(eeg, out=eeg)
    eeg *= _RESOLUTION * 1e-6
    data[-1, plan.onsets] = plan.codes
    return data


def random_of(settings: SimulationSettings, subject: int, purpose: str, session: int = 0) -> np.random.Generator:
    """A generator of its own for every purpose, so that more of one thing never changes another."""
    return np.random.default_rng(np.random.SeedSequence([settings.seed, subject, session, *purpose.encode()]))
