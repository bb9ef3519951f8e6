"""Does it go on where it was: from a state_dict, from a copy; and are its hooks called?"""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import cloudpickle
import torch
from torch import Tensor

from assay.check.lab import Lab, Training, difference, gradients, is_torch, same, start_values
from assay.check.outcome import Failed, Passed, Skip

_STEPS = 7  # no multiple of the periods that rules have
_TORCHS_OWN = {"_opt_called", "_warned_capturable_if_run_uncaptured"}  # attributes that torch sets, and steps don't use
_HEAD = """
def feed(opt, p, t):
    p.grad = torch.sin(torch.arange(12.0) + t).view(4, 3)
    opt.step()
for t in range(6):
    feed(opt, p, t)
q = torch.nn.Parameter(p.detach().clone())
"""
_TAIL = """
for t in range(6, 12):
    feed(opt, p, t)
    feed(again, q, t)
assert torch.equal(p, q), f"resumed steps differ by {(p - q).abs().max().item():.2g}"
"""


def _shows(lab: Lab, how: str) -> None:
    made = "\n".join(lab.script.made("again", "[q]", lab.lr))
    if how in ("copy.deepcopy(opt)", "pickle"):
        middle = {
            "copy.deepcopy(opt)": "import copy\nq, again = copy.deepcopy((p, opt))\n",
            "pickle": "import pickle\nq, again = pickle.loads(pickle.dumps((p, opt)))\n",
        }[how]
        lab.shows(_HEAD.rsplit("q = ", 1)[0] + middle + _TAIL)
    elif how == "torch.save":
        through = "import io\nfile = io.BytesIO()\ntorch.save(opt.state_dict(), file)\nfile.seek(0)\n"
        lab.shows(f"{_HEAD}{made}\n{through}again.load_state_dict(torch.load(file))\n{_TAIL}")
    else:
        lab.shows(f"{_HEAD}{made}\nimport copy\nagain.load_state_dict(copy.deepcopy(opt.state_dict()))\n{_TAIL}")


def _rows(lab: Lab) -> list[list[Tensor]]:
    return gradients(lab.shapes, 2 * _STEPS, torch.float32)


def _went(lab: Lab) -> Training:
    """A training six steps along. Skip where it can't be saved."""
    training = Training(lab, start_values(lab.shapes, torch.float32))
    if not is_torch(training.optimizer):
        for name in ("state_dict", "load_state_dict"):
            if not callable(getattr(training.optimizer, name, None)):
                raise Skip(f"it is no torch.optim.Optimizer and has no {name}()")
    return training.feed_all(_rows(lab)[:_STEPS])


def _resumed(lab: Lab, training: Training, state: Any) -> Training:
    again = Training(lab, training.values())
    again.optimizer.load_state_dict(state)
    again.start, again.rng = [s.clone() for s in training.start], training.rng
    return again


def _apart(lab: Lab, training: Training, other: Training) -> float:
    """Go on with both; how far apart they end up, 0 where they are the same to the bit."""
    ends = []
    for one in (training, other):
        ends.append(one.feed_all(_rows(lab)[_STEPS:]))
    if same(*(e.values() for e in ends)):
        return 0.0
    return max(difference(*(e.moved() for e in ends)), 1e-300)


def check_resume(lab: Lab) -> Passed:
    """A new object that loads the state goes on with the very bits, and has the groups' settings."""
    _shows(lab, "resume")
    training = _went(lab)
    state = copy.deepcopy(training.optimizer.state_dict())
    again = _resumed(lab, training, state)
    lost = _lost(training.optimizer, again.optimizer)
    apart = _apart(lab, training, again)
    if apart:
        hint = f": {lost} is not in the state_dict" if lost else ""
        raise Failed(f"resumed from its state_dict it takes other steps (they differ by {apart:.2g}){hint}")
    _settings(lab, training)
    return Passed("a rebuilt object goes on with the same bits")


def _settings(lab: Lab, training: Training) -> None:
    """A learning rate changed before saving is there after loading."""
    groups = getattr(training.optimizer, "param_groups", None)
    if not groups or not isinstance(groups[0].get("lr"), float):
        return
    lab.shows(
        "\n".join(
            [
                'opt.param_groups[0]["lr"] *= 0.5  # as a scheduler does',
                "q = torch.nn.Parameter(torch.ones(4, 3))",
                *lab.script.made("again", "[q]", lab.lr),
                "again.load_state_dict(opt.state_dict())",
                'assert again.param_groups[0]["lr"] == opt.param_groups[0]["lr"], "the saved lr is not restored"',
            ]
        )
    )
    groups[0]["lr"] *= 0.5
    wanted = groups[0]["lr"]
    again = Training(lab, training.values())
    again.optimizer.load_state_dict(copy.deepcopy(training.optimizer.state_dict()))
    if again.optimizer.param_groups[0]["lr"] != wanted:
        raise Failed("load_state_dict doesn't restore a learning rate that was changed before saving")


