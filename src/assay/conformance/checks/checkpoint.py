"""Does it go on where it was: from a state_dict, from a copy; and are its hooks called?"""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import cloudpickle
import torch
from torch import Tensor

from assay.conformance.lab import Lab, Training, difference, groups_of, same
from assay.conformance.report import Failed, Passed, fail_if, skip_if

_STEPS = 27  # no multiple of the periods that rules have, and longer than most: what is kept at step 20 is used at 40
_TORCHS_OWN = {"_opt_called", "_warned_capturable_if_run_uncaptured"}  # attributes that torch sets, and steps don't use
_FIRST_STEPS = """
def feed(opt, p, t):
    p.grad = torch.sin(torch.arange(12.0) + t).view(4, 3)
    opt.step()
for t in range(27):
    feed(opt, p, t)
"""
_REBUILT = "q = torch.nn.Parameter(p.detach().clone())\nagain := [q]\n"
_LAST_STEPS = """
for t in range(27, 54):
    feed(opt, p, t)
    feed(again, q, t)
assert torch.equal(p, q), f"resumed steps differ by {(p - q).abs().max().item():.2g}"
"""


def _shows(lab: Lab, lines: str) -> None:
    """The example of a copy: these lines make q and again of p and opt."""
    lab.shows(f"{_FIRST_STEPS}{lines}\n{_LAST_STEPS}")


def went(lab: Lab, dtype: torch.dtype = torch.float32) -> Training:
    """A training some steps along. Skip where it can't be saved."""
    training = lab.training(dtype)
    for name in ("state_dict", "load_state_dict"):
        can = callable(getattr(training.optimizer, name, None))
        skip_if(not can, f"it is no torch.optim.Optimizer and has no {name}()")
    return training.feed_all(_rows(lab, dtype)[:_STEPS])


def _rows(lab: Lab, dtype: torch.dtype = torch.float32) -> list[list[Tensor]]:
    return lab.rows(2 * _STEPS, dtype)


def resumed(lab: Lab, training: Training, state: Any = None) -> Training:
    """The training in a new object that has loaded this state, or a copy of its own."""
    again = Training(lab, training.values())
    again.optimizer.load_state_dict(copy.deepcopy(training.optimizer.state_dict()) if state is None else state)
    return training.with_other(again.params, again.optimizer)


def apart_after(lab: Lab, training: Training, other: Training) -> float:
    """Go on with both; how far apart they end up, 0 where they are the same to the bit."""
    for one in (training, other):
        one.feed_all(_rows(lab, training.params[0].dtype)[_STEPS:])
    if same(training.values(), other.values()):
        return 0.0
    return max(difference(training.moved(), other.moved()), 1e-300)


def check_resume(lab: Lab) -> Passed:
    """A new object that loads the state goes on with the very bits, and has the groups' settings."""
    _shows(lab, f"{_REBUILT}import copy\nagain.load_state_dict(copy.deepcopy(opt.state_dict()))")
    training = went(lab)
    again = resumed(lab, training)
    lost = _lost(training.optimizer, again.optimizer)
    apart = apart_after(lab, training, again)
    hint = f": {lost} is not in the state_dict" if lost else ""
    fail_if(apart, f"resumed from its state_dict it takes other steps (they differ by {apart:.2g}){hint}")
    _settings(lab, training)
    return Passed("a rebuilt object goes on with the same bits")


def _settings(lab: Lab, training: Training) -> None:
    """A learning rate changed before saving is there after loading."""
    groups = groups_of(training.optimizer)
    if not groups or not isinstance(groups[0].get("lr"), float):
        return
    lab.shows(
        """
opt.param_groups[0]["lr"] *= 0.5  # as a scheduler does
q = torch.nn.Parameter(torch.ones(4, 3))
again := [q]
again.load_state_dict(opt.state_dict())
assert again.param_groups[0]["lr"] == opt.param_groups[0]["lr"], "the saved lr is not restored"
"""
    )
    groups[0]["lr"] *= 0.5
    restored = resumed(lab, training).optimizer.param_groups[0]["lr"] == groups[0]["lr"]
    fail_if(not restored, "load_state_dict doesn't restore a learning rate that was changed before saving")


def _lost(before: Any, after: Any) -> str:
    """Attributes whose numbers or tensors did not come along, by name."""

    def came(value: Any, other: Any) -> bool:
        if isinstance(value, Tensor):
            return isinstance(other, Tensor) and torch.equal(value, other)
        return not isinstance(value, int | float) or value == other

    held = {name: value for name, value in vars(before).items() if name not in _TORCHS_OWN}
    lost = [f"self.{name}" for name, value in held.items() if not came(value, vars(after).get(name))]
    return ", ".join(lost[:3])


