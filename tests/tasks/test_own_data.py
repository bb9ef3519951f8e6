"""A user's own text, table and pictures: read as they are written, refused in one line, and each end in a verdict."""

from __future__ import annotations

import gzip
import math
import os
import pickle
import struct

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

import assay
from assay.cli import call
from assay.driver.job import task_info
from assay.errors import UsageError
from assay.tasks import again, find
from assay.tasks.own.cells import CsvFile, as_numbers, decoded

from ..asked import small

RNG = np.random.default_rng(0)


def verdict(task: str, out, *more: str) -> int:
    spaces = ["--space", "adam.lr=1e-4..1e-2:log", "--space", "sgd.lr=1e-3..1e-1:log"]
    return call(["run", "adam", "sgd", "--task", task, *small(), "--epochs", "1", *spaces, *more, "--out", str(out)])


# ----------------------------------------------------------------------------------------------------------- text


@pytest.fixture
def prose(tmp_path):
    path = tmp_path / "prose.txt"
    path.write_text("the quick brown fox jumps over the lazy dog, and so on; " * 80)
    return path


def test_bytes_are_what_follows_bytes_and_a_block_is_in_one_part(prose):
    numbered = prose.with_name("numbered.bin")
    numbered.write_bytes(bytes(range(256)) * 100)
    splits = find(f"text:{numbered}", {"context": 8}).data(1)
    for part in (splits.train, splits.validation, splits.test):
        assert part is not None
        assert ((part.inputs + 1) % 256 == part.targets).all()
    task = find(f"text:{prose}", {"context": 8, "width": 16, "depth": 1})
    assert task.data(0).digest == task.data(0).digest != task.data(1).digest
    assert again(task_info(task)).data(0).digest == task.data(0).digest
    assert task.model()(torch.zeros(2, 8, dtype=torch.int64)).shape == (2, 8, 256)


def test_a_text_that_was_changed_is_another_text(prose):
    before = find(f"text:{prose}", {"context": 8}).data(0).digest
    prose.write_text("something else entirely, in as many words as are needed here. " * 80)
    assert find(f"text:{prose}", {"context": 8}).data(0).digest != before


def test_a_vocabulary_is_learned_from_the_text(prose):
    pytest.importorskip("tokenizers", reason="pip install 'assay[text]'")
    task = find(f"text:{prose}", {"context": 4, "vocabulary": 300})
    assert task.data(0).train.inputs.max() > 255
    assert task.model()(torch.zeros(1, 4, dtype=torch.int64)).shape == (1, 4, 300)


def test_a_vocabulary_is_of_letters_in_any_encoding(tmp_path):
    pytest.importorskip("tokenizers", reason="pip install 'assay[text]'")
    found = []
    for encoding in ("utf-8", "cp1252", "utf-16-le"):
        (tmp_path / encoding).write_bytes(("Größe über Länge. " * 400).encode(encoding))
        found.append(find(f"text:{tmp_path / encoding}", {"context": 4, "vocabulary": 300}).data.data.all())  # type: ignore[attr-defined]
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()


def test_a_comma_in_a_files_name_is_said_to_part_tasks(prose, tmp_path, capsys):
    assert verdict(f"text:{prose},more.txt", tmp_path / "run") == 2
    assert "more.txt is no task; commas part tasks, so no file's name may have one" in capsys.readouterr().err


@pytest.mark.parametrize("longer", [0, 37, 63])
def test_a_text_ends_in_a_verdict_that_can_be_verified(prose, tmp_path, longer):
    with prose.open("a") as file:
        file.write("x" * longer)
    sizes = {
        tuple(len(p.targets) for p in _parts(find(f"text:{prose}", {"context": 8}).data(seed))) for seed in range(9)
    }
    assert len(sizes) == 1
    if longer == 37:
        assert verdict(f"text:{prose}", tmp_path / "run", "--context", "8", "--width", "16", "--depth", "1") == 0
        assert call(["verify", str(tmp_path / "run")]) == 0


def _parts(splits):
    return splits.train, splits.validation, splits.test


@pytest.mark.parametrize(
    ("content", "said"), [(None, "can't be read"), (b"", "is empty"), (b"x", "holds 1 token, and")]
)
def test_a_text_that_cant_be_learned_from_is_one_line(content, said, tmp_path, capsys):
    path = tmp_path / "a.txt"
    if content is not None:
        path.write_bytes(content)
    assert verdict(f"text:{path}", tmp_path / "run") == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) == 1


# ---------------------------------------------------------------------------------------------------------- table


def people(count: int = 200) -> pl.DataFrame:
    x, y = RNG.normal(size=(2, count))
    gap = [None if i % 7 == 0 else float(y[i]) for i in range(count)]
    return pl.DataFrame(
        {
            "name": [f"person {i}" for i in range(count)],
            "x": x,
            "gap": gap,
            "town": [("Ulm", "Köln", "Bonn")[i % 3] for i in range(count)],
            "always": 1,
            "price": 3 * x + [(0.0, 1.0, 2.0)[i % 3] for i in range(count)],
            "kind": [("a", "b")[int(v > 0)] for v in x],
            "count": [int(v > 0) + int(v > 1) for v in x],
        }
    )


