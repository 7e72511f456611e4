"""Which encoders there are, and under which names transformers' Auto classes find our models."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.encoders.atm_s import ATMSConfig, ATMSEncoder
from neuroclip_hf.models.encoders.banded_ridge import BandedRidgeConfig, BandedRidgeEncoder
from neuroclip_hf.models.encoders.base import BrainEncoder, BrainEncoderConfig, TrialFacts
from neuroclip_hf.models.encoders.braindecode import BraindecodeConfig, BraindecodeEncoder
from neuroclip_hf.models.encoders.eeg_conformer import EEGConformerConfig, EEGConformerEncoder
from neuroclip_hf.models.encoders.eeg_project import EEGProjectConfig, EEGProjectEncoder
from neuroclip_hf.models.encoders.eegnet import EEGNetConfig, EEGNetEncoder
from neuroclip_hf.models.encoders.kernel_ridge import KernelRidgeConfig, KernelRidgeEncoder
from neuroclip_hf.models.encoders.linear_map import LinearMapConfig, LinearMapEncoder
from neuroclip_hf.models.encoders.mlp_map import MLPMapConfig, MLPMapEncoder
from neuroclip_hf.models.encoders.ridge import RidgeConfig, RidgeEncoder
from neuroclip_hf.models.encoders.shallow_fbcsp import ShallowFBCSPConfig, ShallowFBCSPEncoder
from neuroclip_hf.models.encoders.ts_conv import TSConvConfig, TSConvEncoder
from neuroclip_hf.models.encoders.vae_map import VAEMapConfig, VAEMapEncoder

# The name is the folder's, the config's `model_type` and what a recipe says (of braindecode, with a class behind it).
ENCODERS: Mapping[str, tuple[type[BrainEncoderConfig], type[BrainEncoder]]] = MappingProxyType(
    {
        "eeg_project": (EEGProjectConfig, EEGProjectEncoder),
        "ts_conv": (TSConvConfig, TSConvEncoder),
        "atm_s": (ATMSConfig, ATMSEncoder),
        "eegnet": (EEGNetConfig, EEGNetEncoder),
        "shallow_fbcsp": (ShallowFBCSPConfig, ShallowFBCSPEncoder),
        "eeg_conformer": (EEGConformerConfig, EEGConformerEncoder),
        "braindecode": (BraindecodeConfig, BraindecodeEncoder),
        "linear_map": (LinearMapConfig, LinearMapEncoder),
        "mlp_map": (MLPMapConfig, MLPMapEncoder),
        "vae_map": (VAEMapConfig, VAEMapEncoder),
        "ridge": (RidgeConfig, RidgeEncoder),
        "kernel_ridge": (KernelRidgeConfig, KernelRidgeEncoder),
        "banded_ridge": (BandedRidgeConfig, BandedRidgeEncoder),
    }
)

DEFAULT_ENCODER = EEGProjectConfig.model_type


def encoder_config(name: str, **settings: Any) -> BrainEncoderConfig:
    """The config of the encoder called `name`, with these settings changed.

    Args:
        name (`str`): of [`ENCODERS`]; "braindecode:EEGNeX" for the class EEGNeX of an installed braindecode.
        settings: of that encoder.

    Raises:
        InputError: for an unknown encoder, an unknown setting or an impossible value.
    """
    config_class, _ = _find(name)
    _, colon, model_class = name.partition(":")
    if not colon:
        return config_class(**settings)
    if settings.get("model_class", model_class) != model_class:
        raise InputError(f"the encoder is {name}, but model_class is {settings['model_class']!r}: leave it out.")
    return config_class(**{**settings, "model_class": model_class})


def encoder_config_class(name: str) -> type[BrainEncoderConfig]:
    """The config class of the encoder called `name`, as for [`encoder_config`].

    Raises:
        InputError: for an unknown encoder.
    """
    return _find(name)[0]


def solved_for(name: str) -> bool:
    """Whether the weights of the encoder called `name` are solved for, rather than trained.

    Raises:
        InputError: for an unknown encoder.
    """
    return _find(name)[1].closed_form


def encoders_for(trials: TrialFacts) -> tuple[list[str], dict[str, str]]:
    """Which encoders read trials like these with their own defaults; models of braindecode are not looked at.

    Args:
        trials (`TrialFacts`): of a store, or of the part of it that is used.

    Returns:
        Their names, and of each other encoder's name why it does not: another kind of recording, or too few samples.
    """
    fitting: list[str] = []
    others: dict[str, str] = {}
    for name, (config_class, _) in ENCODERS.items():
        if name == BraindecodeConfig.model_type:
            continue
        try:
            config_class(**config_class.sizes(trials)).check()
        except InputError as error:
            others[name] = str(error)
        else:
            fitting.append(name)
    return fitting, others


def build_encoder(config: BrainEncoderConfig) -> BrainEncoder:
    """A new encoder with start weights drawn from torch's generator.

    Raises:
        InputError: if no encoder belongs to the config.
    """
    _, model_class = _find(config.model_type)
    return model_class(config)


def register_auto_classes(config_class: type[PretrainedConfig], model_class: type[PreTrainedModel]) -> None:
    """Make `AutoConfig` and `AutoModel` find a model by its `model_type`."""
    AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
    AutoModel.register(config_class, model_class, exist_ok=True)


def _find(name: str) -> tuple[type[BrainEncoderConfig], type[BrainEncoder]]:
    key, colon, _ = str(name).partition(":")
    if not isinstance(name, str) or key not in ENCODERS or (colon and key != BraindecodeConfig.model_type):
        names = [f"{each}:CLASS" if each == BraindecodeConfig.model_type else each for each in ENCODERS]
        raise InputError(f"there is no encoder {name!r}: choose one of {', '.join(names)}.")
    return ENCODERS[key]


for _config_class, _model_class in ENCODERS.values():
    register_auto_classes(_config_class, _model_class)
