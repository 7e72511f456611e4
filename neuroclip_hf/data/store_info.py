"""store.json: what a trial store holds, how it was made, and the checksums of its files."""

import hashlib
import json
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from neuroclip_hf.data.store_layout import STORE_FILE
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, write_json

FORMAT = 1
DIGEST = "digest"
"""The entry of store.json that vouches for all others."""
WITHOUT_PICTURES = "The pictures are not in this store: it came from an export without them."
"""Warning of a store that was imported without its pictures."""


@dataclass(frozen=True)
class StoreInfo:
    """What store.json says.

    Args:
        modality (`str`): "eeg", "meg" or "fmri".
        channels (`list[str]`): names, in the order of the arrays; voxels have generated names.
        unit (`str`): what an array holds once scaled: "V", "T", "sd" (whitened) or "au".
        scale, offset (`list[float]`): a channel: value in `unit` = stored number x scale + offset. EEG is stored in
            microvolts (scale 1e-6), MEG in femtotesla, whitened data as they are; arbitrary units are standardised.
        sampling_rate (`float` or None): Hz; None for patterns.
        window_start (`float`): seconds from the onset to the first sample.
        num_timesteps (`int` or None): samples of a trial; None for patterns.
        protocol (`str`): one of `columns.PROTOCOLS`.
        target (`str`): "image" where each trial names its picture, "concept" where only the concept is known.
        data (`str`): "recorded" or "simulated".
        source (`str`): what it was made from: "recordings", "things-eeg2", "arrays". `settings` of THINGS-EEG2 says
            by which `layout`, and `already_epoched` where others had cut and whitened the epochs.
        settings (`dict`): every setting of the preparation.
        epochs (`dict` or None): settings that cut another recording the same way (`EpochSettings`).
        whitening_fit (`str` or None): what each whitening matrix was fitted on; None where nothing was whitened.
        redistribute_pictures (`bool`): whether the pictures may be shared; False unless somebody said so.
        versions (`dict`): of this package and the libraries that the numbers depend on.
        sources (`dict`): recording file name -> sha256.
        warnings (`list[str]`): what the preparation had to leave out.
        checksums (`dict`): file inside the store -> sha256.
        format (`int`): of the store; another one is refused.
    """

    modality: str
    channels: list[str]
    unit: str
    scale: list[float]
    offset: list[float]
    sampling_rate: float | None
    window_start: float
    num_timesteps: int | None
    protocol: str
    target: str
    data: str
    source: str
    settings: dict[str, Any]
    epochs: dict[str, Any] | None = None
    whitening_fit: str | None = None
    redistribute_pictures: bool = False
    versions: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    checksums: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @property
    def window(self) -> tuple[float, float] | None:
        """What a trial holds, in seconds from the onset, the end not included; None for patterns."""
        if self.sampling_rate is None or self.num_timesteps is None:
            return None
        return self.window_start, self.window_start + self.num_timesteps / self.sampling_rate

    @property
    def times(self) -> list[float] | None:
        """Seconds from the onset of every sample of a trial; None for patterns."""
        if self.sampling_rate is None or self.num_timesteps is None:
            return None
        return [round(self.window_start + sample / self.sampling_rate, 9) for sample in range(self.num_timesteps)]

    @property
    def trial_shape(self) -> tuple[int, ...]:
        """Shape of one trial: `(channels, samples)`, or `(voxels,)` for patterns."""
        timesteps = () if self.num_timesteps is None else (self.num_timesteps,)
        return (len(self.channels), *timesteps)

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with anything in the store.

        Fields at their default are left out, so that one which a later version adds does not rename the stores that
        came before it.
        """
        defaults = {one.name: _default(one) for one in fields(self)}
        said = {name: value for name, value in self.to_dict().items() if value != defaults[name]}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def write_store_info(folder: Path, info: StoreInfo) -> None:
    """Write the store.json of a folder: what `info` says, the times of the samples, and a digest of all that."""
    write_json(folder / STORE_FILE, signed({**info.to_dict(), "times": info.times}))


def signed(values: dict[str, Any]) -> dict[str, Any]:
    """Entries of a store.json with the digest of all others."""
    others = {name: value for name, value in values.items() if name != DIGEST}
    return {**others, DIGEST: hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()}


def read_store_info(path: Path, unsigned: bool = False) -> StoreInfo:
    """What the store.json of a folder says.

    Args:
        path (`Path`): the folder.
        unsigned (`bool`): take what it says, also where it has changed since it was written.

    Raises:
        InputError: if the folder has none, or one that is damaged, changed or of another format.
    """
    if not (path / STORE_FILE).is_file():
        raise InputError(f"{path} is not a trial store (it has no {STORE_FILE}): make one with `neuroclip prepare`.")
    values = read_json(path / STORE_FILE)
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise InputError(f"{path / STORE_FILE} is not of format {FORMAT}: make the store again with this version.")
    if not unsigned and values != signed(values):
        # Scale, channels and times would change what is read without a word.
        raise InputError(
            f"{path / STORE_FILE} has changed since it was written (it does not agree with its digest): restore it, "
            "or make the store again."
        )
    known = {field.name for field in fields(StoreInfo)}
    try:
        return StoreInfo(**{name: value for name, value in values.items() if name in known})
    except TypeError as error:
        raise InputError(f"{path / STORE_FILE} is incomplete ({error}): make the store again.") from None


def _default(one: Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()
