"""On a GPU: the same steps, and a host that never waits."""

import pytest
import torch

from assay.optim import GNSAdam, GradNormScaled

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

NO_READ = {
    "default": lambda p: GNSAdam(p, lr=0.1),
    "fused": lambda p: GNSAdam(p, lr=0.1, fused=True, amsgrad=True),
    "capturable": lambda p: GNSAdam(p, lr=0.1, capturable=True),
    "capturable, one tensor at a time": lambda p: GNSAdam(p, lr=0.1, capturable=True, foreach=False),
    "AdamW": lambda p: GradNormScaled(p, torch.optim.AdamW, lr=0.1),
    "SGD, fused": lambda p: GradNormScaled(p, torch.optim.SGD, 0.5, lr=0.1, momentum=0.9, fused=True),
}
ONE_READ = {
    "foreach": lambda p: GNSAdam(p, lr=0.1, foreach=True),
    "RMSprop": lambda p: GradNormScaled(p, torch.optim.RMSprop, lr=0.1),
}
CPU = {
    **NO_READ,
    **ONE_READ,
    "capturable": lambda p: GNSAdam(p, lr=0.1),
    "capturable, one tensor at a time": lambda p: GNSAdam(p, lr=0.1),
}


def on_gpu(tensors):
    return [t.detach().cuda().requires_grad_() for t in tensors]


@pytest.mark.parametrize("name", [*NO_READ, *ONE_READ])
def test_steps_are_those_of_the_cpu(name, new_parameters, new_gradients, run):
    gradients = new_gradients(6)
    expected = run(CPU[name](new_parameters()), gradients)
    optimizer = {**NO_READ, **ONE_READ}[name](on_gpu(new_parameters()))
    found = run(optimizer, [[g.cuda() for g in step] for step in gradients])
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(b.cpu(), a, rtol=1e-4, atol=1e-5)
    assert optimizer.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize("lr", [None, "cpu", "cuda"])
@pytest.mark.parametrize("make", NO_READ.values(), ids=NO_READ)
def test_the_host_does_not_wait(make, lr, new_parameters, new_gradients, run):
    optimizer = make(on_gpu(new_parameters()))
    gradients = [[g.cuda() for g in step] for step in new_gradients(4)]
    if lr is not None:
        optimizer.param_groups[0]["lr"] = torch.tensor(0.1, device=lr)
    run(optimizer, gradients[:1])  # state is made here
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        run(optimizer, gradients[1:])
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_checkpoint_of_plain_adam_on_the_cpu_goes_on_without_waiting(new_parameters, new_gradients, run):
    adam = torch.optim.Adam(new_parameters(), lr=0.1)
    run(adam, new_gradients(2))
    optimizer = GNSAdam(on_gpu(new_parameters()), lr=0.1)
    optimizer.load_state_dict(adam.state_dict())
    run(optimizer, [[g.cuda() for g in step] for step in new_gradients(2)])
    assert all(state["step"].is_cuda and float(state["step"]) == 4 for state in optimizer.state.values())


def test_a_step_can_be_captured_in_a_graph(new_parameters, new_gradients, run):
    gradients = [[g.cuda() for g in step] for step in new_gradients(5)]
    expected = run(GNSAdam(on_gpu(new_parameters()), lr=0.1, capturable=True), gradients)
    parameters = on_gpu(new_parameters())
    optimizer = GNSAdam(parameters, lr=0.1, capturable=True)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        run(optimizer, gradients[:1])
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        optimizer.step()
    for step in gradients[1:]:
        for parameter, gradient in zip(parameters, step, strict=True):
            assert parameter.grad is not None
            parameter.grad.copy_(gradient)
        graph.replay()
    for a, b in zip(expected, parameters, strict=True):
        torch.testing.assert_close(b.detach(), a)


def test_zero_norm_and_grad_scaler(new_parameters):
    parameters = on_gpu(new_parameters())
    optimizer = GNSAdam(parameters, lr=0.1)
    scaler = torch.amp.GradScaler("cuda", init_scale=4.0)
    before = [p.detach().clone() for p in parameters]
    scaler.scale(torch.stack([(0 * p).sum() for p in parameters]).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert all(torch.equal(a, b.detach()) for a, b in zip(before, parameters, strict=True))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_parameters_on_two_gpus(new_parameters, new_gradients, run):
    gradients = new_gradients(3)
    expected = run(GNSAdam(new_parameters(), lr=0.1), gradients)
    a, b, c = new_parameters()
    spread = [t.detach().to(d).requires_grad_() for t, d in ((a, "cuda:0"), (b, "cuda:1"), (c, "cuda:0"))]
    placed = [[g.to(p.device) for g, p in zip(step, spread, strict=True)] for step in gradients]
    for x, y in zip(expected, run(GNSAdam(spread, lr=0.1), placed), strict=True):
        torch.testing.assert_close(y.cpu(), x, rtol=1e-4, atol=1e-5)
