"""How fast a table with a column a category is read, beside pyarrow and pandas on the same file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

COLUMNS = 20
WAYS = {
    "mlimg": (
        "from pathlib import Path\nfrom mlimg_build.sources import Notes\n"
        "from mlimg_build.sources.formats.table import Table\n"
        "from mlimg_build.spec import AllBut, Columns, TableSource\n"
        "path = Path(sys.argv[1])\n"
        "columns = Columns(labels=AllBut(all_but=()))\n"
        "part = TableSource(type='table', table=path, images=path.parent, columns=columns)\n"
        "work = lambda: [len(batch.labels) for batch in Table('t', part).scan(Notes())]\n"
    ),
    "pyarrow": "from pyarrow import csv\nwork = lambda: csv.read_csv(sys.argv[1])\n",
    "pandas": "import pandas\nwork = lambda: pandas.read_csv(sys.argv[1])\n",
}
MEASURE = (
    "before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()\n"
    "work()\n"
    "took, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)\n"
    "busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime\n"
    "print(json.dumps([took, busy, after.ru_maxrss / 1024]))\n"
)


@pytest.mark.bench
def test_columns_of_categories_are_read_as_fast_as_tables_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = 1_000_000 if os.environ.get("MLIMG_BENCH") == "full" else 2_000
    chance = np.random.default_rng(0)
    cells = {f"c{i}": chance.integers(0, 2, rows, np.int8) for i in range(COLUMNS)}
    # URLs, as no file is looked up for them: reading the table is what is measured
    images = pa.array([f"https://example.org/{i:07d}.jpg" for i in range(rows)])
    csv.write_csv(pa.table({"image": images, **cells}), tmp_path / "t.csv")
    for name, code in WAYS.items():
        if find_spec(name.replace("mlimg", "mlimg_build")) is None:
            continue
        command = [sys.executable, "-c", f"import json, resource, sys, time\n{code}{MEASURE}"]
        done = subprocess.run([*command, str(tmp_path / "t.csv")], capture_output=True, text=True, check=True)
        took, busy, after = json.loads(done.stdout)
        with capsys.disabled():
            sys.stdout.write(
                f"\n{rows:,} rows × {COLUMNS} columns, {name}: {took:.2f} s ({busy:.2f} of processor time), "
                f"{rows / took:,.0f} rows/s, peak memory {after:,.0f} MiB"
            )
        assert rows / busy > (40_000 if rows == 1_000_000 else 100)  # other work may take most of the clock
