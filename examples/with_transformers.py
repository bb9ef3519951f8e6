"""A compared optimizer in transformers' Trainer, on a very small GPT-2 that learns to count.

    python examples/with_transformers.py

Here the settings are given. After a comparison, `assay.open("assay-runs/…").contender("CautiousSign")` has those that were tuned.

Trainer has defaults that a comparison hasn't: it clips gradients, lets the rate decay, and writes its own `weight_decay` into the
groups, of which norms and biases have none. Here they are turned off, or given.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

import assay
from assay.driver.ready import Ready

MINE = f"{Path(__file__).with_name('own_class.py')}:CautiousSign"
STEPS = 20


def data() -> list[dict[str, torch.Tensor]]:
    """Sixteen texts of twelve tokens: counting on, modulo 16, from each."""
    texts = [(torch.arange(12) + start) % 16 for start in range(16)]
    first = torch.tensor([-100])  # is nobody's to predict; Trainer would count it when it takes the mean
    return [{"input_ids": text, "labels": torch.cat([first, text[1:]])} for text in texts]


def network() -> GPT2LMHeadModel:
    """One layer of width 16, without dropout."""
    torch.manual_seed(0)
    off = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    return GPT2LMHeadModel(GPT2Config(vocab_size=16, n_positions=12, n_embd=16, n_layer=1, n_head=2, **off, **ends))


def trainer(model: GPT2LMHeadModel, tuned: Ready) -> Trainer:
    """Made by its class where it can be, and else given as an optimizer with its schedule, just as it was compared."""
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        max_steps=STEPS,
        per_device_train_batch_size=16,
        max_grad_norm=0.0,
        lr_scheduler_type="constant",
        weight_decay=tuned.settings.get("weight_decay", 0.0),
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    if tuned.contender.schedule is None:
        by_class = tuned.optimizer_cls_and_kwargs
        return Trainer(model, arguments, train_dataset=data(), optimizer_cls_and_kwargs=by_class)
    optimizer = tuned.optimizer(model)
    return Trainer(model, arguments, train_dataset=data(), optimizers=(optimizer, tuned.scheduler(optimizer, STEPS)))


def train(tuned: Ready) -> GPT2LMHeadModel:
    """The network after so many steps on all the texts."""
    model = network()
    trainer(model, tuned).train()
    return model


def loss_of(model: GPT2LMHeadModel) -> float:
    """The mean loss of a token, in nats: log 16 = 2.77 where nothing has been learned."""
    texts = torch.stack([each["input_ids"] for each in data()])
    with torch.no_grad():
        return float(model(input_ids=texts, labels=texts).loss)


if __name__ == "__main__":
    print(f"loss of a token: {loss_of(network()):.2f} nats, and after {STEPS} steps:")
    print(f"{loss_of(train(assay.contender_for(MINE, lr=0.02))):.2f} made by its class")
    print(f"{loss_of(train(assay.contender_for(f'{MINE}+cosine', lr=0.02))):.2f} with a schedule")
