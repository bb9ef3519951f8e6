"""From the members on record to the answer: arrays, then verdicts, then what `result.json` says. Pure: no torch."""
