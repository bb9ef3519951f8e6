"""Everything a training loop does around a step."""

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.overrides import TorchFunctionMode

from assay.optim import GNSAdam, GradNormScaled


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_closure_is_called_once_with_autograd_on():
    theta = torch.tensor([3.0, 4.0], requires_grad=True)
    optimizer = GradNormScaled([theta], torch.optim.SGD, lr=1.0)
    calls = []

    def closure():
        calls.append(torch.is_grad_enabled())
        optimizer.zero_grad()
        loss = (theta**2).sum() / 2
        loss.backward()
        return loss.item()

    with torch.no_grad():
        assert optimizer.step(closure) == 12.5
    assert calls == [True]
    torch.testing.assert_close(theta.detach(), torch.tensor([3.0, 4.0]) * (1 - 1 / 5))
    assert optimizer.step() is None


def test_parameters_without_a_gradient_stay_and_do_not_count(new_parameters, new_gradients, run, norm):
    steps = new_gradients(4)
    some = [[g if (i + t) % 2 else None for i, g in enumerate(step)] for t, step in enumerate(steps)]
    parameters = new_parameters()
    oracle = torch.optim.Adam(parameters, fused=True)
    for step in some:
        oracle.param_groups[0]["lr"] = 0.1 / norm(g for g in step if g is not None)
        run(oracle, [step])
    ours = run(GNSAdam(new_parameters(), lr=0.1), some)
    for a, b in zip(parameters, ours, strict=True):
        torch.testing.assert_close(b, a.detach())


def test_a_step_without_any_gradient_changes_nothing(new_parameters, run):
    optimizer = GNSAdam(new_parameters(), lr=0.1)
    assert same(run(optimizer, [[None, None, None]]), new_parameters())
    assert not optimizer.state


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad(set_to_none, new_parameters, new_gradients, run):
    parameters = new_parameters()
    optimizer = GNSAdam(parameters)
    run(optimizer, new_gradients(1))
    optimizer.zero_grad(set_to_none)
    assert all(p.grad is None if set_to_none else not p.grad.any() for p in parameters)


@pytest.mark.parametrize("base", [torch.optim.Adam, torch.optim.SGD])
def test_step_hooks_run_once_a_step_with_the_wrapper(base, new_parameters, new_gradients, run):
    optimizer = GradNormScaled(new_parameters(), base, lr=0.1)
    seen = []
    optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append(("before", o, o.param_groups[0]["lr"])))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(("after", o, o.param_groups[0]["lr"])))
    everywhere = [
        register_optimizer_step_pre_hook(lambda o, args, kwargs: seen.append(("global before", o))),
        register_optimizer_step_post_hook(lambda o, args, kwargs: seen.append(("global after", o))),
    ]
    try:
        run(optimizer, new_gradients(1))
    finally:
        for handle in everywhere:
            handle.remove()
    assert seen == [
        ("global before", optimizer),
        ("before", optimizer, 0.1),
        ("after", optimizer, 0.1),
        ("global after", optimizer),
    ]


def test_a_pre_hook_may_change_the_closure():
    theta = torch.tensor([2.0], requires_grad=True)
    optimizer = GradNormScaled([theta], torch.optim.SGD, lr=1.0)
    theta.grad = torch.ones(1)
    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 7.0), {}))
    assert optimizer.step() == 7.0


def test_hooks_and_steps_that_belong_to_the_base_run_with_the_base(new_parameters, new_gradients, run, norm):
    optimizer = GradNormScaled(new_parameters(), torch.optim.SGD, lr=0.1)
    seen = []
    optimizer.base.register_step_pre_hook(lambda o, args, kwargs: seen.append((o, o.param_groups[0]["lr"])))
    gradients = new_gradients(1)
    run(optimizer, gradients)
    [(who, rate)] = seen
    assert who is optimizer.base
    assert rate == pytest.approx(0.1 / norm(gradients[0]))


