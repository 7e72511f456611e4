"""Settings of kernel ridge regression."""

from neuroclip_hf.models.configuration import require_choice, require_count, require_number
from neuroclip_hf.models.encoders.closed_form import ClosedFormConfig
from neuroclip_hf.models.encoders.ridge_search import require_numbers

KERNELS = ("linear", "polynomial", "rbf")
GAMMAS = (0.1, 0.316, 1.0, 3.16)


class KernelRidgeConfig(ClosedFormConfig):
    """Settings of [`KernelRidgeEncoder`].

    Args:
        kernel (`str`): of patterns x and y: "linear" `x y`, "polynomial" `(1 + gamma x y)^degree`, or "rbf"
            `exp(-gamma |x - y|^2)`.
        degree (`int`): of the polynomial.
        gammas (`list[float]`, *optional*): values of `gamma` that are tried, each with every penalty, in units of one
            over the mean squared norm of a centred training trial, for "rbf" over twice that, about the squared
            distance of two trials; `None` for .1, .316, 1 and 3.16 (ours).
        gamma (`float`, *optional*): what was chosen, absolute; written by `fit`. `None` before: one over `num_voxels`.
        num_trials (`int`): training trials that are kept; written by `fit`.
    """

    model_type = "kernel_ridge"

    kernel: str = "rbf"
    degree: int = 2
    gammas: list[float] | None = None
    gamma: float | None = None
    num_trials: int = 1

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        super().check()
        require_choice(self, "kernel", KERNELS)
        require_count(self, "degree", "num_trials")
        if self.gammas is not None:
            require_numbers("gammas", self.gammas)
        if self.gamma is not None:
            require_number(self, "gamma", 0, 1e9, open_low=True)
