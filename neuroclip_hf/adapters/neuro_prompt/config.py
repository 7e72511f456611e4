"""Settings of the NeuroPrompt method."""

import enum
import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

from peft.config import PeftConfig

# Fields of the config that say where the method goes, not what it does.
_PLACEMENT = frozenset({"target_modules", "modules_to_save"})
_FILTER_DOMAINS = ("spatial", "spectral")
_SWITCHES = ("shared_prompts", "instance_prompts", "dual_stream", "dynamic_filter", "cross_attention")
# The smallest that makes sense: a 1 x 1 kernel or a table of one gain could only pass everything.
_SMALLEST = {
    "num_prompt_tokens": 1,
    "filter_size": 3,
    "filter_input_size": 1,
    "num_spectral_filters": 1,
    "spectral_resolution": 2,
    "fusion_width": 1,
    "fusion_heads": 1,
}


class NeuroPeftType(enum.StrEnum):
    """The name under which `peft` knows the method; member name and value must agree."""

    NEURO_PROMPT = "NEURO_PROMPT"


@dataclass
class NeuroPromptConfig(PeftConfig):
    """Settings of NeuroCLIP's two-level visual prompts in a frozen vision tower; by default every part is on.

    From the paper (arXiv 2511.09250; abstract, summary and captions, for its equations were not readable for us):
    pictures go through a dual-stream embedding with a Dynamic Filter Layer that adapts to the picture; Cross-Attention
    Token-level Fusion joins the streams and adjusts the patch tokens (instance-level prompts); learnable tokens, the
    same for every picture, are inserted into the frozen Transformer (shared-level prompts, those of Visual Prompt
    Tuning, Jia et al., 2022). Everything below that level, sizes and start values included, is our reading; each is a
    setting. Settings of a part that is off do nothing, and the part has no weights.

    Args:
        shared_prompts (`bool`): shared-level prompts.
        num_prompt_tokens (`int`): tokens a layer. Ours: the paper's number is not known to us.
        prompt_depth (`int`, *optional*): how many layers get their own tokens; 1 is shallow, `None` all of the tower.
        init_std (`float`): standard deviation of the normal distribution that the tokens start from. Ours; Visual
            Prompt Tuning draws from a uniform distribution of a similar width.
        instance_prompts (`bool`): instance-level prompts, that is all settings below: `static + gate * fused`, with
            a gate that starts at zero. Off: patch tokens are the tower's own.
        dual_stream (`bool`): keep the unfiltered picture's tokens as the static stream. Off: the filtered picture's
            tokens are the only stream, and are their own queries, keys and values. Without a dynamic filter both
            streams are the same, and the setting changes nothing.
        dynamic_filter (`bool`): the Dynamic Filter Layer. Off: the dynamic stream is the unfiltered picture.
        filter_domain (`str`): "spatial", a kernel for each channel of each picture, or "spectral", a mixture of
            learned filters over frequencies for each picture.
        filter_size (`int`): height and width of the spatial kernels in pixels, odd and at least 3.
        filter_start (`float`): the centre tap's share of a spatial kernel at the start; 1 would be the identity.
        num_spectral_filters (`int`): filters in the spectral mixture.
        spectral_resolution (`int`): points of a spectral filter's table along each axis, from no to the highest
            frequency.
        filter_input_size (`int`): height and width of the reduced copy that the filter network looks at.
        cross_attention (`bool`): fusion by cross-attention. Off: the dynamic stream's tokens themselves are added
            through the gate.
        fusion_width (`int`): width of the cross-attention's queries, keys and values.
        fusion_heads (`int`): its heads; divides `fusion_width`.
        target_modules (`list[str]` or `str`, *optional*): full names of vision towers' embedding layers, or a regular
            expression matching them; `None` takes every tower in the model.
        modules_to_save (`list[str]`, *optional*): modules that are trained whole and saved beside the prompts.

    Raises:
        TypeError: for a setting that does not exist or has the wrong type.
        ValueError: for a value out of range, or a combination that leaves nothing to learn.
    """

    shared_prompts: bool = field(default=True, metadata={"help": "Tokens that are the same for every picture."})
    num_prompt_tokens: int = field(default=8, metadata={"help": "Prompt tokens per layer."})
    prompt_depth: int | None = field(default=None, metadata={"help": "Layers with own tokens; None: all, 1: shallow."})
    init_std: float = field(default=0.02, metadata={"help": "Standard deviation of the tokens at the start."})
    instance_prompts: bool = field(default=True, metadata={"help": "What each picture adds to its patch tokens."})
    dual_stream: bool = field(default=True, metadata={"help": "Keep the unfiltered picture as a stream of its own."})
    dynamic_filter: bool = field(default=True, metadata={"help": "Filter the picture by what it shows."})
    filter_domain: Literal["spatial", "spectral"] = field(default="spatial", metadata={"help": "Form of the filter."})
    filter_size: int = field(default=7, metadata={"help": "Height and width of the spatial kernels, odd."})
    filter_start: float = field(default=0.98, metadata={"help": "Share of a kernel's centre tap at the start."})
    num_spectral_filters: int = field(default=4, metadata={"help": "Filters in the spectral mixture."})
    spectral_resolution: int = field(default=8, metadata={"help": "Points per axis of a spectral filter's table."})
    filter_input_size: int = field(default=32, metadata={"help": "Size of the copy the filter network looks at."})
    cross_attention: bool = field(default=True, metadata={"help": "Fuse the streams by cross-attention."})
    fusion_width: int = field(default=128, metadata={"help": "Width of the cross-attention."})
    fusion_heads: int = field(default=4, metadata={"help": "Heads of the cross-attention."})
    target_modules: list[str] | str | None = field(
        default=None, metadata={"help": "Embedding layers of towers (names or a regular expression); None: all."}
    )
    modules_to_save: list[str] | None = field(default=None, metadata={"help": "Modules trained and saved whole."})

    def __new__(cls, *args: Any, **settings: Any) -> Self:
        """Refuse a setting that does not exist."""
        # Python's own TypeError would do, but peft looks for its wording, drops the setting and only warns.
        known = [each.name for each in fields(cls)]
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise TypeError(
                f"{cls.__name__} has no setting {', '.join(unknown)}: its settings are {', '.join(known)}."
            )
        return super().__new__(cls)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = NeuroPeftType.NEURO_PROMPT
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} is {getattr(self, name)!r}: it must be true or false.")
        for name, smallest in _SMALLEST.items():
            _check_count(name, getattr(self, name), smallest)
        if self.prompt_depth is not None:
            _check_count("prompt_depth", self.prompt_depth, 1)
        _check_between("init_std", self.init_std, math.inf)
        _check_between("filter_start", self.filter_start, 1)
        self._check_filter_and_fusion()
        self._check_that_something_learns()
        if isinstance(self.target_modules, (set, tuple)):
            self.target_modules = sorted(self.target_modules)
        if isinstance(self.modules_to_save, (set, tuple)):
            self.modules_to_save = sorted(self.modules_to_save)
        _check_names("target_modules", self.target_modules, one_will_do=True)
        _check_names("modules_to_save", self.modules_to_save, one_will_do=False)

    @classmethod
    def setting_names(cls) -> list[str]:
        """Names of the settings of the method itself, without those that every `peft` config has."""
        inherited = {each.name for each in fields(PeftConfig)} | _PLACEMENT
        return [each.name for each in fields(cls) if each.name not in inherited]

    def _check_filter_and_fusion(self) -> None:
        if not isinstance(self.filter_domain, str):
            raise TypeError(f"filter_domain is {self.filter_domain!r}: it must be {' or '.join(_FILTER_DOMAINS)}.")
        if self.filter_domain not in _FILTER_DOMAINS:
            raise ValueError(f"filter_domain is {self.filter_domain!r}: it must be {' or '.join(_FILTER_DOMAINS)}.")
        if self.filter_size % 2 == 0:
            raise ValueError(f"filter_size is {self.filter_size}: it must be odd, so that a kernel has a centre.")
        if self.fusion_width % self.fusion_heads:
            raise ValueError(
                f"fusion_width is {self.fusion_width} and fusion_heads {self.fusion_heads}: the heads must divide the "
                "width."
            )

    def _check_that_something_learns(self) -> None:
        if not (self.shared_prompts or self.instance_prompts):
            raise ValueError("shared_prompts and instance_prompts are both false: nothing is left of the method.")
        if self.instance_prompts and not (self.dynamic_filter or self.cross_attention):
            raise ValueError(
                "dynamic_filter and cross_attention are both false: no instance-level prompt is left. Set "
                "instance_prompts to false, or one of them to true."
            )


def _check_count(name: str, value: object, smallest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}: it must be a whole number.")
    if value < smallest:
        raise ValueError(f"{name} is {value}: it must be at least {smallest}.")


def _check_between(name: str, value: object, limit: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is {value!r}: it must be a number.")
    if not 0 < value < limit:
        below = "" if math.isinf(limit) else f" and below {limit}"
        raise ValueError(f"{name} is {value}: it must be finite, above zero{below}.")


def _check_names(name: str, value: object, one_will_do: bool) -> None:
    if value is None or (one_will_do and isinstance(value, str)):
        return
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError(f"{name} is {value!r}: it must be a list of names.")