@pytest.mark.parametrize("flags", [{}, {"foreach": False}, {"fused": True}], ids=str)
def test_grad_scaler_gives_the_norm_of_unscaled_gradients(flags):
    def train(scaler):
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
        optimizer = GNSAdam(model.parameters(), lr=0.1, **flags)
        x = torch.randn(5, 3)
        for _ in range(4):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            if scaler is None:
                loss.backward()
                optimizer.step()
            else:
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
        return [p.detach() for p in model.parameters()]

    # scaling by a power of two changes no bit
    assert same(train(torch.amp.GradScaler("cpu", init_scale=2.0**12)), train(None))


@pytest.mark.parametrize("flags", [{}, {"foreach": False}, {"fused": True}], ids=str)
def test_grad_scaler_skips_a_step_with_an_infinite_gradient(flags):
    theta = torch.ones(2, requires_grad=True)
    optimizer = GNSAdam([theta], lr=0.1, **flags)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale((theta * torch.tensor([float("inf"), 1.0])).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(theta.detach(), torch.ones(2))
    assert scaler.get_scale() == 2.0


def test_after_clipping_the_norm_is_the_clipped_one():
    theta = torch.zeros(2, requires_grad=True)
    optimizer = GradNormScaled([theta], torch.optim.SGD, power=0.5, lr=1.0)
    theta.grad = torch.tensor([30.0, 40.0])
    torch.nn.utils.clip_grad_norm_([theta], max_norm=4.0)
    optimizer.step()
    torch.testing.assert_close(theta.detach(), -torch.tensor([2.4, 3.2]) / 2)


def test_gradients_that_carry_a_graph_leave_none_behind():
    theta = torch.tensor([3.0, 4.0], requires_grad=True)
    optimizer = GNSAdam([theta], lr=0.1)
    (theta.grad,) = torch.autograd.grad((theta**2).sum(), theta, create_graph=True)

    def saved_for_backward(tensor):
        raise AssertionError("the step recorded an operation for autograd")

    with torch.autograd.graph.saved_tensors_hooks(saved_for_backward, lambda tensor: tensor):
        optimizer.step()
    assert not any(value.requires_grad for value in optimizer.state[theta].values())


def test_complex_parameters(norm):
    parameters = [torch.zeros(3, dtype=torch.complex64, requires_grad=True) for _ in range(2)]
    ours = GNSAdam([parameters[0]], lr=0.1)
    oracle = torch.optim.Adam([parameters[1]], lr=0.1)
    for _ in range(3):
        gradient = torch.randn(3, dtype=torch.complex64)
        oracle.param_groups[0]["lr"] = 0.1 / norm([gradient])
        for parameter, optimizer in zip(parameters, (ours, oracle), strict=True):
            parameter.grad = gradient
            optimizer.step()
    torch.testing.assert_close(*parameters)


@pytest.mark.parametrize(
    ("flags", "fused", "foreach"),
    [
        ({}, True, None),
        ({"foreach": True}, None, True),
        ({"foreach": False}, None, False),
        ({"fused": False}, False, None),
        ({"fused": True}, True, None),
    ],
    ids=str,
)
def test_the_users_choice_of_kernel_stands(flags, fused, foreach, new_parameters, new_gradients, run):
    optimizer = GNSAdam(new_parameters(), **flags)
    run(optimizer, new_gradients(1))
    group = optimizer.base.param_groups[0]
    assert (group["fused"], group["foreach"]) == (fused, foreach)


def test_the_fused_kernel_is_chosen_only_where_it_fits(new_parameters, new_gradients, run):
    complex_one = GNSAdam([torch.zeros(3, dtype=torch.complex64, requires_grad=True)])
    run(complex_one, [[torch.ones(3, dtype=torch.complex64)]])
    sgd = GradNormScaled(new_parameters(), torch.optim.SGD, lr=0.1)
    run(sgd, new_gradients(1))
    plain = GNSAdam(new_parameters(), power=0)
    run(plain, new_gradients(1))
    assert [o.param_groups[0]["fused"] for o in (complex_one, sgd, plain)] == [None, None, None]


SHAPE = (2, 4, 3, 6)
LAYOUTS = {  # how the parameter and the gradient lie in memory
    "transposed gradient": (torch.clone, lambda t: t.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)),
    "expanded gradient": (torch.clone, lambda t: t[..., :1].expand(SHAPE)),
    "parameter with gaps": (lambda t: torch.zeros(2, 4, 3, 12)[..., ::2].copy_(t), torch.clone),
    "both with gaps": (lambda t: torch.zeros(2, 4, 3, 12)[..., ::2].copy_(t),) * 2,
    "channels last": (lambda t: t.to(memory_format=torch.channels_last),) * 2,
    "channels last, gradient not": (lambda t: t.to(memory_format=torch.channels_last), torch.clone),
}


