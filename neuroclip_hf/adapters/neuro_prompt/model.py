"""The tuner that finds vision towers in a model and prompts them."""

import re
from typing import Any

from peft.config import PeftConfig
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import nn

from neuroclip_hf.adapters.neuro_prompt.config import NeuroPromptConfig
from neuroclip_hf.adapters.neuro_prompt.layer import MERGE_REFUSED, PromptedEmbeddings
from neuroclip_hf.adapters.neuro_prompt.structure import KNOWN_TOWERS, find_structure, is_tower

# Names of modules and weights inside the method's parts, of the parts, and of what peft puts around a model. When peft
# saves one adapter, it leaves out every key with another adapter's name in it, wherever that stands; an adapter of
# such a name, or of one on the way to a target, would cost the others their weights.
RESERVED_NAMES = frozenset(
    {"bias", "coarse", "fine", "gate", "network", "tables", "to_keys", "to_outputs", "to_queries", "to_tokens"}
    | {"to_values", "weight", "base_layer", "base_model", "model", *PromptedEmbeddings.adapter_layer_names}
)


class NeuroPromptModel(BaseTuner):
    """A model whose vision towers carry prompts; made by `peft.get_peft_model(model, NeuroPromptConfig())`.

    Works on the towers of CLIP, SigLIP and DINOv2 and on any model that holds one or more. The weights of the model
    are frozen, as with every method of `peft`. Several adapters can be added and one of them is active; disabling
    gives the tower's own output to the bit. Merging is refused.

    Raises:
        ValueError: if the model holds no vision tower of a known kind, a target is not a tower's embedding layer, or
            `prompt_depth` exceeds the number of layers, or an adapter is named as a module or weight of the model or
            of the method.
    """

    prefix = "neuro_prompt_"
    tuner_layer_cls = PromptedEmbeddings
    target_module_mapping: dict[str, list[str]] = {}

    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """Put one more adapter into the model, as `peft` does, but under no name that is part of a weight's name."""
        if adapter_name in RESERVED_NAMES | _parts_of_names(model):
            raise ValueError(
                f"adapter name {adapter_name!r} is a part of the names of weights, which would be missing from the "
                "files of other adapters: use another."
            )
        super().inject_adapter(model, adapter_name, *args, **kwargs)

    def _prepare_adapter_config(self, peft_config: PeftConfig, model_config: dict[str, Any]) -> PeftConfig:
        return peft_config  # which modules are meant depends on the modules: see _prepare_model

    def _prepare_model(self, peft_config: NeuroPromptConfig, model: nn.Module) -> None:
        towers = {name: module for name, module in model.named_modules() if is_tower(module)}
        if not towers:
            raise ValueError(f"{type(model).__name__} holds no vision tower that could be prompted: {KNOWN_TOWERS}.")
        self._towers = {}
        for name, tower in towers.items():
            embeddings_name = find_structure(tower).embeddings_name
            self._towers[f"{name}.{embeddings_name}" if name else embeddings_name] = tower
        if peft_config.target_modules is None:
            peft_config.target_modules = list(self._towers)
        for key, tower in self._towers.items():
            if peft_config.shared_prompts and self._check_target_module_exists(peft_config, key):
                _check_depth(peft_config.prompt_depth, tower)

    @staticmethod
    def _check_target_module_exists(peft_config: NeuroPromptConfig, key: str) -> bool:
        targets = peft_config.target_modules
        if isinstance(targets, str):
            return re.fullmatch(targets, key) is not None
        return key in (targets or ())

    def _create_and_replace(
        self,
        peft_config: NeuroPromptConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, PromptedEmbeddings):
            target.add_adapter(adapter_name, peft_config)
            return
        if current_key not in self._towers:
            raise ValueError(
                f"target module {current_key} is a {type(target).__name__}: NeuroPrompt replaces the embedding layers "
                f"of vision towers only, here {', '.join(self._towers)}."
            )
        layer = PromptedEmbeddings(target, self._towers[current_key], adapter_name, peft_config)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        if isinstance(child, PromptedEmbeddings):
            child.remove_hooks()
        setattr(parent, child_name, new_module)

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        # peft looks for the name in the last two places; parts with modules inside have it further up.
        return re.sub(rf"({cls.prefix}[^.]+)\.{re.escape(adapter_name)}(?=\.|$)", r"\1", key)

    def _check_merge_allowed(self) -> None:
        raise ValueError(MERGE_REFUSED)


def _parts_of_names(module: nn.Module) -> set[str]:
    """All parts of the names of a model's weights, but for names of adapters that are there."""
    parts = set(module._parameters) | set(module._buffers)
    for name, child in module.named_children():
        parts.add(name)
        if not (isinstance(module, BaseTunerLayer) and name in module.adapter_layer_names):
            parts |= _parts_of_names(child)
    return parts


def _check_depth(prompt_depth: int | None, tower: nn.Module) -> None:
    num_layers = len(find_structure(tower).layers(tower))
    if prompt_depth is not None and prompt_depth > num_layers:
        raise ValueError(
            f"prompt_depth is {prompt_depth}, but the tower has {num_layers} layers: use 1 to {num_layers}."
        )
