"""The card of the small CLIP, from the facts that its training left."""

from typing import Any

from neuroclip_hf.assets.tower_pictures import prompts_of

_CARD = """---
library_name: transformers
license: apache-2.0
pipeline_tag: zero-shot-image-classification
tags:
- clip
- simulated
---

# small-clip

**Trained on simulated pictures alone: it knows drawn objects, and nothing of photographs.** A CLIP of {parameters:,}
numbers (float16) for tests, demos and benchmarks of `neuroclip_hf`, small enough to ship with it.

```python
from neuroclip_hf import NeuroCLIPModel
from neuroclip_hf.models.towers import SMALL_CLIP_FOLDER
from transformers import CLIPModel, CLIPProcessor

model = CLIPModel.from_pretrained(SMALL_CLIP_FOLDER)
processor = CLIPProcessor.from_pretrained(SMALL_CLIP_FOLDER)
brain_to_picture = NeuroCLIPModel.from_vision_pretrained("small-clip")
```

| | |
|---|---|
| vision tower | {image_size} pixels, patches of {patch_size}, width {width}, {vision_layers} layers, {heads} heads |
| text tower | width {width}, {text_layers} layers; byte-level BPE of {vocabulary} entries, {tokens} tokens at most |
| trained on | {pictures:,} drawn pictures of {training_concepts:,} concepts with their captions, {epochs} epochs |
| batch, rate, decay | {batch_size}, {learning_rate:g} (cosine), {weight_decay:g} |
| took | {training_minutes:g} minutes, drawing included; {threads} CPU thread(s) in training |
| seed | {seed} |

## Zero-shot accuracy on concepts that it never saw

{zero_shot_pictures:,} pictures of {zero_shot_concepts} concepts, each named among all {zero_shot_concepts} by the mean
text embedding of {prompts}:

**{accuracy:.1%}** (95 % interval {low:.1%} to {high:.1%}, over concepts; chance {chance:.1%}).

The concepts are combinations of attributes (shape, part, colour, texture) that come in other combinations in training.
Simulated recordings show none of the {training_concepts:,} concepts that it was trained on. Losses by epoch are in
`training_log.jsonl`, all settings in `facts.json`. Made by `python -m neuroclip_hf.assets.train_small_clip`.
"""


def card_of(facts: dict[str, Any]) -> str:
    """The text of the card."""
    found = facts["zero_shot"]
    return _CARD.format(
        prompts=", ".join(f'"{prompt}"' for prompt in prompts_of("...")),
        zero_shot_pictures=found["pictures"],
        zero_shot_concepts=found["concepts"],
        accuracy=found["accuracy"],
        low=found["interval"][0],
        high=found["interval"][1],
        chance=found["chance"],
        **{key: value for key, value in facts.items() if key not in ("settings", "zero_shot")},
        **{key: value for key, value in facts["settings"].items() if key not in facts},
    )
