"""Lets transformers' Auto classes find a checkpoint's classes where they are kept: in the package neuroclip_hf.

`AutoModel.from_pretrained(REPOSITORY, trust_remote_code=True)` reads this file, in a process that has not imported the
package. No code of models is copied into repositories: this file stays the same for all of them.
"""

from typing import Any

try:
    import neuroclip_hf
except ModuleNotFoundError as error:
    if error.name != "neuroclip_hf":
        raise
    raise ImportError(
        "This checkpoint is loaded by the package neuroclip_hf, which is not installed here. Install it and start "
        "again:\n\n    pip install neuroclip-hf\n"
    ) from None

neuroclip_hf.register()


def __getattr__(name: str) -> Any:
    """The class of this name, for config.json and processor_config.json to point to."""
    return getattr(neuroclip_hf, name)
