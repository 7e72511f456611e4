"""Settings of NeuroCLIP."""

from neuroclip_hf.models.brain_image.configuration_brain_image import BrainImageConfig
from neuroclip_hf.models.configuration import require_number


class NeuroCLIPConfig(BrainImageConfig):
    """Settings of [`NeuroCLIPModel`]. A name that does not exist is refused, also inside the parts.

    Where the paper (arXiv 2511.09250) gives no number that we could read, the default is ours, and says so.

    Args:
        softening (`float`): share of the loss' targets that follows the similarity of the pictures. Ours.
        softening_temperature (`float`): temperature of that similarity, in units of the cosine, 1e-6 at least. Ours.
        settings: encoder, tower, prompts, projections: see [`BrainImageConfig`].

    Raises:
        InputError: for an unknown name or an impossible value.
    """

    model_type = "neuroclip"

    softening: float = 0.2
    softening_temperature: float = 0.05

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        super().check()
        require_number(self, "softening", 0, 1)
        require_number(self, "softening_temperature", 1e-6, 1e6)
