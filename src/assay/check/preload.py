"""What every bench needs, imported once by the server it is forked from.

Collecting garbage while torch is imported costs a tenth of the time, and frozen objects stay shared between processes.
torch imports its compiler with the first optimizer it makes, so that is loaded here too.
"""

from __future__ import annotations

import gc

gc.disable()
import torch  # noqa: E402
import torch._dynamo  # noqa: E402

import assay.check.checks  # noqa: E402
import assay.check.serve  # noqa: E402
import assay.contenders  # noqa: E402, F401

torch.set_num_threads(1)
gc.enable()
gc.freeze()
