"""A fault of the engine's own: an error in the tests, and a fallback that asks for a report in a user's run."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from assay.engine.eager import population
from assay.engine.refusal import NotVectorizable, is_fault
from assay.engine.train import train
from assay.workers.jobs import pack, train_chunk

from .small import contender, make_task, members, numerics


@pytest.fixture(params=[None, torch.stack], ids=["calls what isn't there", "calls torch with what doesn't fit"])
def broken(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> pytest.MonkeyPatch:
    """The population's step makes a mistake: a TypeError of Python's, and a RuntimeError of torch's."""
    monkeypatch.setattr(population, "norms", request.param)
    return monkeypatch


def test_a_fault_of_the_engines_is_an_error_in_the_tests(broken):
    with pytest.raises((TypeError, RuntimeError), match=r"NoneType|equal size"):
        train(make_task(), contender(torch.optim.SGD), members(), numerics())


def test_a_fault_of_the_engines_is_a_fallback_that_asks_for_a_report(broken):
    broken.delenv("ASSAY_STRICT")
    with pytest.raises(NotVectorizable, match=r"Error: .*; this is a fault of assay's engine, please report it"):
        train(make_task(), contender(torch.optim.SGD), members(), numerics())
    packed = pack(make_task()), pack(contender(torch.optim.SGD))
    found = train_chunk(*packed, members(), numerics())
    assert all("please report it" in reason for reason in found.fallback)
    assert (found.diverged == 0).all()


MISTAKES = {
    "a method that isn't there": lambda p: p.missing(),
    "an argument that isn't there": lambda p: torch.add(p, 1, nonsense=1),
    "one that an override hands on": lambda p: torch.full((2,), 1.0, nonsense=1),
    "too few for an override": lambda p: torch.allclose(p),
    "too few for a decomposition": lambda p: torch.lerp(p),
    "an index out of range": lambda p: p.__setitem__(1000, 0.0),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_of_the_optimizers_is_none_of_the_engines(mistake):
    class Mistaken(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            if "taken" in self.state:  # the loop's own step, the first, is sound
                MISTAKES[mistake](self.param_groups[0]["params"][0])
            super().step()
            self.state["taken"] = True  # type: ignore[index]

    with pytest.raises(NotVectorizable) as caught:
        train(make_task(), contender(Mistaken), members(), numerics())
    assert "Error" in str(caught.value)
    assert "report" not in str(caught.value)


def test_no_members_are_one_clear_error():
    packed = pack(make_task()), pack(contender(torch.optim.SGD))
    for engine in ("loop", "vectorized"):
        with pytest.raises(Exception, match="there are no members to train"):
            train_chunk(*packed, [], numerics(engine=engine))


def test_an_error_that_was_never_raised_is_nobodys_fault():
    assert not is_fault(TypeError("made, not raised"))
