"""A chunk of members as one, operation by operation: one level of vmap around the model and the optimizer's step."""
