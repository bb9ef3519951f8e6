"""The reference loop, the data it takes, and what a task must be to be trained on."""
