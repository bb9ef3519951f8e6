"""Training: engines, and the workers they run in. An engine is a function (task, contender, members, numerics) → curves."""
