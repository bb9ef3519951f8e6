"""The nouns, by who reads them: what a user brings, the plan, its trainings, the answer. Plain frozen data, no torch."""

from .canonical import canonical, digest, finite, plain
from .contender import Brought, Contender, Run
from .options import BudgetOptions, EngineOptions, ProtocolOptions, TaskOptions, WorkerOptions
from .plan import (
    EARLIER_VERSION,
    MOST_PLANNED,
    PLAN_VERSION,
    ContenderInfo,
    Numerics,
    Plan,
    Protocol,
    Science,
    Stages,
    TaskInfo,
    other_reach,
    plan_of,
)
from .task import Loaders, Metric, Split, Splits, Task, steps_per_epoch
from .training import PHASES, PILOT, Curves, DataFacts, Hyperparameters, Member, Phase, called
from .verdict import Outcome, Verdict, verdicts_of

__all__ = [
    "EARLIER_VERSION",
    "MOST_PLANNED",
    "PHASES",
    "PILOT",
    "PLAN_VERSION",
    "Brought",
    "BudgetOptions",
    "Contender",
    "ContenderInfo",
    "Curves",
    "DataFacts",
    "EngineOptions",
    "Hyperparameters",
    "Loaders",
    "Member",
    "Metric",
    "Numerics",
    "Outcome",
    "Phase",
    "Plan",
    "Protocol",
    "ProtocolOptions",
    "Run",
    "Science",
    "Split",
    "Splits",
    "Stages",
    "Task",
    "TaskInfo",
    "TaskOptions",
    "Verdict",
    "WorkerOptions",
    "called",
    "canonical",
    "digest",
    "finite",
    "other_reach",
    "plain",
    "plan_of",
    "steps_per_epoch",
    "verdicts_of",
]  # fmt: skip
