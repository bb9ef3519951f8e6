"""``group["lr"]`` stays the user's: schedulers, rates by group, groups added later."""

import pytest
import torch
from torch.optim import lr_scheduler

from assay.optim import GNSAdam, GradNormScaled


def steps_of(optimizer, parameters, gradients, scheduler):
    """The moves of all parameters together, one row a step."""
    moves = []
    for step in gradients:
        before = torch.cat([p.detach().flatten().clone() for p in parameters])
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
        scheduler.step()
        moves.append(torch.cat([p.detach().flatten() for p in parameters]) - before)
    return torch.stack(moves)


@pytest.mark.parametrize("lr", [0.1, torch.tensor(0.1, dtype=torch.float64)], ids=["number", "tensor"])
def test_step_lr_changes_the_steps_as_it_does_adams(lr, new_parameters, new_gradients, norm):
    gradients = new_gradients(9, torch.float64)
    moves = {}
    for kind in (torch.optim.Adam, GNSAdam):
        parameters = new_parameters(torch.float64)
        optimizer = kind(parameters, lr=lr.clone() if isinstance(lr, torch.Tensor) else lr)
        scheduler = lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.1)
        moves[kind] = steps_of(optimizer, parameters, gradients, scheduler)
    norms = torch.tensor([norm(step) for step in gradients], dtype=torch.float64)
    torch.testing.assert_close(moves[GNSAdam] * norms[:, None], moves[torch.optim.Adam], rtol=1e-9, atol=1e-14)


SCHEDULERS = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=5),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.3, total_steps=20),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.3, step_size_up=3),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o), lr_scheduler.ExponentialLR(o, 0.9)], milestones=[4]
    ),
}


@pytest.mark.parametrize("lr", [0.1, torch.tensor(0.1)], ids=["number", "tensor"])
@pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS)
def test_schedulers_set_the_rates_that_they_set_for_adam(make, lr, new_parameters, new_gradients, run):
    seen = {}
    for kind in (torch.optim.Adam, GNSAdam):
        optimizer = kind(new_parameters(), lr=lr.clone() if isinstance(lr, torch.Tensor) else lr)
        scheduler = make(optimizer)
        rates = seen[kind] = []

        def note(scheduler=scheduler, optimizer=optimizer, rates=rates):
            scheduler.step()
            rates.append((float(optimizer.param_groups[0]["lr"]), optimizer.param_groups[0]["betas"]))

        run(optimizer, new_gradients(8), after=note)
    assert seen[GNSAdam] == seen[torch.optim.Adam]


def test_reduce_on_plateau(new_parameters):
    optimizer = GNSAdam(new_parameters(), lr=0.1)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    scheduler.step(1.0)
    scheduler.step(2.0)
    assert optimizer.param_groups[0]["lr"] == 0.05


def test_a_step_leaves_the_very_same_rate_in_place(new_parameters, new_gradients, run):
    rate = torch.tensor(0.1)
    optimizer = GNSAdam(new_parameters(), lr=rate)
    run(optimizer, new_gradients(2))
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate == torch.tensor(0.1)


def test_a_step_that_fails_leaves_the_rate_in_place(new_parameters, new_gradients, run):
    class Fails(torch.optim.SGD):
        def step(self, closure=None):
            raise ArithmeticError

    optimizer = GradNormScaled(new_parameters(), Fails, lr=0.1)
    with pytest.raises(ArithmeticError):
        run(optimizer, new_gradients(1))
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_rate_set_by_hand_counts_at_the_next_step():
    theta = torch.zeros(1, requires_grad=True)
    optimizer = GradNormScaled([theta], torch.optim.SGD, lr=0.1)
    theta.grad = torch.tensor([7.0])
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 2.0
    optimizer.step()
    torch.testing.assert_close(theta.detach(), torch.tensor([-2.1]))


def test_power_is_read_at_each_step():
    theta = torch.zeros(1, requires_grad=True)
    optimizer = GradNormScaled([theta], torch.optim.SGD, lr=1.0)
    theta.grad = torch.tensor([4.0])
    optimizer.power = 0.5
    optimizer.step()
    torch.testing.assert_close(theta.detach(), torch.tensor([-2.0]))


def test_a_group_added_later_is_stepped_and_counts_in_the_norm():
    a, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = GradNormScaled([a], torch.optim.SGD, lr=0.1)
    a.grad = torch.tensor([3.0])
    optimizer.step()
    optimizer.add_param_group({"params": [b], "lr": 1.0})
    a.grad, b.grad = torch.tensor([3.0]), torch.tensor([4.0])
    optimizer.step()
    torch.testing.assert_close(a.detach(), torch.tensor([-0.1 - 0.1 * 3 / 5]))
    torch.testing.assert_close(b.detach(), torch.tensor([-1.0 * 4 / 5]))
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 1.0]


def test_groups_and_names_are_given_as_to_any_torch_optimizer():
    model = torch.nn.Linear(2, 3)
    optimizer = GNSAdam(model.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    generator = (p for p in model.parameters())
    assert len(GradNormScaled(generator, torch.optim.SGD, lr=0.1).param_groups[0]["params"]) == 2
    assert GNSAdam(model.parameters()).defaults["lr"] == 1e-3
