"""Controls: contenders that `compare` adds beside the question, to see whether its answer can be trusted. None decides.

- *A/A*: the baseline once more, with a sampler and final seeds of its own; its trials share data, initial weights and
  batches with the baseline's. It should not differ.
- *Sabotage*: the baseline, halted after a tenth of its steps. It must lose.
- *Sceptic*: the baseline's studies go on to 2n trials. Is a candidate that was tuned with n still ahead of it?
- *Schedule replay*: the baseline with its steps as long as a candidate's (grafting). How much of a difference is the
  schedule?

They are a record of their own, `controls/` in the run folder, with a plan whose contenders are those of the question and
then the controls: whatever is in it, not a bit of the question's own record changes. `plan` says what they are, `lengths`
how long the steps of a replay are, `altered` what is done to the baseline, `judged` judges them, and `verified` looks
whether the record is sound. The room above trains them: `driver/controls.py`.
"""
