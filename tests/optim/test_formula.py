"""The steps against the formula: worked by hand in numpy, or by torch's own optimizers at a rate set by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.optim import GNSAdam, GradNormScaled


def quadratic(theta):
    """Badly scaled least squares, gradient by hand. theta: 6 numbers."""
    scale = np.logspace(-2, 2, 6)
    return scale * (theta - np.arange(6.0))


def rosenbrock(theta):
    """Gradient of the sum of 100 (y - x²)² + (1 - x)² over neighbouring pairs, by hand. theta: 5 numbers."""
    x, y = theta[:-1], theta[1:]
    gradient = np.zeros_like(theta)
    gradient[:-1] += -400 * x * (y - x**2) - 2 * (1 - x)
    gradient[1:] += 200 * (y - x**2)
    return gradient


PROBLEMS = {"quadratic": (quadratic, np.zeros(6)), "rosenbrock": (rosenbrock, np.array([-1.2, 1.0, 0.5, -0.5, 2.0]))}


def by_hand(gradient_at, theta, steps, *, lr, betas, eps, weight_decay, amsgrad, power):
    beta1, beta2 = betas
    m, v, v_max = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)
    path = []
    for t in range(1, steps + 1):
        g = gradient_at(theta)
        rate = lr / np.sqrt(np.sum(g**2)) ** power
        g = g + weight_decay * theta
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        v_max = np.maximum(v_max, v)
        second = (v_max if amsgrad else v) / (1 - beta2**t)
        theta = theta - rate * (m / (1 - beta1**t)) / (np.sqrt(second) + eps)
        path.append(theta)
    return np.array(path)


@pytest.mark.parametrize("flags", [{}, {"foreach": False}, {"foreach": True}, {"fused": True}], ids=str)
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.5, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False, "power": 1.0},
        {"lr": 0.1, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1, "amsgrad": True, "power": 0.5},
    ],
    ids=["defaults", "all options"],
)
def test_gns_adam_is_the_hand_worked_formula(problem, options, flags):
    gradient_at, start = PROBLEMS[problem]
    theta = torch.tensor(start, requires_grad=True)  # split in two: the norm is of both together
    head, tail = theta[:2].detach().clone().requires_grad_(), theta[2:].detach().clone().requires_grad_()
    optimizer = GNSAdam([head, tail], **options, **flags)
    path = []
    for _ in range(50):
        gradient = gradient_at(torch.cat([head, tail]).detach().numpy())
        head.grad, tail.grad = torch.tensor(gradient[:2]), torch.tensor(gradient[2:])
        optimizer.step()
        path.append(torch.cat([head, tail]).detach().numpy())
    np.testing.assert_allclose(path, by_hand(gradient_at, start, 50, **options), rtol=1e-12, atol=1e-12)


BASES = [
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "fused": True}),
    (torch.optim.Adam, {"lr": 0.1}),
    (torch.optim.Adam, {"lr": 0.1, "amsgrad": True, "foreach": True}),
    (torch.optim.Adam, {"lr": 0.1, "weight_decay": 0.1, "fused": True}),
    (torch.optim.Adam, {"lr": torch.tensor(0.1)}),
    (torch.optim.AdamW, {"lr": 0.1}),
    (torch.optim.Adagrad, {"lr": 0.1, "initial_accumulator_value": 0.5}),
    (torch.optim.RMSprop, {"lr": 0.1, "centered": True, "momentum": 0.5}),
    (torch.optim.NAdam, {"lr": 0.1}),
    (torch.optim.RAdam, {"lr": 0.1}),
    (torch.optim.Adamax, {"lr": 0.1, "foreach": True}),
    (torch.optim.Adadelta, {"lr": 0.1}),
    (torch.optim.ASGD, {"lr": 0.1}),
    (torch.optim.Adafactor, {"lr": 0.1}),
]
BASE_IDS = [f"{base.__name__} {options}" for base, options in BASES]


@pytest.mark.parametrize(("base", "options"), [*BASES, (torch.optim.Rprop, {"lr": 0.1})], ids=[*BASE_IDS, "Rprop"])
def test_power_0_is_the_base_bit_for_bit(base, options, new_parameters, new_gradients, run):
    plain = run(base(new_parameters(), **options), new_gradients(12))
    wrapped = run(GradNormScaled(new_parameters(), base, power=0, **options), new_gradients(12))
    assert all(torch.equal(a, b) for a, b in zip(plain, wrapped, strict=True))


@pytest.mark.parametrize("flags", [{}, {"foreach": True}, {"fused": True}], ids=str)
def test_power_0_is_adam_bit_for_bit(flags, new_parameters, new_gradients, run):
    plain = run(torch.optim.Adam(new_parameters(), lr=0.1, **flags), new_gradients(12))
    wrapped = run(GNSAdam(new_parameters(), lr=0.1, power=0.0, **flags), new_gradients(12))
    assert all(torch.equal(a, b) for a, b in zip(plain, wrapped, strict=True))


@pytest.mark.parametrize("power", [1.0, 0.5, 2, -1.0])
@pytest.mark.parametrize(("base", "options"), BASES, ids=BASE_IDS)
def test_any_base_steps_at_the_scaled_rate(base, options, power, new_parameters, new_gradients, run, norm):
    parameters = new_parameters()
    oracle = base(parameters, **options)
    for gradients in new_gradients(8):
        run_rate = float(options["lr"]) / norm(gradients) ** power
        oracle.param_groups[0]["lr"] = run_rate
        run(oracle, [gradients])
    wrapped = run(GradNormScaled(new_parameters(), base, power, **options), new_gradients(8))
    for a, b in zip(parameters, wrapped, strict=True):
        torch.testing.assert_close(b, a.detach(), rtol=2e-5, atol=1e-6)


@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 2**16))
def test_with_sgd_every_step_is_as_long_as_the_learning_rate(scale, seed):
    generator = torch.Generator().manual_seed(seed)
    theta = torch.zeros(7, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(7, generator=generator, dtype=torch.float64)
    theta.grad = gradient * scale
    GradNormScaled([theta], torch.optim.SGD, lr=0.25).step()
    np.testing.assert_allclose(theta.detach().numpy(), -0.25 * gradient / gradient.norm(), rtol=1e-12)


@given(scale=st.floats(1e-3, 1e3), power=st.floats(-2, 2))
def test_adam_is_scale_invariant_and_the_norm_takes_that_away(scale, power):
    def step(factor):
        theta = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        theta.grad = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64) * factor
        GNSAdam([theta], lr=0.1, eps=0.0, power=power).step()
        return theta.detach().numpy()

    np.testing.assert_allclose(step(scale), step(1.0) * scale**-power, rtol=1e-9)


def test_the_norm_spans_all_groups_and_rates_stay_by_group():
    a, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = GradNormScaled([{"params": [a]}, {"params": [b], "lr": 1.0}], torch.optim.SGD, lr=0.1)
    a.grad, b.grad = torch.tensor([3.0]), torch.tensor([4.0])
    optimizer.step()
    torch.testing.assert_close(a.detach(), torch.tensor([-0.1 * 3 / 5]))
    torch.testing.assert_close(b.detach(), torch.tensor([-1.0 * 4 / 5]))


@pytest.mark.parametrize("power", [1.0, 0.5, -1.0])
@pytest.mark.parametrize("flags", [{"foreach": False}, {"fused": True}], ids=str)
def test_a_zero_norm_leaves_the_rate_as_it_is_bit_for_bit(power, flags, new_parameters, new_gradients, run):
    zero = [[torch.zeros_like(p) for p in new_parameters()]] * 3
    first = new_gradients(1)
    scaled = GNSAdam(new_parameters(), lr=0.1, power=0, **flags)
    plain = torch.optim.Adam(new_parameters(), lr=0.1, **flags)
    run(scaled, first)
    run(plain, first)
    scaled.power = power  # momentum from the first step moves the parameters in the next ones
    for a, b in zip(run(scaled, zero), run(plain, zero), strict=True):
        assert torch.equal(a, b)


def test_an_infinite_norm_means_a_rate_of_zero():
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    optimizer = GradNormScaled([a, b], torch.optim.SGD, lr=0.1)
    a.grad, b.grad = torch.tensor([math.inf, 1.0]), torch.tensor([1.0, 1.0])
    optimizer.step()
    assert torch.isnan(a[0])  # 0 · ∞: seen where the gradient is infinite
    assert a[1] == 1
    assert torch.equal(b.detach(), torch.ones(2))
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_finite_gradients_whose_norm_overflows_take_no_step():
    theta = torch.ones(4, requires_grad=True)
    theta.grad = torch.full((4,), 1e30)
    GradNormScaled([theta], torch.optim.SGD, lr=0.1).step()
    assert torch.equal(theta.detach(), torch.ones(4))


@pytest.mark.parametrize("base", [torch.optim.SGD, torch.optim.Adam])
def test_a_nan_norm_spreads_to_every_parameter(base):
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    optimizer = GradNormScaled([a, b], base, lr=0.1)
    a.grad, b.grad = torch.tensor([math.nan, 1.0]), torch.tensor([1.0, 1.0])
    optimizer.step()
    assert torch.isnan(a).all()
    assert torch.isnan(b).all()
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_nan_is_not_hidden_by_an_infinity_elsewhere():
    a, b, c = (torch.ones(1, requires_grad=True) for _ in range(3))
    optimizer = GradNormScaled([a, b, c], torch.optim.SGD, lr=0.1)
    a.grad, b.grad, c.grad = torch.tensor([math.inf]), torch.tensor([math.nan]), torch.ones(1)
    optimizer.step()
    assert torch.isnan(torch.cat([a, b, c])).all()


def test_a_power_of_a_tiny_norm_that_overflows_is_infinite_not_an_error():
    theta = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    theta.grad = torch.tensor([1e-200], dtype=torch.float64)
    GradNormScaled([theta], torch.optim.SGD, power=2.0, lr=0.1).step()
    assert torch.isinf(theta).all()
