"""Settings of encoders that come from braindecode."""

import math
from dataclasses import field
from typing import Any

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.encoders.base import EEGEncoderConfig

# What braindecode calls the sizes that the config already has.
DERIVED = ("n_chans", "n_times", "n_outputs", "sfreq", "chs_info", "input_window_seconds")


class BraindecodeConfig(EEGEncoderConfig):
    """Settings of [`BraindecodeEncoder`].

    Args:
        num_channels (`int`): channels of a trial; `n_chans` there.
        num_timesteps (`int`): samples of a trial; `n_times` there.
        sampling_rate (`float`, *optional*): in Hz; `sfreq` there, if it is known.
        hidden_size (`int`): width of the features; `n_outputs` there.
        model_class (`str`): name of a class of `braindecode.models`; a recipe says "braindecode:EEGNeX".
        model_settings (`dict`): further arguments of the class: numbers, true or false, null, and lists of these. No
            texts, which braindecode would take for names of what to import.
        dead_weights (`list[str]`): parameters of the model that get no gradient, whatever the loss, such as a bias in
            front of batch norm; names as in its `named_parameters`.
    """

    model_type = "braindecode"

    # transformers makes a config without arguments to see what differs from it, so that None has to be allowed.
    model_class: str | None = None
    model_settings: dict[str, Any] = field(default_factory=dict)
    dead_weights: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible; whether braindecode has the class shows in building."""
        super().check()
        name = self.model_class
        if name is not None and (not isinstance(name, str) or not name.isidentifier() or name.startswith("_")):
            raise InputError(
                f"model_class is {name!r}: it must be the bare name of a class of braindecode.models, such as EEGNeX."
            )
        if not isinstance(self.model_settings, dict):
            raise InputError(f"model_settings is {self.model_settings!r}: it must be a dict of arguments.")
        for key, value in self.model_settings.items():
            if key in DERIVED:
                raise InputError(f"model_settings.{key} follows from the sizes of trials and features: leave it out.")
            if not isinstance(key, str) or not _is_plain(value):
                raise InputError(
                    f"model_settings.{key} is {value!r}: it must be a number, true, false, null or a list of these."
                )
        if not isinstance(self.dead_weights, (list, tuple)) or not all(
            isinstance(each, str) for each in self.dead_weights
        ):
            raise InputError(f"dead_weights is {self.dead_weights!r}: it must be a list of names.")


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(each) for each in value)
    return value is None or (isinstance(value, (bool, int, float)) and math.isfinite(value))
