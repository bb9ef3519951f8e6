"""What each check asks, why it matters, and the line that mends what fails. Torch is never imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Grade = Literal["wrong", "breaks", "untidy"]
GRADES: dict[Grade, str] = {
    "wrong": "a training that is wrong without a word",
    "breaks": "a training that breaks",
    "untidy": "what only a reader minds",
}
"""What each comes to, the worst first."""


@dataclass(frozen=True)
class Explained:
    """`grade`: what a fault comes to, see `GRADES`."""

    grade: Grade
    why: str
    mend: str


EXPLAINED = {
    "made": Explained(
        "breaks",
        "Everything else is asked of an optimizer that can be made over a matrix and a vector, in the middle of its ranges.",
        "def __init__(self, params, lr=1e-3): super().__init__(params, dict(lr=lr))",
    ),
    "steps": Explained(
        "breaks",
        "An optimizer whose first steps move nothing, or not all parameters, trains nothing.",
        "loop over every group and every p in group['params'] with p.grad, and write to p in place: p.add_(update, alpha=-lr)",
    ),
    "deterministic": Explained(
        "wrong",
        "Two trainings from one seed that differ can't be compared, by this tool or by its users.",
        "draw random numbers from a torch.Generator of its own, and keep no state at module level",
    ),
    "descends": Explained(
        "wrong",
        "On a convex quadratic there is a rate at which each sensible rule goes down; a sign or a factor may be wrong.",
        "p.add_(direction, alpha=-lr): steps go against the gradient",
    ),
    "global_rng": Explained(
        "untidy",
        "Dropout and the order of batches come from the same stream: with another optimizer they differ, and one that seeds it "
        "makes every step's dropout the same.",
        "self.generator = torch.Generator().manual_seed(seed); torch.randn(shape, generator=self.generator)",
    ),
    "quiet": Explained(
        "untidy",
        "What prints at each step fills the logs of whoever trains with it.",
        "take the print out, or warn once: warnings.warn(...)",
    ),
    "closure": Explained(
        "wrong",
        "Trainers pass a closure and read the loss that step returns; it has to be called once, with gradients on.",
        "if closure is not None:\n    with torch.enable_grad():\n        loss = closure()\n…\nreturn loss",
    ),
    "none_grad": Explained(
        "wrong",
        "A parameter without a gradient (frozen, or an expert that saw no token) must stay, decay and momentum included.",
        "if p.grad is None: continue  # before decay and momentum",
    ),
    "zero_grad": Explained(
        "breaks",
        "Dead units and embedding rows that a batch doesn't have give zero gradients; 0/0 makes NaN of all weights.",
        "divide by (norm + eps), with eps above 0",
    ),
    "nan_grad": Explained(
        "wrong",
        "A step that hides NaN lets a training that has diverged go on unseen.",
        "leave out torch.nan_to_num, and clamp only what is finite",
    ),
    "huge_grad": Explained(
        "breaks",
        "A spike of 1e10 squares to 1e20, and a sum of such squares leaves float32 at 3e38.",
        "scale before squaring, or divide by the norm first",
    ),
    "grads_intact": Explained(
        "untidy",
        "Whoever reads gradients after the step (clipping statistics, logging, accumulation) finds other numbers.",
        "grad = p.grad.clone(), or out-of-place operations: grad = grad + wd * p",
    ),
    "clears_grads": Explained(
        "breaks",
        "Trainers call zero_grad(set_to_none=…) both ways; a gradient that is left is added to the next one.",
        "def zero_grad(self, set_to_none=True): super().zero_grad(set_to_none=set_to_none)  # or the wrapped optimizer's",
    ),
    "effects": Explained(
        "wrong",
        "A sweep over a setting that nothing reads finds a best value, and reports it.",
        "read it in step from the group: group['weight_decay']; or take it out of the signature",
    ),
    "group_settings": Explained(
        "wrong",
        "Norms and biases are put in a group without weight decay; who reads self.defaults, or the first group, decays them.",
        "read each setting in step from its own group: for group in self.param_groups: decay = group['weight_decay']",
    ),
    "groups": Explained(
        "wrong",
        "Layer-wise rates are set by groups; who reads self.defaults['lr'] trains every layer at one rate.",
        "lr = group['lr'], read in step, for each group",
    ),
    "grouping": Explained(
        "wrong",
        "Whether parameters come in one group or in two of the same settings is bookkeeping: counters and norms of a group's own "
        "make it part of the rule.",
        "keep counts in self.state[p]['step'], and take norms over all groups",
    ),
    "add_group": Explained(
        "wrong",
        "Layers that are unfrozen later are added by add_param_group; what was set up in __init__ alone doesn't know them.",
        "make state when it is first needed: if not self.state[p]: …",
    ),
    "schedulers": Explained(
        "wrong",
        "A scheduler writes group['lr']. Who keeps the rate of construction, or writes the group's, ignores the schedule.",
        "lr = group['lr'], read anew at each step; a rate of the rule's own goes to a local variable",
    ),
    "resume": Explained(
        "wrong",
        "What isn't in state_dict is lost when a training is resumed: it goes on, and differently.",
        "keep all that changes in self.state[p] or in the group; __setstate__ fills in what older checkpoints lack",
    ),
    "resume_groups": Explained(
        "wrong",
        "What is kept by its place in a list, or loaded for the first group alone, goes to another parameter on resuming.",
        "keep it in self.state[p], and leave group settings to torch.optim.Optimizer.load_state_dict",
    ),
    "resume_bf16": Explained(
        "wrong",
        "Optimizer.load_state_dict casts floating-point state to the type of its parameter: moments kept in float32 for "
        "bfloat16 weights come back in bfloat16.",
        "def load_state_dict(self, state_dict):\n    super().load_state_dict(state_dict)\n    # then put back, from state_dict, "
        "each tensor whose dtype changed",
    ),
    "torch_save": Explained(
        "wrong",
        "The same, through a file: what can't be saved with weights_only, or comes back as another type, is lost.",
        "keep tensors, numbers and strings in the state, no objects and no functions",
    ),
    "deepcopy": Explained(
        "breaks",
        "Sweeps and ensembles copy optimizers. torch's own __getstate__ keeps state, param_groups and defaults alone.",
        "keep settings in the groups, or: def __getstate__(self): return self.__dict__.copy()",
    ),
    "pickle": Explained(
        "breaks",
        "As deepcopy: processes get optimizers pickled.",
        "keep settings in the groups, or: def __getstate__(self): return self.__dict__.copy()",
    ),
    "switching": Explained(
        "wrong",
        "Checkpoints are made in eval mode, of the weights to be judged by; who forgets which are which trains on wrong ones.",
        "keep the mode in the group (group['train_mode']), so that it is saved, and return early where it is the mode already",
    ),
    "hooks": Explained(
        "breaks",
        "Profilers, loggers and fully sharded trainers register step hooks.",
        "derive from torch.optim.Optimizer, and call super().__init__(params, defaults)",
    ),
    "float64": Explained(
        "wrong",
        "Buffers made as float32 round double precision away, in gradient checks and in science.",
        "torch.zeros_like(p), not torch.zeros(p.shape)",
    ),
    "bf16": Explained(
        "wrong",
        "In bfloat16 a second moment kept in 8 bits stands still: 0.999 of it rounds to itself.",
        "keep moments in float32: torch.zeros_like(p, dtype=torch.float32), and round once, at the end",
    ),
    "complex": Explained(
        "wrong",
        "g * g of a complex gradient is no square of its length: second moments turn, and steps go anywhere, without an error.",
        "p, g = (torch.view_as_real(x) if torch.is_complex(x) else x for x in (p, g)); or raise where p.is_complex()",
    ),
    "views": Explained(
        "wrong",
        "Flat buffers (of sharded trainers, of fused kernels, of averages of weights) share memory with parameters: p.data = … "
        "parts them, and what reads the buffer trains with old weights.",
        "p.add_(update, alpha=-lr), or p.copy_(new), under torch.no_grad()",
    ),
    "noncontiguous": Explained(
        "wrong",
        "Transposed weights and expanded gradients are common; view(-1) of them fails or writes into a copy.",
        "reshape(-1) for reading, and write to p itself",
    ),
    "zero_dim": Explained(
        "breaks",
        "Learned temperatures and gates have shape ().",
        "test p.ndim before taking dimensions",
    ),
    "implementations": Explained(
        "wrong",
        "Which of them runs depends on the device: where they differ, so does the training from one machine to another.",
        "test each against foreach=False, with weight decay, maximize and parameters without a gradient",
    ),
    "differentiable": Explained(
        "wrong",
        "Meta-learning differentiates through the step: under no_grad, or where what was read is written in place, no gradient "
        "comes through, or a wrong one.",
        "decorate step with torch.optim.optimizer._use_grad_for_differentiable, and use out-of-place operations there",
    ),
    "order": Explained(
        "wrong",
        "Models list parameters in the order in which they were written: a rule that depends on it trains two ways.",
        "keep one value a parameter, and sum over all before using a total",
    ),
    "leak": Explained(
        "breaks",
        "Memory that grows by a step ends long trainings: lists of losses, graphs that are kept.",
        "with torch.no_grad(), and no list that grows; deque(maxlen=…)",
    ),
    "identity": Explained(
        "untidy",
        "A new name for a known rule at another setting: worth knowing before a paper is written.",
        "say in its documentation which it is",
    ),
}
"""By the name of the check; what is measured has no entry, for it can't fail."""
