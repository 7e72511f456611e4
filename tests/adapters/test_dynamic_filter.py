"""The Dynamic Filter Layer against a derivation in plain loops, in float64, and what it promises of any picture."""

import cmath
import math
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroclip_hf.adapters.neuro_prompt.dynamic_filter import SpatialFilter, SpectralFilter

FEW = settings(max_examples=25)
sides = st.integers(min_value=1, max_value=19)


def make(kind, *arguments, shaken=True):
    torch.manual_seed(3)
    made = kind(*arguments).double()
    made.reset_parameters()
    if shaken:
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def pictures(height, width, channels=3, count=2):
    generator = torch.Generator().manual_seed(height * 100 + width)
    return torch.randn(count, channels, height, width, generator=generator, dtype=torch.float64)


def gelu(value):
    return 0.5 * value * (1 + math.erf(value / math.sqrt(2)))


def averaged(picture, size):
    """Each of size x size cells is the mean of the pixels that it touches."""
    channels, height, width = picture.shape
    out = np.zeros((channels, size, size))
    for c, i, j in np.ndindex(out.shape):
        rows = slice(i * height // size, -(-(i + 1) * height // size))
        columns = slice(j * width // size, -(-(j + 1) * width // size))
        out[c, i, j] = picture[c, rows, columns].mean()
    return out


def strided_convolution(inputs, weight, bias):
    """3 x 3, every second pixel, one zero around; GELU."""
    height, width = (-(-side // 2) for side in inputs.shape[1:])
    padded = np.pad(inputs, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(weight), height, width))
    for o, i, j in np.ndindex(out.shape):
        out[o, i, j] = gelu((padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] * weight[o]).sum() + bias[o])
    return out


def logits_by_hand(network, picture):
    weights = {name: each.detach().numpy() for name, each in network.named_parameters()}
    hidden = averaged(picture, network.input_size)
    for name in ("fine", "coarse"):
        hidden = strided_convolution(hidden, weights[f"{name}.weight"], weights[f"{name}.bias"])
    return weights["to_outputs.weight"] @ hidden.mean(axis=(1, 2)) + weights["to_outputs.bias"]


def softmax_by_hand(logits):
    exponentials = [math.exp(each) for each in logits]
    return np.array(exponentials) / sum(exponentials)


@pytest.mark.parametrize(("height", "width"), [(9, 12), (3, 2)])
def test_the_spatial_form_by_hand(height, width):
    made, size, start = make(SpatialFilter, 2, 5, 0.6, 6), 5, 0.6
    pixel_values = pictures(height, width, channels=2)
    found = (pixel_values + made.change(pixel_values)).detach().numpy()
    kernels = made.responses(pixel_values).detach().numpy()
    for number, picture in enumerate(pixel_values.numpy()):
        logits = logits_by_hand(made.network, picture).reshape(2, size * size)
        # With logits of zero elsewhere, this one gives the centre tap its share.
        logits[:, size * size // 2] += math.log(start * (size * size - 1) / (1 - start))
        for channel in range(2):
            kernel = softmax_by_hand(logits[channel]).reshape(size, size)
            np.testing.assert_allclose(kernels[number, channel], kernel, rtol=1e-10)
            for y, x in np.ndindex(height, width):
                total = 0.0
                for dy, dx in np.ndindex(size, size):
                    row = min(max(y + dy - size // 2, 0), height - 1)
                    column = min(max(x + dx - size // 2, 0), width - 1)
                    total += kernel[dy, dx] * picture[channel, row, column]
                assert found[number, channel, y, x] == pytest.approx(total, rel=1e-9, abs=1e-10)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 3)])
def test_the_spectral_form_by_hand(height, width):
    made, resolution = make(SpectralFilter, 2, 3, 4, 6), 4
    pixel_values = pictures(height, width, channels=2)
    found = (pixel_values + made.change(pixel_values)).detach().numpy()
    tables = made.tables.detach().numpy()

    def gain(table, row, column):
        """Bilinear in the sizes of both frequencies; the last point of a table is half a cycle per pixel."""
        value = 0.0
        y = min(row, height - row) / height * 2 * (resolution - 1)
        x = min(column, width - column) / width * 2 * (resolution - 1)
        for i, j in np.ndindex(resolution, resolution):
            value += max(0.0, 1 - abs(y - i)) * max(0.0, 1 - abs(x - j)) * table[i, j]
        return 1 + value

    for number, picture in enumerate(pixel_values.numpy()):
        weights = softmax_by_hand(logits_by_hand(made.network, picture))
        for channel in range(2):
            spectrum = np.zeros((height, width), dtype=complex)
            for u, v in np.ndindex(height, width):
                for y, x in np.ndindex(height, width):
                    turn = cmath.exp(-2j * math.pi * (u * y / height + v * x / width))
                    spectrum[u, v] += picture[channel, y, x] * turn
                mixed = sum(w * gain(t[channel], u, v) for w, t in zip(weights, tables, strict=True))
                spectrum[u, v] *= mixed
            for y, x in np.ndindex(height, width):
                total = sum(
                    spectrum[u, v] * cmath.exp(2j * math.pi * (u * y / height + v * x / width))
                    for u, v in np.ndindex(height, width)
                ) / (height * width)
                assert abs(total.imag) < 1e-10
                assert found[number, channel, y, x] == pytest.approx(total.real, rel=1e-9, abs=1e-10)


@FEW
@given(height=sides, width=sides, channels=st.integers(1, 4), half=st.integers(1, 5), reduced=st.integers(1, 9))
def test_spatial_kernels_of_any_size_on_any_picture(height, width, channels, half, reduced):
    made = make(SpatialFilter, channels, 2 * half + 1, 0.9, reduced)
    pixel_values = pictures(height, width, channels)
    kernels = made.responses(pixel_values)
    assert kernels.shape == (2, channels, 2 * half + 1, 2 * half + 1)
    torch.testing.assert_close(kernels.sum(dim=(2, 3)), torch.ones(2, channels, dtype=torch.float64))
    assert made.change(pixel_values).shape == pixel_values.shape
    one_colour = pixel_values[:, :, :1, :1].expand_as(pixel_values)
    torch.testing.assert_close(made.change(one_colour), torch.zeros_like(one_colour), rtol=0, atol=1e-12)


@FEW
@given(height=sides, width=sides, channels=st.integers(1, 4), filters=st.integers(1, 5), resolution=st.integers(2, 9))
def test_spectral_filters_of_any_size_on_any_picture(height, width, channels, filters, resolution):
    made = make(SpectralFilter, channels, filters, resolution, 4)
    pixel_values = pictures(height, width, channels)
    gains = made.responses(pixel_values)
    assert gains.shape == (2, channels, height, width // 2 + 1)
    expected = np.fft.irfft2(np.fft.rfft2(pixel_values.numpy()) * gains.detach().numpy(), s=(height, width))
    torch.testing.assert_close(pixel_values + made.change(pixel_values), torch.tensor(expected))


def test_where_the_spatial_form_starts():
    made = make(SpatialFilter, 3, 7, 0.98, 32, shaken=False)
    centres = made.responses(pictures(24, 24))[:, :, 3, 3]
    assert ((centres - 0.98).abs() < 0.01).all()
    assert made.responses(pictures(24, 24)).std(dim=0).max() > 0  # kernels differ between pictures at once


def test_the_spectral_form_starts_as_all_pass_to_the_bit():
    made = make(SpectralFilter, 3, 4, 8, 32, shaken=False)
    pixel_values = pictures(24, 17)
    assert torch.equal(pixel_values + made.change(pixel_values), pixel_values)
    assert (made.responses(pixel_values) == 1).all()


@pytest.mark.parametrize("make_filter", [lambda: SpatialFilter(3, 3, 0.5, 4), lambda: SpectralFilter(3, 2, 4, 4)])
def test_one_picture_is_filtered_alike_in_any_company(make_filter):
    made = make(make_filter)
    pixel_values = pictures(8, 8, count=4)
    together = made.change(pixel_values)
    alone = torch.cat([made.change(each[None]) for each in pixel_values])
    torch.testing.assert_close(together, alone)
    assert (together - together[:1]).abs().max() > 1e-3


@pytest.mark.parametrize("make_filter", [lambda: SpatialFilter(3, 3, 0.5, 4), lambda: SpectralFilter(3, 2, 4, 4)])
def test_half_precision_pictures_are_filtered_in_float32(make_filter):
    made = make(make_filter)
    pixel_values = pictures(8, 8).to(torch.bfloat16)
    expected = made.change(pixel_values.double()).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        change = made.float().change(pixel_values)
    assert change.dtype == torch.float32
    torch.testing.assert_close(change, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make_filter", [lambda: SpatialFilter(2, 3, 0.5, 4), lambda: SpectralFilter(2, 2, 3, 4)])
def test_gradients_are_those_of_finite_differences(make_filter):
    made = make(make_filter)
    pixel_values = pictures(5, 4, channels=2)
    weights = {f"inner.{name}": each.detach().requires_grad_() for name, each in made.named_parameters()}

    def change(*values):
        replaced = dict(zip(weights, values, strict=True))
        return torch.func.functional_call(Change(made), replaced, pixel_values)

    assert torch.autograd.gradcheck(change, tuple(weights.values()), fast_mode=True)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"
)  # torch 2.13's inductor
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a compiler")
@pytest.mark.parametrize("make_filter", [lambda: SpatialFilter(2, 3, 0.5, 4), lambda: SpectralFilter(2, 2, 3, 4)])
def test_inductor_computes_the_same_gradients(make_filter):
    made, pixel_values, gradients = make(make_filter), pictures(8, 8, channels=2), []
    weight = torch.randn(pixel_values.shape, dtype=torch.float64)
    torch._dynamo.reset()
    for change in (made.change, torch.compile(made.change, fullgraph=True)):
        made.zero_grad()
        (change(pixel_values) * weight).square().sum().backward()
        gradients.append({name: each.grad.clone() for name, each in made.named_parameters()})
    torch.testing.assert_close(gradients[0], gradients[1])


class Change(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, pixel_values):
        return self.inner.change(pixel_values)
