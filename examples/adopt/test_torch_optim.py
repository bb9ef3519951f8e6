"""torch.optim, as its own test suite could have it: a test of each optimizer and check, known faults with their reasons."""

import torch

from assay.testing import parametrize_with_checks

CAST = "a number of the state is a float32 tensor, which load_state_dict casts to bfloat16 beside the moments"
KNOWN = {
    torch.optim.ASGD: {"resume_bf16": f"{CAST} (eta)"},
    torch.optim.NAdam: {"resume_bf16": f"{CAST} (mu_product)"},
    torch.optim.Rprop: {"schedulers": "lr is the length of the first step only, by its definition"},
    torch.optim.LBFGS: {
        "deepcopy": "what __init__ keeps beside groups and state (_params) is no part of __getstate__",
        "pickle": "what __init__ keeps beside groups and state (_params) is no part of __getstate__",
        "noncontiguous": "gradients are flattened by view(-1)",
    },
}
OPTIMIZERS = [
    torch.optim.Adadelta,
    torch.optim.Adafactor,
    torch.optim.Adagrad,
    torch.optim.Adam,
    torch.optim.AdamW,
    torch.optim.Adamax,
    torch.optim.ASGD,
    torch.optim.LBFGS,
    torch.optim.NAdam,
    torch.optim.RAdam,
    torch.optim.RMSprop,
    torch.optim.Rprop,
    torch.optim.SGD,
    # not SparseAdam, which takes sparse gradients alone
]


@parametrize_with_checks(OPTIMIZERS, expected_failures=lambda optimizer: KNOWN.get(optimizer, {}), limit=120)
def test_optimizers(optimizer, check):
    check(optimizer)