def test_a_table_is_read_as_polars_wrote_it(tmp_path):
    path = tmp_path / "people.csv"
    frame = people()
    frame.write_csv(path)
    task = find(f"table:{path}", {"target": "price"})
    splits = task.data(0)
    assert task.metric.name == "RMSE"
    assert splits.train.targets.mean() == pytest.approx(0, abs=1e-6)
    assert splits.train.targets.std() == pytest.approx(1, rel=1e-5)
    # x, gap, count; that gap is missing; town (3), kind (2)
    assert splits.train.inputs.shape == (120, 3 + 1 + 3 + 2)
    assert task.note == (
        "200 rows, 3 columns of numbers, 2 columns of words, a quantity to predict; "
        "left out: column 'name', which names each row; column 'always', which is always the same"
    )
    order = np.random.default_rng(0).permutation(200)[:120]
    x = frame["x"].to_numpy()
    expected = (x[order] - x[order].mean()) / x[order].std()
    np.testing.assert_allclose(splits.train.inputs[:, 0], expected, rtol=1e-5)
    missing = frame["gap"].is_null().to_numpy()[order]
    assert (splits.train.inputs[:, 3] == missing).all()
    assert (splits.train.inputs[missing, 1] == 0).all()


@pytest.mark.parametrize(("target", "classes"), [("kind", 2), ("count", 3), ("town", 3)])
def test_words_and_few_whole_numbers_are_classes(tmp_path, target, classes):
    path = tmp_path / "people.csv"
    people().write_csv(path)
    task = find(f"table:{path}", {"target": target})
    assert task.metric.name == "accuracy"
    assert set(task.data(0).train.targets) == set(range(classes))
    assert task.model()(torch.from_numpy(task.data(0).train.inputs[:5])).shape == (5, classes)


def _table(path, column, target="y", name="x") -> assay.Task:
    lines = [f'"{x}",{y}' for x, y in column]
    path.write_text("\n".join([f"{name},{target}", *lines]))
    return find(f"table:{path}", {"target": target})


def test_numbers_are_told_by_their_values(tmp_path):
    path = tmp_path / "a.csv"
    floats = _table(path, [(i, f"{i % 2}.0") for i in range(60)])  # as pandas writes whole numbers with gaps
    assert floats.metric.name == "accuracy"
    path.write_text("x;y\n" + "".join(f" {i},5;{i % 2}\n" for i in range(60)))
    comma = find(f"table:{path}", {"target": "y"})
    inputs = comma.data(0).train.inputs[:, 0]
    assert len(set(inputs)) == 36
    assert np.diff(np.sort(inputs)).max() < 0.3  # 1.5, 2.5, …: not 15, 25
    assert comma.note == "60 rows, 1 column of numbers, 2 classes"
    stray = _table(path, [("soon" if i == 9 else i, i % 2) for i in range(60)])
    assert stray.data(0).train.inputs.shape == (36, 2)  # and that one is missing
    assert stray.note.endswith("; left out: 1 cell of x without a number, as 'soon'")


def test_a_class_may_be_called_none_and_rows_without_one_are_said_to_be_left_out(tmp_path):
    path = tmp_path / "a.csv"
    task = _table(path, [(i, ("None", "Mild", "")[i % 3]) for i in range(90)])
    assert set(task.data(0).train.targets) == {0, 1}
    assert task.note == "60 rows, 1 column of numbers, 2 classes; left out: 30 rows without a y"


@pytest.mark.parametrize("mark", ["?", "-", "None", "null", ""])
def test_beside_numbers_alone_a_mark_is_a_gap_in_targets_too(tmp_path, mark):
    task = _table(tmp_path / "a.csv", [(i, mark if i % 30 == 4 else i + 0.5) for i in range(90)])
    assert task.metric.name == "RMSE"
    assert task.note.endswith("a quantity to predict; left out: 3 rows without a y")
    few = _table(tmp_path / "b.csv", [(i, mark if i % 30 == 4 else i % 2) for i in range(90)])
    assert set(few.data(0).train.targets) == {0, 1}


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["12.5%", "7 %", "100%"], [12.5, 7, 100]),
        (["12.5%", "7", "100%"], [math.nan, 7, math.nan]),  # which may be hundredths or not
    ],
)
def test_percentages_are_numbers_where_all_are(cells, numbers):
    np.testing.assert_array_equal(as_numbers(cells, "."), numbers)


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1.234,56", "78,9", None, "1.000"], [1234.56, 78.9, math.nan, 1000]),  # one tells what points are
        (["1.234,56", "1.5"], [1234.56, math.nan]),
        (["1,5", "1.5"], [1.5, math.nan]),
        (["-1.234.567,5%", "5%"], [-1234567.5, 5]),
    ],
)
def test_points_part_thousands_where_a_comma_comes_after(cells, numbers):
    np.testing.assert_array_equal(as_numbers(cells, ",."), numbers)


def test_one_number_tells_what_points_are_in_all_columns(tmp_path):
    (tmp_path / "a.csv").write_text(
        "price;people;y\n" + "".join(f"1.0{i},5;{i % 7}.00{i % 9};{i % 2}\n" for i in range(10, 70))
    )
    cells, decimal = CsvFile(tmp_path / "a.csv").cells()
    assert as_numbers(cells["people"], decimal)[0] == 3001
    assert find(f"table:{tmp_path / 'a.csv'}", {"target": "y"}).data(0).train.inputs.shape == (36, 2)
    assert as_numbers(["1,5", "1.5"], ",")[1] == 1.5  # where nothing tells


