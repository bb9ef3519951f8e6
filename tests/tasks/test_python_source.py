"""Python's own source as text: its tokens, who is in which part, and that a small GPT learns from it."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.errors import UsageError
from assay.tasks import find, python_source
from assay.tasks.python_source import WORDS, Windows, corpus, modules, words

SOURCE = b'''def f(a):  # a comment
    """A long string, which is one token."""
    return a + "x"


f(1)
'''


def test_tokens_are_names_signs_and_where_blocks_begin_and_end():
    assert list(words(SOURCE)) == [
        *("def", "f", "(", "a", ")", ":", "<line>"),
        *("<begin>", "<string>", "<line>", "return", "a", "+", '"x"', "<line>"),
        *("<end>", "f", "(", "1", ")", "<line>"),
    ]


def test_modules_are_of_the_library_and_no_tests():
    found = {path.name for path in modules()}
    assert {"argparse.py", "datetime.py", "typing.py"} <= found
    assert not any(path.parent.name in ("test", "tests", "encodings", "site-packages") for path in modules())


def test_numbers_are_by_frequency_and_the_rest_is_one():
    tokens = corpus().tokens
    counts = np.bincount(tokens, minlength=WORDS)
    assert (np.diff(counts[1:]) <= 0).all()  # the most frequent first
    assert tokens.max() == WORDS - 1
    assert 0.05 < counts[0] / len(tokens) < 0.2  # rare words
    # an oracle of another make: a module's own tokens, counted by hand
    place = next(i for i, path in enumerate(modules()) if path.name == "argparse.py")
    begins = corpus().begins
    if len(begins) - 1 == len(modules()):  # each could be read
        own = tokens[begins[place] : begins[place + 1]]
        text = list(words(modules()[place].read_bytes()))
        assert len(own) == len(text)
        numbers: dict[str, set[int]] = {}
        for word, number in zip(text, own, strict=True):
            numbers.setdefault(word, set()).add(int(number))
        assert all(len(found) == 1 for found in numbers.values())
        most = Counter(text).most_common(1)[0][0]
        assert numbers[most] < set(range(1, 20))


def test_a_module_is_in_one_part_only_and_targets_are_the_tokens_after():
    splits = Windows(16, 300, 100)(3)
    assert splits.validation is not None
    for part in (splits.train, splits.validation, splits.test):
        assert (part.inputs[:, 1:] == part.targets[:, :-1]).all()
    found = corpus()
    starts = [
        (m, s) for m in range(len(found.begins) - 1) for s in range(found.begins[m], found.begins[m + 1] - 16, 16)
    ]
    text = [found.tokens[s : s + 16].tobytes() for _, s in starts]
    where = {t: m for t, (m, _) in zip(text, starts, strict=True)}
    common = Counter(text)
    own = []
    for part in (splits.train, splits.validation, splits.test):
        rows = [row.astype(np.int16).tobytes() for row in part.inputs]
        assert all(row in where for row in rows)
        own.append({where[row] for row in rows if common[row] == 1})
    assert not own[0] & own[1]
    assert not own[0] & own[2]
    assert not own[1] & own[2]


def test_the_model_is_causal_and_its_head_is_its_embedding():
    model = find("python-gpt", {"width": 32, "context": 8}).model()
    x = torch.randint(0, WORDS, (3, 8))
    changed = x.clone()
    changed[:, 5] = (changed[:, 5] + 1) % WORDS
    with torch.no_grad():
        a, b = model(x), model(changed)
    torch.testing.assert_close(a[:, :5], b[:, :5])
    assert not torch.allclose(a[:, 5:], b[:, 5:])
    assert a.shape == (3, 8, WORDS)
    assert sum(p.numel() for p in model.parameters()) == WORDS * 32 + 8 * 32 + 2 * (12 * 32**2 + 13 * 32) + 2 * 32
    others = torch.randint(0, WORDS, (24,))
    assert float(torch.nn.functional.cross_entropy(a.flatten(0, 1), others)) == pytest.approx(math.log(WORDS), rel=0.02)


def test_it_learns_what_counts_of_single_tokens_do_not_know():
    task = find("python-gpt", {"width": 32, "context": 16, "train_samples": 1500})
    splits = task.data(0)
    torch.manual_seed(0)
    model = task.model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x, y = (torch.from_numpy(a) for a in splits.train)
    for start in 3 * list(range(0, 1500, 10)):
        optimizer.zero_grad()
        task.loss(model(x[start : start + 10]), y[start : start + 10]).backward()
        optimizer.step()
    with torch.no_grad():
        found = float(
            task.metric.score(model(torch.from_numpy(splits.test.inputs)), torch.from_numpy(splits.test.targets))
        )
    assert found < task.metric.constant(splits.train.targets, splits.test.targets) - 0.3


def test_the_record_says_which_python_it_was():
    assert "CPython 3." in find("python-gpt").note
    assert find("python-gpt").family == find("python-softmax").family == "python"


def test_a_python_without_its_source_is_one_line(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(python_source.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(UsageError, match="holds 0 modules of it"):
        modules()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 33}, "multiple of its heads"),
        ({"depth": 0}, "depth must be 1"),
        ({"context": 1}, "context must be 2"),
        ({"train_samples": 0}, "train_samples must be 1"),
    ],
)
def test_sizes_that_cant_be_are_named(options, said):
    with pytest.raises(UsageError, match=said):
        find("python-gpt", options)


def test_more_windows_than_the_library_has_is_one_line():
    with pytest.raises(UsageError, match="Python's library gives"):
        find("python-gpt", {"train_samples": 10**7}).data(0)