@pytest.mark.parametrize("flags", [{}, {"fused": True}], ids=str)
@pytest.mark.parametrize(("lay_parameter", "lay_gradient"), LAYOUTS.values(), ids=LAYOUTS)
def test_any_layout_in_memory_moves_the_right_weights(lay_parameter, lay_gradient, flags):
    def path(**options):
        torch.manual_seed(0)
        theta = lay_parameter(torch.randn(SHAPE)).requires_grad_()
        optimizer = GNSAdam([theta], lr=0.1, **options)
        for _ in range(3):
            theta.grad = lay_gradient(torch.randn(SHAPE))
            optimizer.step()
        return theta.detach(), optimizer.param_groups[0]["fused"]

    moved, fused = path(**flags)
    torch.testing.assert_close(moved, path(foreach=False)[0], rtol=1e-5, atol=1e-6)
    assert fused is True  # set aside for single steps only


def test_late_gradients_with_momentum(new_parameters, new_gradients, run):
    steps = new_gradients(3)
    late = [[g, None if t == 0 else b, s] for t, (g, b, s) in enumerate(steps)]
    run(GradNormScaled(new_parameters(), torch.optim.SGD, lr=0.1, momentum=0.9), late)


class Unbatch(TorchFunctionMode):
    """Lets vmap through a step: ``item()`` of a batched scalar is that scalar; what has no batching rule is unrolled."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "item":
            return args[0]
        if name == "_foreach_norm":
            return tuple(torch.linalg.vector_norm(tensor, **kwargs) for tensor in args[0])
        if name == "lerp_":
            return args[0].add_((args[1] - args[0]) * args[2])
        if name == "addcmul_":
            return args[0].add_(args[1] * args[2] * kwargs["value"])
        if name == "addcdiv_":
            return args[0].add_(args[1] / args[2] * kwargs["value"])
        return func(*args, **kwargs)


@pytest.mark.parametrize("length", [5, 70_000])
def test_a_population_steps_under_vmap_each_member_at_its_own_rate_and_power(length):
    torch.manual_seed(0)
    start, gradients = torch.randn(3, length), torch.randn(3, length) * torch.tensor([[0.0], [1.0], [50.0]])
    rates, powers = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1.0, 0.5, 2.0])

    def member(theta, gradient, rate, power):
        optimizer = GNSAdam([torch.zeros(length, requires_grad=True)], lr=0.1)
        theta = theta.clone()
        optimizer.param_groups[0].update(params=[theta], lr=rate)
        optimizer.power = power
        theta.grad = gradient
        with Unbatch():
            optimizer.step()
        return theta

    together = torch.func.vmap(member)(start, gradients, rates, powers)
    for i in range(3):
        theta = start[i].clone().requires_grad_()
        optimizer = GNSAdam([theta], lr=rates[i].item(), power=powers[i].item())
        theta.grad = gradients[i]
        optimizer.step()
        torch.testing.assert_close(together[i], theta.detach(), rtol=1e-5, atol=1e-6)
