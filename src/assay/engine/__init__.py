"""Engines beside the reference loop: whole populations of models at once, with unmodified optimizers."""
