"""What planning from raw lists costs: time and the memory of the driver, which must not grow with the list.

`make bench-lists` runs 1, 4 and 17.6 million rows; else it runs on a few thousand, sorted on disk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.published_list import write_list

FULL = os.environ.get("MLIMG_BENCH") == "full"
SIZES = [1_000_000, 4_000_000, 17_600_000] if FULL else [3000]
MOST = 3 << 30  # bytes of the driver at the published size
PROGRAM = """\
import sys
from mlimg_build.cli import main
from mlimg_build.compiler.catalog import external_partitions
external_partitions.HELD = int(sys.argv.pop(1)) or external_partitions.HELD
main()
"""
SPEC = """\
mlimg: 1
name: lists
version: 1.0.0
sources:
  published: {{type: ml_images, lists: [{list}], dictionary: {dictionary}}}
split: {{validation: 0.005}}
"""


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_the_memory_of_a_plan_does_not_grow_with_its_lists(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if FULL and not Path("/proc/self/status").exists():
        pytest.skip("memory is read from /proc")
    dictionary = shared_data / "ml-images" / "dictionary_and_semantic_hierarchy.txt"
    for rows in SIZES:
        listed = tmp_path / f"{rows}.txt"
        write_list(listed, rows, dictionary)
        spec = tmp_path / f"{rows}.yaml"
        spec.write_text(SPEC.format(list=listed, dictionary=dictionary))
        command = [sys.executable, "-c", PROGRAM, "0" if FULL else "100000"]
        command += ["plan", str(spec), "--out", str(tmp_path / str(rows)), "--json"]
        start = time.perf_counter()
        driver = psutil.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        most = mapped = 0
        seconds = 0.0
        while driver.poll() is None:
            try:
                memory = driver.memory_info()
                most, mapped = max(most, memory.rss), max(mapped, memory.shared)
                times = driver.cpu_times()
                seconds = times.user + times.system
            except psutil.Error:
                break
            time.sleep(0.05)
        said, _ = driver.communicate()
        clock = time.perf_counter() - start
        told = json.loads(said)
        assert told["sources"]["published"]["images"] == rows
        assert told["images"] == rows
        assert most < MOST
        with capsys.disabled():
            print(
                f"\n{rows:,} rows: {clock:.1f} s, {seconds:.1f} s of the processor, "
                f"the driver {most / 2**30:.2f} GiB at most, of it up to {mapped / 2**30:.2f} mapped files"
            )