def test_spreadsheets_say_what_parts_their_columns(tmp_path):
    (tmp_path / "a.csv").write_text("SEP=;\nx, in metres;y\n" + "".join(f"{i},5;{i % 2}\n" for i in range(60)))
    assert find(f"table:{tmp_path / 'a.csv'}", {"target": "y"}).data(0).train.inputs.shape == (36, 1)


def test_what_is_used_and_left_out_is_said_in_the_plan(tmp_path, capsys):
    _table(tmp_path / "a.csv", [(i, "" if i == 9 else i % 2) for i in range(60)])
    asked = ["--task", f"table:{tmp_path / 'a.csv'}", "--target", "y", "--engine", "loop", "--plan-only", "--quiet"]
    assert call(["run", "adam", "sgd", *asked, "--out", str(tmp_path / "run")]) == 0
    assert "task a.csv: 59 rows, 1 column of numbers, 2 classes; left out: 1 row without a y" in capsys.readouterr().out


def test_names_may_have_lines_in_them(tmp_path):
    path = tmp_path / "a.csv"
    task = _table(path, [(i, i % 2) for i in range(60)], name='"first\nsecond"')
    assert task.data(0).train.inputs.shape == (36, 1)


def test_a_table_of_the_same_name_and_time_elsewhere_is_another_one(tmp_path, monkeypatch):
    for place, power in (("one", 1), ("two", 2)):
        (tmp_path / place).mkdir()
        _table(tmp_path / place / "a.csv", [(i, i**power) for i in range(60)])
        os.utime(tmp_path / place / "a.csv", (1, 1))
    found = []
    for place in ("one", "two"):
        monkeypatch.chdir(tmp_path / place)
        found.append(find("table:a.csv", {"target": "y"}).data(0).digest)
    assert found[0] != found[1]


def test_words_that_python_takes_for_numbers_are_words():
    found = as_numbers(["1020", "10_20", "2019_09", "0,5"], ",")
    np.testing.assert_array_equal(found, [1020, np.nan, np.nan, 0.5])


GERMAN = ("7,5", "500", "1.000", "-2.000", "12.345.678")
WRITTEN = {
    "German, shown by another cell": (";", GERMAN, (7.5, 500, 1000, -2000, 12345678)),
    "German, both": (";", ("1.234,5", "1.000", "0,5"), (1234.5, 1000, 0.5)),
    "points alone": (";", ("1.234", "5.678", "0.5"), (1.234, 5.678, 0.5)),
    "French": (";", ("7\u202f900,18", "7\u00a0900,18", "12 000,5", "3,25"), (7900.18, 7900.18, 12000.5, 3.25)),
    "Swiss": (",", ("7'898.89", "1’000", "12"), (7898.89, 1000, 12)),
    "dollars": (",", ("$12", "-$3.50", "$1000"), (12, -3.5, 1000)),
    "euros": (";", ("€ 7", "8 €", "1.234,50 €"), (7, 8, 1234.5)),
    "books": (",", ("(12.50)", "23.25-", "($3.10)", "1"), (-12.5, -23.25, -3.1, 1)),
    "a minus of typesetters": (",", ("−1.29", "2"), (-1.29, 2)),
    "percentages": (";", ("1,5 %", "2%"), (1.5, 2)),
}  # fmt: skip


@pytest.mark.parametrize("how", WRITTEN)
def test_numbers_as_offices_write_them(how, tmp_path):
    delimiter, words, numbers = WRITTEN[how]
    count = 30 * len(words)
    path = tmp_path / "a.csv"
    lines = (f"{words[i % len(words)]}{delimiter}{i % 2}{delimiter}a{i % 3}\n" for i in range(count))
    path.write_text(f"x{delimiter}y{delimiter}z\n" + "".join(lines), encoding="utf-8")
    task = find(f"table:{path}", {"target": "y"})
    found = task.data.data.all().numbers  # type: ignore[attr-defined]
    assert found[:, 0].tolist() == [numbers[i % len(numbers)] for i in range(count)]
    assert not task.note.count("left out")
    quantity = find(f"table:{path}", {"target": "x"})
    assert set(quantity.data.data.all().targets) <= {*numbers, *range(len(numbers))}  # type: ignore[attr-defined]


WORDS = {
    "grades": ("1", "1-", "2", "2-"),
    "brackets": ("(1)", "1", "(2)"),
    "dates": ("01.01.2023", "02.01.2023", "03.02.2023"),
    "versions": ("1.2.3", "1.10", "1.2.4"),
    "ages": ("<18", "18", ">65"),
    "currencies": ("$5", "€5", "$7"),
    "telephones": ("030 123 456", "030 123 457"),
}


@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("how", WORDS)
def test_what_only_looks_like_numbers_are_words(how, delimiter, tmp_path):
    path, kinds = tmp_path / "a.csv", WORDS[how]
    lines = (f"{kinds[i % len(kinds)]}{delimiter}{i % 2}\n" for i in range(60))
    path.write_text(f"x{delimiter}y\n" + "".join(lines), encoding="utf-8")
    assert "1 column of words" in find(f"table:{path}", {"target": "y"}).note
    assert f"{len(kinds)} classes" in find(f"table:{path}", {"target": "x"}).note


def test_a_cell_of_a_remark_proves_nothing(tmp_path, capsys):
    (tmp_path / "a.csv").write_text(
        "a;note;y\n" + "".join(f"{i % 7};{'3,5' if i == 9 else 'ok'};{'8.509' if i % 3 else 16}\n" for i in range(60))
    )
    assert verdict(f"table:{tmp_path / 'a.csv'}", tmp_path / "run", "--target", "y") == 2
    assert "column 'y' has numbers with commas or points, which may mean two things" in capsys.readouterr().err


