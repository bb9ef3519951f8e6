"""Do the checks see what real threads reported? The version before a fix must fail its check, the one after must pass it.

    python benchmarks/history.py --to DIR [--only WORD …]

The versions come from PyPI, by `pip install --no-deps --target`, into a folder each under DIR, and are asked there by a
process of their own; those that DIR has already are not fetched again. What is on no registry is written anew in
tests/check/history.py. heavyball compiles each step, minutes a class: torch's compiler is switched off. Prints a table;
exit code 1 where a case comes out otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
ASK = """
import json, sys
from assay.conformance import check
finding = check(sys.argv[1], speed=False, limit=120, only=sys.argv[2])[sys.argv[2]]
print(json.dumps([finding.status, finding.sentence]))
"""
LONGEST = 150  # characters of a sentence in the table


class Case(NamedTuple):
    """A thread; the check that must tell before and after apart; what is asked for, and where each comes from."""

    thread: str
    wrong: str
    check: str
    before: str
    after: str
    old: str = ""  # package==version; "" for rules of our own
    new: str = ""


def _case(thread: str, package: str, old: str, new: str, name: str, check: str, wrong: str) -> Case:
    reference = f"{package.replace('-', '_')}:{name}"
    return Case(thread, wrong, check, reference, reference, f"{package}=={old}", f"{package}=={new}")


CASES = (
    _case("dadaptation#4, #13", "dadaptation", "1.5", "2.0", "DAdaptAdam", "none_grad",
          "a step without any gradient divides zero by zero"),
    _case("HeavyBall#10", "heavyball", "0.14.7", "0.15.1", "PrecondScheduleForeachSOAP", "closure",
          "the closure is called under no_grad"),
    _case("HeavyBall#34", "heavyball", "1.5.2", "1.5.3", "ForeachSOAP", "steps",
          "no step is taken: eps is not handed on"),
    _case("HeavyBall#56", "heavyball", "1.7.2", "2.0.0", "ForeachSOAP", "resume",
          "state is kept under views of parameters, so that state_dict() raises"),
    _case("Adabelief-Optimizer#17", "ranger_adabelief", "0.0.9", "0.1.0", "RangerAdaBelief", "resume",
          "__setstate__ calls super() of a class of another name"),
    _case("madgrad#4, #5", "madgrad", "1.0", "1.1", "MADGRAD", "add_group",
          "state is made in __init__, for the parameters of that time and where they are then"),
    _case("pytorch_optimizer#134", "pytorch_optimizer", "2.6.1", "2.7.0", "Adan", "group_settings",
          "eps is an attribute: a group's own is not read (mended in passing)"),
    _case("pytorch_optimizer#227", "pytorch_optimizer", "2.12.0", "3.0.0", "SRMM", "descends",
          "after memory_length steps 0 is raised to a negative power"),
    _case("pytorch_optimizer#257", "pytorch_optimizer", "3.0.2", "3.1.0", "AdamMini", "steps",
          "a key and an argument are misspelt"),
    _case("pytorch_optimizer#326, #332", "pytorch_optimizer", "3.3.4", "3.4.0", "OrthoGrad", "resume",
          "a wrapper without a state_dict of its own"),
    _case("pytorch_optimizer#333", "pytorch_optimizer", "3.3.4", "3.4.0", "SOAP", "bf16",
          "a float32 projection is multiplied with a bfloat16 gradient"),
    _case("pytorch_optimizer#431", "pytorch_optimizer", "3.8.0", "3.8.1", "StableSPAM", "zero_grad",
          "gradients are divided by their norm, which may be 0"),
    _case("pytorch_optimizer#462", "pytorch_optimizer", "3.8.2", "3.9.0", "StableAdamW", "none_grad",
          "state is made at the first step, for the parameters that have a gradient then"),
    _case("pytorch_optimizer#480", "pytorch_optimizer", "3.9.0", "3.10.0", "AdamP", "zero_grad",
          "eps is added after the division"),
)  # fmt: skip


def main() -> None:
    """Ask all that are wanted, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, required=True, help="where fetched packages are kept")
    parser.add_argument("--only", nargs="+", default=[""], help="threads with one of these words in their name")
    options = parser.parse_args()
    cases = [c for c in (*CASES, *own()) if any(word in c.thread for word in options.only)]
    otherwise = []
    print("| thread | what was wrong | check | before | after |\n|---|---|---|---|---|")
    for case in cases:
        failed, why = asked(case.before, case.check, fetched(case.old, options.to))
        passed, how = asked(case.after, case.check, fetched(case.new, options.to))
        if (failed, passed) != ("fail", "pass"):
            otherwise.append(f"{case.thread}: {case.check} {failed} ({why}), then {passed} ({how})")
        before, after = called(case.before, case.old), called(case.after, case.new)
        cells = (case.thread, case.wrong, f"`{case.check}`", f"{before}: {failed}, {cell(why)}", f"{after}: {passed}")
        print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\n{len(cases) - len(otherwise)} of {len(cases)} fail before and pass after.", *otherwise, sep="\n")
    sys.exit(1 if otherwise or not cases else 0)


def own() -> Iterator[Case]:
    """The rules that are written anew."""
    sys.path.insert(0, str(ROOT))
    from tests.check.history import TOLD

    for told in TOLD.values():
        before, after = (f"tests.check.history:{rule.__name__}" for rule in (told.before, told.after))
        yield Case(told.thread, told.wrong, told.check, before, after)


def fetched(wanted: str, to: Path) -> Path | None:
    """The folder that the wanted version of a package is in, fetched where it isn't yet; None where none is wanted."""
    if not wanted:
        return None
    folder, part = to / wanted, to / f"{wanted}.part"
    if not folder.exists():
        command = [
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--upgrade",
            "--target",
            part,
            wanted,
        ]
        subprocess.run([sys.executable, "-m", "pip", *command], check=True)
        part.rename(folder)
    return folder


def asked(reference: str, check: str, folder: Path | None) -> tuple[str, str]:
    """A check's status and sentence on an optimizer, where packages come from that folder first."""
    path = os.pathsep.join(str(p.resolve()) for p in (folder, ROOT / "src", ROOT) if p)
    process = subprocess.run(
        [sys.executable, "-c", ASK, reference, check],
        env={**os.environ, "PYTHONPATH": path, "TORCHDYNAMO_DISABLE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        return "not asked", process.stderr.strip().rpartition("\n")[2]
    status, sentence = json.loads(process.stdout.splitlines()[-1])
    return status, sentence


def called(reference: str, version: str) -> str:
    """A rule in the table: its version and name."""
    return f"{version.replace('==', ' ')} `{reference.partition(':')[2]}`".strip()


def cell(sentence: str) -> str:
    """A sentence in a table's cell."""
    short = sentence if len(sentence) <= LONGEST else f"{sentence[:LONGEST].rpartition(' ')[0]} …"
    return short.replace("|", "\\|")


if __name__ == "__main__":
    main()
