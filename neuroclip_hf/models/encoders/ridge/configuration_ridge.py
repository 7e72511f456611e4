"""Settings of linear ridge regression."""

from neuroclip_hf.models.encoders.closed_form import ClosedFormConfig


class RidgeConfig(ClosedFormConfig):
    """Settings of [`RidgeEncoder`]: those that every encoder has that is solved for."""

    model_type = "ridge"
