"""Models of an installed braindecode, by the name of their class."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard

import torch
from torch import nn
from transformers import initialization

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.encoders.base import EEGEncoder
from neuroclip_hf.models.encoders.braindecode.configuration_braindecode import BraindecodeConfig

PACKAGE = "braindecode.models"


class BraindecodeEncoder(EEGEncoder):
    """A model class of an installed braindecode, whose outputs are the features.

    The class is named in the config, made with `n_outputs` = `hidden_size` and the sizes of a trial, and called with
    the trials; what it would use as scores of classes are the features. Only classes of `braindecode.models` that are
    torch modules can be named, and nothing else can be imported through it.

    Its own start weights are kept: they are drawn by the class itself, from the seed alone. Weights that it never
    trains are named in the config (`dead_weights`); a name that it does not have is refused.

    Source: braindecode (Schirrmeister et al., Human Brain Mapping 2017, and later; braindecode.org) and, for each
    class, the paper that its documentation names. It needs torchaudio built for the torch that is installed.

    Shapes: (batch, num_channels, num_timesteps) to (batch, hidden_size).

    Units: standard deviations of the training trials in, where most classes expect microvolts or the like; features
    out as the class makes them, not normalised. What follows the sampling rate is the class' matter.

    Differences from the source: none in the model. Classes that need positions of electrodes (`chs_info`), or return
    anything but (batch, n_outputs), cannot serve.
    """

    config: BraindecodeConfig

    def build(self, config: BraindecodeConfig) -> None:
        """See [`BrainEncoder`].

        Raises:
            InputError: if braindecode is missing, has no such class, or the class cannot be made with these sizes.
        """
        with torch.random.fork_rng(devices=()):  # what counts is drawn later, by `_init_weights`
            self.model = make_model(config)
        unknown = sorted(set(config.dead_weights) - {name for name, _ in self.model.named_parameters()})
        if unknown:
            raise InputError(f"dead_weights has {', '.join(unknown)}: {config.model_class} has no such parameter.")

    @property
    def dead_weights(self) -> tuple[str, ...]:
        """See [`BrainEncoder`]; as the config says."""
        return tuple(f"model.{name}" for name in self.config.dead_weights)

    def encode(self, values: torch.Tensor, subject_index: torch.Tensor | None) -> torch.Tensor:
        """See [`BrainEncoder`]; subjects are treated alike."""
        features = self.model(values)
        expected = (len(values), self.config.hidden_size)
        if not isinstance(features, torch.Tensor) or tuple(features.shape) != expected:
            given = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__
            raise InputError(
                f"braindecode:{self.config.model_class} returns {given} where (batch, hidden_size), {expected}, is "
                "wanted: choose a class that gives one vector for each trial."
            )
        return features

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if module is not self.model:
            return  # parts of the model are drawn with the whole, and nothing else has weights
        parameters = [each for _, each in module.named_parameters()]
        tensors = [*parameters, *module.buffers()]
        if all(getattr(each, "_is_hf_initialized", False) for each in tensors):
            return
        draws = not all(getattr(each, "_is_hf_initialized", False) for each in parameters)
        # Where only buffers that no checkpoint keeps are made again, loading is not to move the generator.
        with torch.random.fork_rng(devices=(), enabled=not draws):
            fresh = make_model(self.config)
        for mine, new in zip(tensors, [*fresh.parameters(), *fresh.buffers()], strict=True):
            initialization.copy_(mine, new)


def make_model(config: BraindecodeConfig) -> nn.Module:
    """The class that the config names, made for its sizes on the CPU, with the start weights that it draws itself.

    Raises:
        InputError: if braindecode is missing, has no such class, or the class cannot be made with these sizes.
    """
    model_class = _find_class(config.model_class)
    sizes: dict[str, Any] = {
        "n_chans": config.num_channels,
        "n_times": config.num_timesteps,
        "n_outputs": config.hidden_size,
    }
    if config.sampling_rate is not None:
        sizes["sfreq"] = config.sampling_rate
    try:
        # Many classes find out their sizes by running once, which the meta device of `from_pretrained` cannot do, and
        # draw weights where transformers has switched torch's functions for that off.
        with torch.device("cpu"), initialization.guard_torch_init_functions(), _in_full_precision() as dtype:
            return model_class(**sizes, **config.model_settings).to(dtype)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        said = ", ".join(f"{name}={value}" for name, value in {**sizes, **config.model_settings}.items())
        raise InputError(f"braindecode:{config.model_class} cannot be made with {said}: {error}") from error


@contextmanager
def _in_full_precision() -> Iterator[torch.dtype]:
    """Give torch's default precision, and have float32 at least inside.

    While a checkpoint is loaded in half precision that is the default, and numpy, which classes ask, has no bfloat16.
    """
    wanted = torch.get_default_dtype()
    torch.set_default_dtype(torch.promote_types(wanted, torch.float32))
    try:
        yield wanted
    finally:
        torch.set_default_dtype(wanted)


def _find_class(name: str | None) -> type[nn.Module]:
    if name is None:
        raise InputError("model_class is missing: name a class of braindecode.models, as in braindecode:EEGNeX.")
    try:
        models = importlib.import_module(PACKAGE)
    except (ImportError, OSError) as error:  # OSError: a torchaudio that was built for another torch
        raise InputError(
            f"braindecode:{name} needs braindecode, which cannot be imported ({error}): pip install braindecode, with "
            "the torchaudio that belongs to your torch."
        ) from error
    found = getattr(models, name, None)
    if not _is_model(found):
        names = sorted(each for each, value in vars(models).items() if _is_model(value))
        raise InputError(f"braindecode has no model class {name!r}: choose one of {', '.join(names)}.")
    return found


def _is_model(value: Any) -> TypeGuard[type[nn.Module]]:
    if not isinstance(value, type) or not issubclass(value, nn.Module):
        return False
    return value.__module__ == PACKAGE or value.__module__.startswith(f"{PACKAGE}.")
