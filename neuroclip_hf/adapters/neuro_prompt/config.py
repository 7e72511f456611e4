"""Settings of the NeuroPrompt method."""

import enum
import math
from dataclasses import dataclass, field, fields
from typing import Any, Self

from peft.config import PeftConfig

# Fields of the config that say where the method goes, not what it does.
_PLACEMENT = frozenset({"target_modules", "modules_to_save"})


class NeuroPeftType(enum.StrEnum):
    """The name under which `peft` knows the method; member name and value must agree."""

    NEURO_PROMPT = "NEURO_PROMPT"


@dataclass
class NeuroPromptConfig(PeftConfig):
    """Settings of learnable prompts in a frozen CLIP vision tower.

    Shared-level prompts are those of Visual Prompt Tuning (Jia et al., 2022), which NeuroCLIP (arXiv 2511.09250) makes
    global for the modality: one set of tokens for every picture. The first set is inserted after the class token,
    before the tower's first layer norm; with a depth above one ("deep"), another set takes those places at the input
    of each further layer. Instance-level prompts will be further fields here.

    Args:
        num_prompt_tokens (`int`): tokens a layer. 8 is our choice; the paper's number is not known to us.
        prompt_depth (`int`, *optional*): how many layers get their own tokens; 1 is shallow, `None` all of the tower.
        init_std (`float`): standard deviation of the normal distribution that the tokens start from. Ours; the source
            draws from a uniform distribution of a similar width.
        target_modules (`list[str]` or `str`, *optional*): full names of `CLIPVisionEmbeddings` modules, or a regular
            expression matching them; `None` takes every CLIP vision tower in the model.
        modules_to_save (`list[str]`, *optional*): modules that are trained whole and saved beside the prompts.

    Raises:
        TypeError: for a setting that does not exist or has the wrong type.
        ValueError: for a number out of range.
    """

    num_prompt_tokens: int = field(default=8, metadata={"help": "Prompt tokens per layer."})
    prompt_depth: int | None = field(default=None, metadata={"help": "Layers with own tokens; None: all, 1: shallow."})
    init_std: float = field(default=0.02, metadata={"help": "Standard deviation of the tokens at the start."})
    target_modules: list[str] | str | None = field(
        default=None, metadata={"help": "CLIPVisionEmbeddings modules (names or a regular expression); None: all."}
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
        _check_count("num_prompt_tokens", self.num_prompt_tokens)
        if self.prompt_depth is not None:
            _check_count("prompt_depth", self.prompt_depth)
        if isinstance(self.init_std, bool) or not isinstance(self.init_std, (int, float)):
            raise TypeError(f"init_std is {self.init_std!r}: it must be a number.")
        if not (math.isfinite(self.init_std) and self.init_std > 0):
            raise ValueError(f"init_std is {self.init_std}: it must be above zero.")
        if isinstance(self.target_modules, (set, tuple)):
            self.target_modules = sorted(self.target_modules)

    @classmethod
    def setting_names(cls) -> list[str]:
        """Names of the settings of the method itself, without those that every `peft` config has."""
        inherited = {each.name for each in fields(PeftConfig)} | _PLACEMENT
        return [each.name for each in fields(cls) if each.name not in inherited]


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}: it must be a whole number.")
    if value < 1:
        raise ValueError(f"{name} is {value}: it must be at least 1.")
