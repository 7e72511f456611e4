"""NeuroPrompt: learnable prompts in a frozen CLIP vision tower, as a method of `peft`.

`peft` keeps its methods in three mappings. Its own `register_peft_method` admits only members of its own enum, so the
three entries are written here, under a key of ours; nothing of `peft` is patched. An adapter can be loaded only after
this module was imported, because until then `peft` does not know the name.
"""

from typing import Any, cast

from peft import mapping

from neuroclip_hf.adapters.neuro_prompt.attention import TokenAttention, token_attention
from neuroclip_hf.adapters.neuro_prompt.config import NeuroPeftType, NeuroPromptConfig
from neuroclip_hf.adapters.neuro_prompt.layer import PromptedEmbeddings
from neuroclip_hf.adapters.neuro_prompt.model import NeuroPromptModel
from neuroclip_hf.adapters.neuro_prompt.structure import TowerStructure, find_structure, is_tower

__all__ = [
    "NeuroPeftType",
    "NeuroPromptConfig",
    "NeuroPromptModel",
    "PromptedEmbeddings",
    "TokenAttention",
    "TowerStructure",
    "find_structure",
    "is_tower",
    "token_attention",
]

_METHOD = cast(Any, NeuroPeftType.NEURO_PROMPT)
mapping.PEFT_TYPE_TO_CONFIG_MAPPING[_METHOD] = NeuroPromptConfig
mapping.PEFT_TYPE_TO_TUNER_MAPPING[_METHOD] = NeuroPromptModel
mapping.PEFT_TYPE_TO_PREFIX_MAPPING[_METHOD] = NeuroPromptModel.prefix