def _lost(before: Any, after: Any) -> str:
    """Attributes whose numbers or tensors did not come along, by name."""
    names = []
    for name, value in vars(before).items():
        if name in _TORCHS_OWN:
            continue
        other = vars(after).get(name)
        if isinstance(value, Tensor):
            differs = not isinstance(other, Tensor) or not torch.equal(value, other)
        else:
            differs = isinstance(value, int | float) and value != other
        if differs:
            names.append(f"self.{name}")
    return ", ".join(names[:3])


def check_torch_save(lab: Lab) -> Passed:
    """The same through a file."""
    try:
        training = _went(lab)
        plain = _resumed(lab, training, copy.deepcopy(training.optimizer.state_dict()))
        sound = not _apart(lab, training, plain)
    except Skip:
        raise
    except Exception:
        sound = False
    if not sound:
        raise Skip("it doesn't resume even in memory")
    _shows(lab, "torch.save")
    training = _went(lab)
    file = io.BytesIO()
    torch.save(training.optimizer.state_dict(), file)
    file.seek(0)
    note = ""
    try:
        state = torch.load(file)
    except pickle.UnpicklingError:
        file.seek(0)
        state = torch.load(file, weights_only=False)
        note = " (torch.load needs weights_only=False: it holds more than tensors and numbers)"
    apart = _apart(lab, training, _resumed(lab, training, state))
    if apart:
        raise Failed(f"resumed from a file it takes other steps (they differ by {apart:.2g})")
    return Passed(f"a rebuilt object goes on with the same bits{note}")


def check_deepcopy(lab: Lab) -> Passed:
    """A deep copy takes the same steps, and they leave the original alone."""
    _shows(lab, "copy.deepcopy(opt)")
    training = _copyable(lab)
    params, optimizer = copy.deepcopy((training.params, training.optimizer))
    return _judge_copy(lab, training, _copied(lab, training, params, optimizer), "deep copy")


def check_pickle(lab: Lab) -> Passed:
    """A pickled copy takes the same steps."""
    _shows(lab, "pickle")
    training = _copyable(lab)
    try:
        packed = pickle.dumps((training.params, training.optimizer))
        note = ""
    except (pickle.PicklingError, AttributeError, ImportError) as error:
        if lab.facts.get("importable"):
            raise Failed(f"it can't be pickled: {' '.join(str(error).split())[:120]}") from None
        packed = cloudpickle.dumps((training.params, training.optimizer))
        note = ", by cloudpickle, since its class can't be imported"
    params, optimizer = pickle.loads(packed)
    passed = _judge_copy(lab, training, _copied(lab, training, params, optimizer), "pickled copy")
    return Passed(passed.sentence + note)


def _copyable(lab: Lab) -> Training:
    training = Training(lab, start_values(lab.shapes, torch.float32))
    return training.feed_all(_rows(lab)[:_STEPS])


def _copied(lab: Lab, training: Training, params: Any, optimizer: Any) -> Training:
    if type(optimizer) is not type(training.optimizer):
        raise Failed(f"the copy is a {type(optimizer).__name__}, not a {type(training.optimizer).__name__}")
    copied = Training.of(lab, params, optimizer)
    copied.start, copied.rng = [s.clone() for s in training.start], training.rng
    return copied


def _judge_copy(lab: Lab, training: Training, copied: Training, what: str) -> Passed:
    before = training.values()
    held = copied.values()
    copied.feed_all(_rows(lab)[_STEPS:])
    if not same(before, training.values()):
        raise Failed(f"the steps of its {what} move the parameters of the original")
    training.feed_all(_rows(lab)[_STEPS:])
    if same(held, copied.values()) and not same(before, training.values()):
        raise Failed(f"the steps of its {what} don't move the copied parameters")
    if not same(training.values(), copied.values()):
        apart = difference(training.moved(), copied.moved())
        raise Failed(f"its {what} takes other steps (they differ by {apart:.2g})")
    return Passed(f"a {what} goes on with the same bits, on its own")


def check_hooks(lab: Lab) -> Passed:
    """A hook before and one after the step are called once a step."""
    lab.shows(
        """
calls = []
opt.register_step_pre_hook(lambda *_: calls.append("before"))
opt.register_step_post_hook(lambda *_: calls.append("after"))
p.grad = torch.ones(4, 3)
opt.step()
assert calls == ["before", "after"], calls
"""
    )
    training = Training(lab, start_values(lab.shapes, torch.float32))
    register = [getattr(training.optimizer, f"register_step_{when}_hook", None) for when in ("pre", "post")]
    if not all(callable(r) for r in register):
        raise Skip("it is no torch.optim.Optimizer and has no step hooks")
    calls: list[str] = []
    register[0](lambda *_: calls.append("before"))  # pyright: ignore[reportOptionalCall]
    register[1](lambda *_: calls.append("after"))  # pyright: ignore[reportOptionalCall]
    training.feed_all(_rows(lab)[:3])
    if calls != ["before", "after"] * 3:
        count = f"{calls.count('before')} calls before and {calls.count('after')} after"
        raise Failed(f"step hooks are not called once a step: in 3 steps {count}")
    return Passed("a hook before and one after are called once a step")
