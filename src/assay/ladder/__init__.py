"""The ladder: the tuned baseline at other lengths of training, to say how many of its steps a candidate is worth.

Each rung is a record of its own, `speedup/<epochs>/` in the run folder, with a plan of the baseline alone at that length, which
is tuned anew there; the replicates' data, weights and orders are the question's. A prefix of the baseline's own final runs, which
would cost nothing, is no rung: its rate was tuned for the whole length, and loses more and more below it
(docs/speedup.md). Not a bit of the question's own record changes, and none of it changes the verdict.

`plan` says what the rungs are, `judged` what they say (the rule is `judge.speedup`'s), `verified` whether the record is sound.
The room above trains them: `driver/ladder.py`.
"""