def test_names_that_are_numbers_are_names(tmp_path):
    (tmp_path / "a.csv").write_text("0,1,2\n" + "".join(f"{i}.5,{i % 7},{i % 2}\n" for i in range(60)))
    assert find(f"table:{tmp_path / 'a.csv'}", {"target": "2"}).note == "60 rows, 2 columns of numbers, 2 classes"


def test_a_quantity_may_depend_on_the_number_of_its_row(tmp_path):
    (tmp_path / "a.csv").write_text("id,x,y\n" + "".join(f"{i},{i % 7},{i * i}.5\n" for i in range(60)))
    assert "2 columns of numbers" in find(f"table:{tmp_path / 'a.csv'}", {"target": "y"}).note


@pytest.mark.parametrize("gap", ["\\N", "<NA>", "#N/A", "#DIV/0!", "(null)", ".", "missing", "unknown", "k.A."])
def test_marks_of_a_gap_among_numbers(gap, tmp_path):
    task = _table(tmp_path / "a.csv", [(gap if i % 4 == 1 else f"{i}.5", i % 2) for i in range(80)])
    assert task.note == "80 rows, 1 column of numbers, 2 classes"
    assert np.isnan(task.data.data.all().numbers).sum() == 20  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["", "id", "Unnamed: 0", "rownames"])
@pytest.mark.parametrize("first", [0, 1])
def test_what_counts_the_rows_is_left_out(name, first, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f'"{name}",x,y\n' + "".join(f"{i + first},{i % 7}.5,{i // 30}\n" for i in range(90)))
    task = find(f"table:{path}", {"target": "y"})
    assert task.note.startswith("90 rows, 1 column of numbers, 3 classes; left out: column '")
    assert task.note.endswith("', which counts the rows")
    path.write_text(f'"{name}",x,y\n' + "".join(f"{i + 1900},{i % 7}.5,{i // 30}\n" for i in range(90)))
    assert "2 columns of numbers" in find(f"table:{path}", {"target": "y"}).note


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_encodings_that_spreadsheets_write(encoding):
    assert decoded("Köln;2\n".encode(encoding), "a.csv") == "Köln;2\n"


