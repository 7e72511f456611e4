"""What the calibrations share: float64 inside, rows with NaN left out, results as their input was."""

import torch

from neuroclip_hf.metrics._targets import check_matrix


def as_double(values: torch.Tensor) -> torch.Tensor:
    """`values` in float64, on its device where that has one."""
    values = values.detach()
    return (values.cpu() if values.device.type == "mps" else values).double()  # mps knows no float64


def like(result: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """`result` on the device of `values`, in its precision, at least float32."""
    return result.to(values.device, torch.promote_types(values.dtype, torch.float32))


def check_sides(vectors: torch.Tensor, gallery: torch.Tensor, name: str = "query") -> None:
    """Raise unless the two are matrices of one width; `name` is what the first is called."""
    check_matrix(name, vectors)
    check_matrix("gallery", gallery)
    if vectors.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"{name} is {tuple(vectors.shape)} and gallery {tuple(gallery.shape)}: expected matrices of one width."
        )


def _finite_rows(name: str, values: torch.Tensor) -> torch.Tensor:
    """The rows in float64 that hold only finite numbers; raises if there is none."""
    values = as_double(values)
    finite = values.isfinite().all(dim=1)
    if not finite.any():
        raise ValueError(f"{name} {tuple(values.shape)} have NaN or inf in every row: nothing to fit on.")
    return values[finite]


def fitted_on(values: torch.Tensor, reference: torch.Tensor | None, name: str = "values") -> torch.Tensor:
    """The finite rows of `reference`, or else of `values`, called `name`, in float64; checks both."""
    check_matrix(name, values)
    if reference is None:
        return _finite_rows(name, values)
    check_matrix("reference", reference)
    if reference.shape[1] != values.shape[1]:
        raise ValueError(
            f"{name} are {tuple(values.shape)} and reference {tuple(reference.shape)}: expected (N, D) and (R, D) of "
            "one D."
        )
    return _finite_rows("reference", reference)