def skip_if_not_resumed(lab: Lab) -> None:
    """Skip where it isn't resumed in the plainest way."""
    training = went(lab)
    try:
        sound = not apart_after(lab, training, resumed(lab, training))
    except Exception:
        sound = False
    skip_if(not sound, "it doesn't resume even in memory")


def check_torch_save(lab: Lab) -> Passed:
    """The same through a file."""
    skip_if_not_resumed(lab)
    through = "import io\nfile = io.BytesIO()\ntorch.save(opt.state_dict(), file)\nfile.seek(0)\n"
    _shows(lab, f"{_REBUILT}{through}again.load_state_dict(torch.load(file))")
    training = went(lab)
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
    apart = apart_after(lab, training, resumed(lab, training, state))
    fail_if(apart, f"resumed from a file it takes other steps (they differ by {apart:.2g})")
    return Passed(f"a rebuilt object goes on with the same bits{note}")


def check_deepcopy(lab: Lab) -> Passed:
    """A deep copy takes the same steps, and they leave the original alone."""
    _shows(lab, "import copy\nq, again = copy.deepcopy((p, opt))")
    training = lab.training().feed_all(_rows(lab)[:_STEPS])
    return _judge_copy(lab, training, copy.deepcopy((training.params, training.optimizer)), "deep copy")


def check_pickle(lab: Lab) -> Passed:
    """A pickled copy takes the same steps."""
    _shows(lab, "import pickle\nq, again = pickle.loads(pickle.dumps((p, opt)))")
    training = lab.training().feed_all(_rows(lab)[:_STEPS])
    note = ""
    try:
        packed = pickle.dumps((training.params, training.optimizer))
    except (pickle.PicklingError, AttributeError, ImportError) as error:
        if lab.facts.get("importable"):
            raise Failed(f"it can't be pickled: {' '.join(str(error).split())[:120]}") from None
        packed = cloudpickle.dumps((training.params, training.optimizer))
        note = ", by cloudpickle, since its class can't be imported"
    return _judge_copy(lab, training, pickle.loads(packed), "pickled copy", note)


def _judge_copy(lab: Lab, training: Training, copies: tuple[list[Any], Any], what: str, note: str = "") -> Passed:
    """Go on with the copied parameters and optimizer, then with the training itself."""
    params, optimizer = copies
    if type(optimizer) is not type(training.optimizer):
        raise Failed(f"the copy is a {type(optimizer).__name__}, not a {type(training.optimizer).__name__}")
    copied = training.with_other(params, optimizer)
    before, held = training.values(), copied.values()
    copied.feed_all(_rows(lab)[_STEPS:])
    fail_if(not same(before, training.values()), f"the steps of its {what} move the parameters of the original")
    training.feed_all(_rows(lab)[_STEPS:])
    if same(held, copied.values()) and not same(before, training.values()):
        raise Failed(f"the steps of its {what} don't move the copied parameters")
    apart = difference(training.moved(), copied.moved())
    fail_if(not same(training.values(), copied.values()), f"its {what} takes other steps (they differ by {apart:.2g})")
    return Passed(f"a {what} goes on with the same bits, on its own{note}")


def check_hooks(lab: Lab) -> Passed:
    """A hook before and one after the step are called once a step."""
    lab.shows(
        """
calls, seen = [], []
opt.register_step_pre_hook(lambda *_: (calls.append("before"), seen.append(p.detach().clone())))
opt.register_step_post_hook(lambda *_: (calls.append("after"), seen.append(p.detach().clone())))
begun = p.detach().clone()
p.grad = torch.ones(4, 3)
opt.step()
assert calls == ["before", "after"], calls
assert torch.equal(seen[0], begun) and torch.equal(seen[1], p), "a hook is not called where the step begins, or ends"
"""
    )
    training = lab.training()
    register = (getattr(training.optimizer, f"register_step_{when}_hook", None) for when in ("pre", "post"))
    skip_if(not all(map(callable, register)), "it is no torch.optim.Optimizer and has no step hooks")
    calls: list[str] = []
    seen, ends = [], [training.values()]  # what hooks see; the parameters between the steps

    def hook(when: str) -> None:
        calls.append(when)
        seen.append(training.values())

    training.optimizer.register_step_pre_hook(lambda *_: hook("before"))
    training.optimizer.register_step_post_hook(lambda *_: hook("after"))
    for row in _rows(lab)[:3]:
        training.feed(row)
        ends.append(training.values())
    count = f"{calls.count('before')} calls before and {calls.count('after')} after"
    fail_if(calls != ["before", "after"] * 3, f"step hooks are not called once a step: in 3 steps {count}")
    early = not all(map(same, seen[1::2], ends[1:]))
    fail_if(early, "the hook after the step is called before the step has moved all parameters")
    late = not all(map(same, seen[::2], ends))
    fail_if(late, "the hook before the step is called when parameters have moved already")
    return Passed("a hook before and one after are called once a step, where it begins and where it ends")
