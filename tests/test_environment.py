"""Every environment variable that assay reads is in `core.environment`, from which the documentation lists them."""

from __future__ import annotations

import re
from pathlib import Path

import assay
from assay.core import environment

SOURCE = Path(assay.__file__).parent
READ = re.compile(r"""environ(?:\.get)?[\[(]["'](ASSAY_\w+|RAY_ADDRESS)|getenv\(["'](\w+)""")


def test_no_other_file_reads_one_of_its_own():
    readers = {path.name for path in SOURCE.rglob("*.py") if READ.search(path.read_text(encoding="utf-8"))}
    assert readers == set()
    assert READ.search('os.environ.get("ASSAY_CACHE")')


def test_it_is_read_as_it_is_now(monkeypatch, tmp_path):
    from assay.record.cache import cache_folder

    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    assert environment.CACHE.value == str(tmp_path)
    monkeypatch.delenv("ASSAY_CACHE")
    assert environment.CACHE.value == ""
    assert cache_folder() != tmp_path
