"""One simulated recording: which picture is shown when, and the signal of all channels."""

from dataclasses import dataclass

import numpy as np

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data.simulation.background import Background
from neuroclip_hf.data.simulation.bad_channels import spoil
from neuroclip_hf.data.simulation.evoked import RESPONSE_LENGTH, adapted_drive, add_responses, make_kernel
from neuroclip_hf.data.simulation.randomness import random_of
from neuroclip_hf.data.simulation.settings import SimulationSettings
from neuroclip_hf.data.things_eeg2 import FACTS

_LEAD = 1.5  # seconds before the first and after the last response
_PAUSE = 0.8  # seconds between sequences
_SEQUENCE = 20  # pictures shown without a pause
_CATCH_TRIALS = 0.06  # of all trials
_RESOLUTION = 0.05  # one step of the recorder, in the sensors' scale


def list_recordings(settings: SimulationSettings) -> list[tuple[int, int, str]]:
    """Subject, session (counted from 1) and split of every recording, in the order in which they are made."""
    return [
        (subject, session, split)
        for subject in settings.subjects
        for session in range(1, settings.sessions + 1)
        for split in (TRAIN, TEST)
    ]


def count_samples(settings: SimulationSettings) -> int:
    """Samples of all recordings together; the sessions of all subjects are equally long."""
    first = [one for one in list_recordings(settings) if one[0] == settings.subjects[0]]
    return sum(plan_session(settings, *one).length for one in first) * len(settings.subjects)


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
        # Which pictures share a session is the subject's; each is shown in every second session, as in the dataset.
        group = random_of(settings.seed, subject, "groups").permutation(pictures) % settings.sessions
        here = [one for one in range(settings.sessions) if session - 1 in settings.sessions_of_group(one)]
        shown = np.flatnonzero(np.isin(group, here)) + 1
        repeats = settings.train_repeats // settings.sessions_of_training_picture
    else:
        shown = np.arange(1, settings.test_concepts + 1)
        repeats = settings.test_repeats // settings.sessions
    random = random_of(settings.seed, subject, f"order of {split}", session)
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
        (channels + 1, samples) float64: the channels in volts (MEG: tesla), then the stimulus channel, which holds the
        code at the onset. Nothing else of that size is made.
    """
    plan = plan_session(settings, subject, session, split)
    data = np.zeros((len(settings.channels) + 1, plan.length))
    random = random_of(settings.seed, subject, f"signal of {split}", session)
    shown = np.where(plan.codes == FACTS.catch_code, 0, plan.codes)
    with_catch = np.concatenate([np.zeros((1, picture_codes.shape[1])), picture_codes])  # a catch trial has no content
    simulate_signal(settings, subject, plan.onsets, with_catch[shown], data[:-1], random)
    for number, name in enumerate(settings.bad_channels):
        spoiled = random_of(settings.seed, subject, f"bad {name} of {split}", session)
        spoil(data[settings.channels.index(name)], number + settings.seed + subject, settings.sampling_rate, spoiled)
    data[:-1] /= _RESOLUTION
    np.rint(data[:-1], out=data[:-1])
    data[:-1] *= _RESOLUTION * settings.sensors.scale
    data[-1, plan.onsets] = plan.codes
    return data


def simulate_signal(
    settings: SimulationSettings,
    subject: int,
    onsets: np.ndarray,
    codes: np.ndarray,
    data: np.ndarray,
    random: np.random.Generator,
) -> None:
    """Write what the channels of `settings` record into `data`, whatever was shown when.

    Args:
        settings (`SimulationSettings`): its channels, sampling rate, signal-to-noise ratio and seed count.
        subject (`int`): whose recording.
        onsets (`numpy.ndarray`): (events,) in samples, ascending.
        codes (`numpy.ndarray`): (events, code size): the content of each picture.
        data (`numpy.ndarray`): (channels, samples), overwritten, in the sensors' scale (EEG: microvolts).
        random (`numpy.random.Generator`): of the recording.
    """
    rate = settings.sampling_rate
    background_of(settings, subject).fill(data, random, onsets)
    drive = adapted_drive(onsets / rate, codes, FACTS.stimulus_interval)
    add_responses(data, onsets, drive, response_kernel(settings, subject), rate, random)


def background_of(settings: SimulationSettings, subject: int) -> Background:
    """A subject's background activity on the channels of `settings`; [`Background.fill`] draws as much as wanted."""
    sensors = settings.sensors.pick(settings.channels)
    return Background(sensors, settings.sampling_rate, random_of(settings.seed, subject, "background"))


def response_kernel(settings: SimulationSettings, subject: int) -> np.ndarray:
    """What a subject's channels answer to a code, without noise.

    Returns:
        (1 + code size, channels, samples) from the onset, in the sensors' scale (EEG: microvolts). The first row is
        what every picture evokes; the response to `code` is `kernel[0] + np.tensordot(code, kernel[1:], 1)`, before
        adaptation and variability from trial to trial.
    """
    random = random_of(settings.seed, subject, "responses")
    kernel = make_kernel(settings.sensors, settings.sampling_rate, settings.snr, random)
    return kernel[:, settings.sensors.rows(settings.channels)]