@pytest.mark.parametrize(
    ("text", "target", "said"),
    [
        ("x,y\n" + "1,2\n" * 50, "", "which column is to be predicted? --target COLUMN, one of x, y"),
        ("x,y\n" + "1,2\n" * 50, "z", "has no column 'z'"),
        ("x,x,y\n" + "1,2,3\n" * 50, "y", "the column 'x' comes twice"),
        ("x,y\n" + "".join(f"{i},a\n" for i in range(50)), "y", "has 1 class; two are needed"),
        ("x,y\n7,once\n" + "1,a\n2,b\n" * 25, "y",
         "class 'once' of column 'y' has 1 row, and 3 are the fewest to learn from, of each of its 3 classes"),
        ("x,y\n" + "".join(f'"1,{i:03}",{i % 2}\n' for i in range(50)), "y", "column 'x' has numbers with commas or points"),
        ("x\ty\n" + "563\t0\n3,057\t1\n" * 25, "y", "column 'x' has numbers with commas or points"),
        ("x;y\n" + "563;0\n3.057;1\n" * 25, "y", "column 'x' has numbers with commas or points"),
        ("x,y\n" + "".join(f"{f'<0.0{i}' if i % 3 else i},{i % 2}\n" for i in range(60)), "y",
         "column 'x', which names each row, if '<0.0"),
        ("x,y\n" + "".join(f"{i}.5{'%' * (i % 2)},{i % 2}\n" for i in range(60)), "y",
         "which names each row, if '1.5%' is no number"),
        ("0.1,4.5,1\n" * 40, "1", "its first line holds numbers alone, and should name the columns"),
        ("x y z\n" + "1 2 3\n" * 40, "y", "no comma, semicolon, tab or bar parts its first line"),
        ("x;y\n" + "563.5;0\n3,057.5;1\n" * 25, "y", "column 'x' has numbers with commas or points"),
        ("x,y\n" + "".join(f"{i},{'soon' if i == 7 else i + 0.5}\n" for i in range(50)), "y",
         "1 of 50 values of column 'y' are no numbers, 'soon' for one"),
        ("x,y\n" + "1,\n2,NA\n" * 25, "y", "has 0 rows with a 'y'"),
        ("PK\x03\x04 and so on", "y", "is a workbook, or packed: save the table as CSV"),
        ("x,y\n" + "1,\0\n" * 50, "y", "holds bytes of zero, so it is no text"),
        ("x,y\n" + "".join(f"{i},{'soon' if i % 4 else i + 0.5}\n" for i in range(150)), "y", "class '0.5' of column 'y' has 1"),
        ("x,y\n" + "".join(f"{i},{i + 0.5 if i % 4 else 'soon'}\n" for i in range(50)), "y",
         "13 of 50 values of column 'y' are no numbers, 'soon' for one"),
        ("x,a\n" + "1,b\n" * 50 , "z" * 9, "known: a, x"),
        ('"x,y\n' + "1,2\n" * 500 + '",y\n1,2\n', "y", "a name in the header has more than 1000 characters"),
        ("x,y\n" + '"1"2,0\n' * 50, "y", "line 2 can't be read ("),  # a stray quote, which would swallow rows
        ("a,b,y\n" + "1,2,0.5,0\n" * 50, "y", "line 2 has 4 cells, and the header 3"),  # R's row names
        ("x,y\n" + "".join(f"{'inf' if i == 3 else i},{i}.5\n" for i in range(50)), "y", "column 'x' holds a number that is inf"),
        ("x,y\n" + "".join(f"{i},1.5\n" for i in range(50)), "y", "is always the same"),
        ("x,y\n1,2.5\n2,3.5\n", "y", "has 2 rows with a 'y'"),
        ("y\n" + "".join(f"{i}.5\n" for i in range(50)), "y", "no column to predict 'y' from"),
    ],
)  # fmt: skip
def test_a_table_that_cant_be_learned_from_is_one_line(text, target, said, tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_text(text)
    assert verdict(f"table:{path}", tmp_path / "run", *(["--target", target] if target else [])) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gaps in the header", lambda frame: frame.write_csv().replace("gap,", ",", 1).encode()),
        ("semicolons", lambda frame: frame.write_csv(separator=";").encode()),
        ("windows", lambda frame: frame.write_csv().replace("\n", "\r\n").encode("cp1252")),
        ("utf-16", lambda frame: frame.write_csv(separator="\t").encode("utf-16")),
    ],
)
def test_odd_tables_end_in_a_verdict(name, content, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_bytes(content(people()))
    assert verdict(f"table:{path}", tmp_path / "run", "--target", "kind") == 0


# --------------------------------------------------------------------------------------------------------- images


def drawn(folder, count: int = 12, size=(20, 20), mode: str = "RGB", suffix: str = "png") -> None:
    for i, name in enumerate(("dark", "light")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for k in range(count):
            grey = RNG.integers(100 * i, 100 * i + 60, (*size, 3), dtype=np.uint8)
            Image.fromarray(grey).convert(mode).save(folder / name / f"{k}-{mode}.{suffix}")


def test_a_folder_is_a_class_whatever_the_sizes_and_modes(tmp_path):
    drawn(tmp_path / "p", size=(20, 20), mode="RGB")
    drawn(tmp_path / "p", size=(40, 30), mode="L")
    drawn(tmp_path / "p", size=(8, 64), mode="P", suffix="gif")
    task = find(f"images:{tmp_path / 'p'}")
    splits = task.data(0)
    assert splits.train.inputs.shape == (43, 3, 32, 32)
    assert splits.train.inputs.mean((0, 2, 3)) == pytest.approx([0, 0, 0], abs=1e-4)
    assert sorted(np.bincount(np.concatenate([p.targets for p in (splits.train, splits.validation, splits.test)]))) == [
        36,
        36,
    ]
    assert task.model()(torch.from_numpy(splits.train.inputs[:4])).shape == (4, 2)
    assert verdict(f"images:{tmp_path / 'p'}", tmp_path / "run", "--width", "4") == 0


def test_grey_pictures_have_one_channel(tmp_path):
    drawn(tmp_path / "p", mode="L")
    assert find(f"images:{tmp_path / 'p'}").data(0).train.inputs.shape[1:] == (1, 32, 32)


def _saved(folder, make) -> np.ndarray:
    for i, name in enumerate(("dark", "light")):
        (folder / name).mkdir(parents=True)
        for k in range(8):
            image, suffix = make(i)
            image.save(folder / name / f"{k}.{suffix}")
    splits = find(f"images:{folder}").data(0)
    return np.array([splits.train.inputs[splits.train.targets == c].mean() for c in (0, 1)])


def _deep(level: float, kind: type) -> Image.Image:
    return Image.fromarray((np.linspace(0, 1, 81).reshape(9, 9) * level).astype(kind))


MODES = {
    "16 bits, each with all of its own": lambda i: (_deep((240, 60_000)[i], np.uint16), "png"),
    "12 bits": lambda i: (_deep((2_000, 4_095)[i], np.uint16), "png"),
    "fractions with edges": lambda i: (
        Image.fromarray((np.indices((64, 64)).sum(0) % 16 < 4 + 6 * i).astype(np.float32)),
        "tiff",
    ),
    "large fractions": lambda i: (_deep((0.9, 250)[i], np.float32), "tiff"),
    "16 bits": lambda i: (Image.fromarray(np.full((9, 9), 9_000 + 40_000 * i, dtype=np.uint16)), "png"),
    "fractions": lambda i: (Image.fromarray(np.full((9, 9), 0.2 + 0.6 * i, dtype=np.float32)), "tiff"),
    "transparent": lambda i: (Image.fromarray(np.full((9, 9, 4), (0, 0, 0, 200 - 150 * i), dtype=np.uint8)), "png"),
}


@pytest.mark.parametrize("mode", MODES)
def test_pictures_of_more_than_bytes_keep_what_is_in_them(tmp_path, mode):
    dark, light = _saved(tmp_path / "p", MODES[mode])
    assert light > dark + 0.4


def test_pictures_of_twelve_bits_keep_their_levels(tmp_path):
    _saved(tmp_path / "p", MODES["12 bits"])
    x, y = find(f"images:{tmp_path / 'p'}").data.data.all()  # type: ignore[attr-defined]
    assert len(np.unique(x[y == 1])) > 150
    assert x.max() > 250


def test_what_a_camera_turned_is_turned_back(tmp_path):
    for name in ("dark", "light"):
        (tmp_path / name).mkdir()
        for i in range(8):
            picture = Image.fromarray(np.repeat(np.arange(9, dtype=np.uint8)[:, None] * 20 + i, 9, 1))
            exif = Image.Exif()
            exif[0x0112] = 6 if name == "light" else 1  # turned by 90 degrees
            picture.save(tmp_path / name / f"{i}.jpg", exif=exif)
    x, y = find(f"images:{tmp_path}").data.data.all()  # type: ignore[attr-defined]
    down, across = (x[y == c].astype(float).std(axis=axis).mean() for c, axis in ((0, 2), (1, 3)))
    assert abs(down - across) < 2


def test_what_is_no_picture_is_told_of(tmp_path):
    drawn(tmp_path / "p")
    assert find(f"images:{tmp_path / 'p'}").note == "24 pictures, 2 classes"
    (tmp_path / "p" / "readme.txt").write_text("x")
    (tmp_path / "p" / "dark" / "labels.csv").write_text("x")
    (tmp_path / "p" / "light" / "more").mkdir()
    (tmp_path / "p" / "third").mkdir()
    assert find(f"images:{tmp_path / 'p'}").note == (
        "24 pictures, 2 classes; left out: folders without a picture (third); 1 folder within those of the classes; "
        "1 file not named as pictures are (.csv); 1 file beside the classes' folders"
    )


def test_what_systems_leave_beside_pictures_is_no_picture(tmp_path):
    drawn(tmp_path / "p")
    (tmp_path / "p" / "dark" / "._1.png").write_bytes(b"of another system")
    (tmp_path / "p" / "dark" / "folder.png").mkdir()
    (tmp_path / "p" / "light" / "gone").symlink_to("nowhere")
    assert len(find(f"images:{tmp_path / 'p'}").data.data.all()[1]) == 24  # type: ignore[attr-defined]


def test_a_class_that_is_taken_away_is_seen(tmp_path):
    drawn(tmp_path / "p")
    drawn(tmp_path / "q")
    (tmp_path / "q" / "dark").rename(tmp_path / "p" / "third")
    assert set(find(f"images:{tmp_path / 'p'}").data(0).train.targets) == {0, 1, 2}
    (tmp_path / "p" / "third").rename(tmp_path / "elsewhere")
    assert set(find(f"images:{tmp_path / 'p'}").data(0).train.targets) == {0, 1}


def idx(array: np.ndarray) -> bytes:
    """As http://yann.lecun.com/exdb/mnist has it."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.mark.parametrize("packed", [False, True])
def test_mnists_files_as_they_are_shipped(tmp_path, packed):
    x = {name: RNG.integers(0, 256, (n, 28, 28)) for name, n in (("train", 60), ("t10k", 20))}
    y = {name: np.arange(len(found)) % 10 for name, found in x.items()}
    for name in x:
        for kind, content in (("images-idx3-ubyte", idx(x[name])), ("labels-idx1-ubyte", idx(y[name]))):
            path = tmp_path / f"{name}-{kind}{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(content) if packed else content)
    task = find(f"images:{tmp_path}")
    pictures, labels = task.data.data.all()  # type: ignore[attr-defined]
    both = sorted(x)  # t10k comes before train
    assert (pictures[:, 0] == np.concatenate([x[n] for n in both])).all()
    assert (labels == np.concatenate([y[n] for n in both])).all()
    assert task.data(0).train.inputs.shape == (48, 1, 28, 28)


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("pickled", [False, True])
def test_cifars_files_as_they_are_shipped(tmp_path, pickled, coarse):
    names = ["train", "test"] if coarse else ["data_batch_1", "data_batch_2", "test_batch"]
    x = {n: RNG.integers(0, 256, (30, 3072), dtype=np.uint8) for n in names}
    y = {n: RNG.permutation(np.arange(30) % 5) for n in names}
    for n in names:
        if pickled:
            labels = (
                {b"fine_labels": y[n].tolist(), b"coarse_labels": [0] * 30} if coarse else {b"labels": y[n].tolist()}
            )
            (tmp_path / n).write_bytes(pickle.dumps({b"data": x[n], **labels}, protocol=2))
        else:
            before = np.zeros((30, 1)) if coarse else np.zeros((30, 0))
            rows = np.concatenate([before, y[n][:, None], x[n]], axis=1).astype(np.uint8)
            (tmp_path / f"{n}.bin").write_bytes(rows.tobytes())
    (tmp_path / "meta").write_bytes(b"\x80\x02}.")
    pictures, labels = find(f"images:{tmp_path}").data.data.all()  # type: ignore[attr-defined]
    order = sorted(names)
    assert (pictures.reshape(-1, 3072) == np.concatenate([x[n] for n in order])).all()
    assert (labels == np.concatenate([y[n] for n in order])).all()


def test_a_pickle_that_would_run_code_is_refused(tmp_path, capsys):
    class Harm:
        def __reduce__(self):
            return print, ("it ran",)

    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"data": Harm()}))
    with pytest.raises(UsageError, match=r"wants builtins\.print, which no file of CIFAR does"):
        find(f"images:{tmp_path}")
    assert "it ran" not in capsys.readouterr().out


def _nothing(folder) -> None:
    folder.mkdir()


def _files_only(folder) -> None:
    drawn(folder.with_name("other"))
    folder.mkdir()
    for path in folder.with_name("other").rglob("*.png"):
        path.rename(folder / f"{path.parent.name}-{path.name}")


def _one_class(folder) -> None:
    drawn(folder)
    (folder / "dark").rename(folder.with_name("elsewhere"))


def _broken(folder) -> None:
    drawn(folder)
    (folder / "dark" / "3-RGB.png").write_bytes(b"no picture")


def _few(folder) -> None:
    drawn(folder, count=2)


def _without_labels(folder) -> None:
    folder.mkdir()
    (folder / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((5, 4, 4))))


def _no_idx(folder) -> None:
    _without_labels(folder)
    (folder / "train-labels-idx1-ubyte").write_bytes(b"something else")


def _cut_off(folder) -> None:
    _no_idx(folder)
    (folder / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((5, 4, 4)))[:-40])


def _labels_below_zero(folder) -> None:
    _without_labels(folder)
    signed = struct.pack(">HBBI", 0, 9, 1, 5) + np.array([-1, 0, 1, 0, 1], dtype=np.int8).tobytes()
    (folder / "train-labels-idx1-ubyte").write_bytes(signed)


def _damaged(folder) -> None:
    _without_labels(folder)
    whole = gzip.compress(idx(np.zeros(20)))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(whole[:10] + b"\xff" * 8 + whole[18:])


def _too_large(folder) -> None:
    drawn(folder)
    Image.new("1", (20_000, 20_000)).save(folder / "dark" / "3-RGB.png")


def _folders_of_folders(folder) -> None:
    drawn(folder / "train")
    drawn(folder / "test")


def _one_colour(folder) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for k in range(6):
            Image.new("L", (9, 9), 7).save(folder / name / f"{k}.png")


def _two_sets(folder) -> None:
    folder.mkdir()
    for name in ("emnist-digits-train", "emnist-letters-train"):
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx(np.zeros((5, 4, 4))))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(np.zeros(5)))


def _two_forms(folder) -> None:
    folder.mkdir()
    for name in ("data_batch_1", "data_batch_1.bin"):
        (folder / name).write_bytes(b"x" * 3073)


def _too_few_labels(folder) -> None:
    folder.mkdir()
    found = {b"data": np.zeros((4, 3072), dtype=np.uint8), b"labels": [0, 1]}
    (folder / "data_batch_1").write_bytes(pickle.dumps(found, protocol=2))


def _rare(folder) -> None:
    folder.mkdir()
    labels = np.repeat([0, 1, 2], [10, 10, 1])
    (folder / "train-images-idx3-ubyte").write_bytes(idx(np.random.default_rng(0).integers(0, 255, (21, 4, 4))))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(labels))


def _unpacked(folder) -> None:
    folder.mkdir()
    _too_few_labels(folder / "cifar-10-batches-py")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_folders_of_folders, "or put the pictures of each class into one folder"),
        (_one_colour, "there is nothing to learn"),
        (_two_sets, "holds several sets of pictures"),
        (_two_forms, "holds several sets of pictures, or one in two forms"),
        (_too_few_labels, "4 pictures and 2 labels"),
        (_rare, "has 1 picture of class 2; 5 of each of two classes are needed"),
        (_unpacked, "/p/cifar-10-batches-py holds such files"),
        (lambda folder: None, "isn't there"),
        (lambda folder: folder.write_text("x"), "is no folder"),
        (_nothing, "holds 0 folders with pictures"),
        (_files_only, "holds 0 folders with pictures"),
        (_one_class, "holds 1 folder with pictures"),
        (_broken, "3-RGB.png is no picture that can be read"),
        (_few, "/dark holds 2 pictures, and 5 are the fewest of a class"),
        (_cut_off, "train-images-idx3-ubyte is no idx file (it is cut off, or not its own: 40 numbers of 80)"),
        (_labels_below_zero, "train-labels-idx1-ubyte holds labels that are no whole numbers from 0 on"),
        (_without_labels, "train-labels-idx1-ubyte is missing"),
        (_no_idx, "is no idx file"),
        (_damaged, "is no idx file"),
        (_too_large, "3-RGB.png is no picture that can be read"),
    ],
)
def test_pictures_that_cant_be_learned_from_are_one_line(make, said, tmp_path, capsys):
    make(tmp_path / "p")
    assert verdict(f"images:{tmp_path / 'p'}", tmp_path / "run") == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) == 1


# --------------------------------------------------------------------------------------------- a network of the user's


MODELS = """
import torch
from torch import nn

class Small(nn.Sequential):
    def __init__(self, inputs, outputs):
        super().__init__(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))

def fixed():
    return nn.Linear(9, 2)

def greedy(inputs, outputs, depth):
    return nn.Linear(inputs, outputs)

def by_name(num_classes, *, in_features):
    return nn.Linear(in_features, num_classes)

def some(size):
    return nn.Linear(size, 2)

def wide(inputs, outputs):
    return nn.Linear(inputs, outputs)

def five(inputs):
    return nn.Linear(inputs, 5)

class Pair(Small):
    def forward(self, x):
        return super().forward(x), x

number = 3
made = nn.Linear(2, 2)
"""


@pytest.fixture
def given(tmp_path):
    (tmp_path / "nets.py").write_text(MODELS)
    people().write_csv(tmp_path / "people.csv")
    return tmp_path


def test_a_users_network_gets_the_sizes_and_is_part_of_the_plan(given):
    asked = {"target": "kind", "model": f"{given / 'nets.py'}:Small"}
    task = find(f"table:{given / 'people.csv'}", asked)
    assert next(tuple(p.shape) for p in task.model().parameters()) == (8, task.data(0).train.inputs.shape[1])
    before = task.reach, task.source
    (given / "nets.py").write_text(MODELS.replace("Tanh", "ReLU"))
    task = find(f"table:{given / 'people.csv'}", asked)
    assert (task.reach, task.source) != before
    assert verdict(f"table:{given / 'people.csv'}", given / "run", "--target", "kind", "--model", asked["model"]) == 0
    assert [r.exact for r in _retrained(given / "run")] == [True]


def test_sizes_go_by_the_names_of_parameters(given):
    task = find(f"table:{given / 'people.csv'}", {"target": "count", "model": f"{given / 'nets.py'}:by_name"})
    assert task.model().weight.shape == (3, task.data(0).train.inputs.shape[1])


def test_a_quantity_may_come_as_a_column(given):
    task = find(f"table:{given / 'people.csv'}", {"target": "count", "model": f"{given / 'nets.py'}:wide"})
    assert [name for name, _ in task.model().named_parameters()] == ["weight", "bias"]
    asked = ["--target", "count", "--model", f"{given / 'nets.py'}:wide"]
    assert verdict(f"table:{given / 'people.csv'}", given / "run", *asked) == 0


SEERS = """
from torch import nn

class Seer(nn.Module):
    def __init__(self, symbols, context, both=True):
        super().__init__()
        self.rows = nn.Embedding(symbols, 6)
        self.over = nn.LSTM(6, 6, batch_first=True, bidirectional=both)
        self.out = nn.Linear(6 * (1 + both), symbols)

    def forward(self, x):
        return self.out(self.over(self.rows(x))[0])

def back(symbols, context):
    return Seer(symbols, context, False)

def silent(symbols, context):
    made = Seer(symbols, context)
    nn.init.zeros_(made.out.weight)
    return made
"""


def test_a_network_that_sees_what_it_predicts_is_refused(prose, tmp_path, capsys):
    (tmp_path / "nets.py").write_text(SEERS)
    asked = ["--context", "8", "--plan-only", "--model"]
    assert verdict(f"text:{prose}", tmp_path / "run", *asked, f"{tmp_path / 'nets.py'}:Seer") == 2
    assert "nets.py:Seer sees token 8 where it predicts it: make it causal" in capsys.readouterr().err
    assert verdict(f"text:{prose}", tmp_path / "run", *asked, f"{tmp_path / 'nets.py'}:silent") == 2
    assert verdict(f"text:{prose}", tmp_path / "run", *asked, f"{tmp_path / 'nets.py'}:back") == 0


def test_data_that_were_changed_are_named_when_a_member_is_trained_again(tmp_path, capsys):
    path = tmp_path / "a.csv"
    _table(path, [(i, i % 2) for i in range(60)])
    assert verdict(f"table:{path}", tmp_path / "run", "--target", "y") == 0
    _table(path, [(i + 3 * (i == 9), i % 2) for i in range(60)])
    assert call(["verify", str(tmp_path / "run"), "--retrain", "1"]) == 1
    assert "its data are others than the record's)" in capsys.readouterr().out.replace("\n", " ")


def test_a_size_beside_a_network_of_ones_own_is_refused(given, capsys):
    asked = ["--target", "kind", "--model", f"{given / 'nets.py'}:Small", "--width", "8"]
    assert verdict(f"table:{given / 'people.csv'}", given / "run", *asked) == 2
    assert "--width would say nothing" in capsys.readouterr().err


def test_several_tasks_each_take_what_is_theirs(given, capsys):
    tasks = f"table:{given / 'people.csv'},logistic"
    assert verdict(tasks, given / "run", "--target", "kind") == 0
    assert verdict("digits,logistic", given / "other", "--target", "kind") == 2
    assert "none of these tasks takes --target" in capsys.readouterr().err


def _retrained(folder):
    from assay.driver.retrain import retrain

    return retrain(folder, 1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("greedy", "wants inputs, outputs, depth; it can be given inputs, outputs: call its parameters so"),
        ("some", "wants size; it can be given inputs, outputs"),
        ("number", "is int; it must be a class or function"),
        ("made", "is Linear; it must be a class or function"),
        ("nothing", "has no 'nothing'"),
        ("Pair", "tuple"),
        ("five", "its --model gives outputs of shape (10, 5), and (10, 2) is needed"),
    ],
)
def test_networks_that_dont_fit_are_one_line(name, said, given, capsys):
    asked = ["--target", "kind", "--model", f"{given / 'nets.py'}:{name}"]
    assert verdict(f"table:{given / 'people.csv'}", given / "run", *asked) == 2
    *notes, told = capsys.readouterr().err.strip().splitlines()
    assert said in told
    assert all("; left out: " in note for note in notes)


def test_other_tasks_take_no_target(tmp_path, capsys):
    assert verdict("digits", tmp_path / "run", "--target", "x") == 2
    assert "task digits takes no --target" in capsys.readouterr().err


def test_they_are_functions_too(given, tmp_path):
    few = {"replicates": 2, "trials": 1, "final_seeds": 1, "epochs": 1, "engine": "loop", "workers": 1, "quiet": True}
    space = ["adam.lr=1e-4..1e-2:log", "sgd.lr=1e-3..1e-1:log"]
    task = assay.tasks.table(given / "people.csv", target="kind")
    found = assay.compare("adam", "sgd", task=task, space=space, out=tmp_path / "run", **few)
    assert "On people.csv" in found.verdicts[0].sentence
