"""What may be asked for: the options of the command line and of `assay.compare`, by what they decide. No torch, no NumPy.

Annotations are evaluated here, not postponed: the command line reads those that its own options inherit.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_type_hints

from .task import Task
from .typed import converted, instance


class Options:
    """Options that are of their types as soon as they are made. UsageError, in one line, for one that isn't."""

    def __post_init__(self) -> None:
        for name, annotation in _types(type(self)).items():
            value: Any = getattr(self, name)
            if name in ("space", "tune", "schedule") and isinstance(value, str):
                value = [value]
            if name != "task":  # which `TaskOptions` sees to
                object.__setattr__(self, name, converted(value, annotation, name))


@functools.cache
def _types(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


@dataclass(frozen=True, kw_only=True)
class TaskOptions(Options):
    """What the contenders are compared on.

    Parameters
    ----------
    task
        What they are compared on (see assay list); several parted by commas, or suite for all of them, give one verdict
        across them.
    epochs
        Epochs of each training; a stress axis, as are width, batch-size and label-noise: given twice, each value is run.
    margin
        The smallest difference that matters, in the unit of the scores (0.01 is one point of accuracy).
    margin_in_text
        The same in the unit of the metric's text (points for accuracies).
    train_samples
        Training samples, for a task whose data is generated.
    width
        Width of the task's network (docs/tasks.md says of what).
    depth
        Blocks of the task's network.
    context
        Tokens that the task's network sees at once.
    batch_size
        Samples in a batch.
    target
        The column to predict, of table:FILE or hf:NAME.
    vocabulary
        Symbols of a byte-pair encoding to read text:FILE or hf:NAME with; bytes without it.
    model
        A network of your own for text:, table:, images:, hf: and torchvision:, as in file.py:Model.
    scale
        Sizes of one task to be run at, as in width=32,64,128,256 (or depth, batch-size, train-samples, epochs), each tuned anew:
        says whether an advantage lasts as they grow.
    label_noise
        Noise on the training targets: a share of labels replaced, or standard deviations added.
    """

    task: str | Task | Sequence[str | Task] = "mnist1d-mlp"
    epochs: int | Sequence[int] | None = None
    margin: float | None = None
    margin_in_text: float | None = None
    train_samples: int | Sequence[int] | None = None
    width: int | Sequence[int] | None = None
    depth: int | Sequence[int] | None = None
    context: int | Sequence[int] | None = None
    batch_size: int | Sequence[int] | None = None
    label_noise: float | Sequence[float] | None = None
    target: str | None = None
    vocabulary: int | None = None
    model: str | None = None
    scale: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        given: Any = self.task
        named = list(cast("Sequence[Any]", given)) if isinstance(given, list | tuple) else [given]
        for task in named:
            instance(task, (str, Task), "task", "a task's name, an assay.Task or a list of them")


@dataclass(frozen=True, kw_only=True)
class BudgetOptions(Options):
    """How much of each is done.

    Parameters
    ----------
    trials
        Tuning trials for each contender.
    replicates
        How often the whole procedure is repeated, data, tuning and all: a number (a larger one than a finished run had
        adds to it, and calls what comes of it exploratory), or auto for as many as the spread of
        the first 12 asks for, 48 at most (auto:MOST for another maximum). 10,000 are the most that can be planned.
    final_seeds
        Final trainings of each tuned contender in each replicate.
    seed
        The root of every seed.
    """

    trials: int | None = None
    replicates: int | str | None = None
    final_seeds: int | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class ProtocolOptions(BudgetOptions):
    """How the comparison is made.

    Parameters
    ----------
    protocol
        honest: replicates with their own data and tuning, a verdict with an interval; ranges that nobody gave are looked for
        (docs/plan.md). honest-1: its first edition, the default before 0.2. published: the original study's way, one seed,
        tuned on the test set.
    looks
        Numbers of replicates at which the answer may end the comparison, as in 12,24: the level is spent over them.
    space
        A range to tune over: NAME.hyperparameter=low..high, with :log for a log scale or :1-log for one of 1 − x, or a|b|c;
        beta2 is the second of `betas`. Can be repeated.
    tune
        What to tune besides the learning rate, over usual ranges: weight_decay, momentum, beta1, beta2, eps, amsgrad, or
        warmup (of its schedule, as a share of training), parted by commas. Every contender that takes it tunes it.
    schedule
        Of the learning rate, for every contender that has none of its own: constant, cosine, linear or wsd, a warm-up before
        it as in warmup5+cosine; or none. Given twice, each is run, and where the order turns round, that is said.
    transfer
        With --scale: tune at the smallest size only, and carry the settings over to the others, learning rates by a rule:
        none (as they are), 1/width, or sqrt (with the root of the batch size, or of 1/width).
    speedup
        Also say how many of the baseline's steps each candidate is worth: the baseline is tuned and trained at other lengths,
        too.
    controls
        Also run the baseline against itself, crippled, tuned twice as long, and with each candidate's step lengths; none
        of it changes the verdict.
    """

    protocol: Literal["honest", "honest-1", "published"] = "honest"
    looks: str | Sequence[int] | None = None
    space: Sequence[str] = ()
    tune: Sequence[str] = ()
    schedule: Sequence[str] = ("none",)
    transfer: Literal["none", "1/width", "sqrt"] | None = None
    speedup: bool = False
    controls: bool = False


@dataclass(frozen=True, kw_only=True)
class EngineOptions(Options):
    """How populations are trained; `auto` leaves it to `engine.select`.

    Parameters
    ----------
    engine
        How populations are trained: auto takes what should be quickest here and passes the parity probe.
    compile
        Whether the vectorized engine compiles its steps; auto does where the job is long enough to repay it. With
        --engine loop, on: the model is compiled by torch.compile.
    device
        cpu or cuda.
    precision
        Of products: float32; tf32, of a GPU's tensor cores; or bf16, of whatever torch's autocast takes. Other than in float32
        only the loop trains, and scores are computed in float32.
    micro_batch
        Samples of a batch that go through the model at once, where a whole batch takes too much memory; gradients are added
        up. Only the loop trains so.
    """

    engine: Literal["auto", "vectorized", "loop"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    device: str = "cpu"
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    micro_batch: int | None = None


@dataclass(frozen=True, kw_only=True)
class WorkerOptions(Options):
    """Who does the work. The numbers don't depend on it.

    Parameters
    ----------
    workers
        Processes: one a core by default, four for a GPU; or ray, for a cluster (see docs/cluster.md). The numbers
        don't depend on it.
    ray_address
        The cluster's HOST:PORT, by default $RAY_ADDRESS, for --workers ray; without either, one is started here.
    time_limit
        Seconds without any result after which workers are taken to hang: by default 1800, or 50 times the longest
        piece of work, if that is more.
    """

    workers: int | str | None = None
    ray_address: str | None = None
    time_limit: float | None = None
