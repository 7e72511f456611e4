"""PEFT methods of this package; importing one registers it with `peft`."""

from neuroclip_hf.adapters.neuro_prompt import NeuroPeftType, NeuroPromptConfig, NeuroPromptModel

__all__ = ["NeuroPeftType", "NeuroPromptConfig", "NeuroPromptModel"]
