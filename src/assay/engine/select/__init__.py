"""Which engine a contender is given, how wide its chunks are, and the parity probe that it must pass."""
