"""The ledger: one state a URL, appended by many, compacted by one, asked again only where that is worth it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlimg_build.fetch.store.ledger as ledger_module
from mlimg_build.errors import BuildError
from mlimg_build.fetch.outcomes import NEVER, STATES, State
from mlimg_build.fetch.store.content_store import FolderStore
from mlimg_build.fetch.store.ledger import NONE, Ledger, worth_asking
from mlimg_build.fetch.store.ledger_log import Record, closed_log, new_log, read_log
from mlimg_build.fetch.store.ledger_tables import is_ledger
from mlimg_build.fetch.takedown import take_down
from tests.support.other_user import as_nobody, folder_for_all

URL = "http://photographs.example/1.jpg"
RECORDS = st.builds(
    Record,
    url=st.text(max_size=50),
    state=st.sampled_from(STATES),
    answer=st.text(max_size=50),
    digest=st.text("0123456789abcdef", max_size=64),
    size=st.integers(0, 1 << 40),
    attempts=st.integers(1, 100),
    time=st.floats(0, 1e10),
    signals=st.lists(st.sampled_from(["robots", "tdm"]), max_size=2).map(tuple),
)


@given(RECORDS)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    assert Record.parse(record.line()) == record


@given(RECORDS, st.integers(0, 200), st.integers(1, 255))
def test_a_changed_byte_is_found(record: Record, at: int, change: int) -> None:
    line = bytearray(record.line())
    at %= len(line)
    line[at] ^= change
    assert Record.parse(bytes(line)) in (None, record)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_none(line: bytes) -> None:
    assert Record.parse(line + b"\n") is None


def test_the_later_record_counts_whatever_the_order_of_the_files(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        for state, time in ((State.gone, 20.0), (State.temporary, 10.0)):
            with new_log(tmp_path) as log:
                log.append(Record(URL, state, time=time))
        assert ledger.compact() == 2
        assert ledger.find([URL])[URL].state == State.gone
        assert list((tmp_path / "log").iterdir()) == []
        assert ledger.states() == {State.gone: 1}


def test_attempts_in_one_state_are_added_up_and_begin_anew_in_another(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        for time, state in enumerate((State.temporary, State.temporary, State.gone), start=1):
            with new_log(tmp_path) as log:
                log.append(Record(URL, state, attempts=3, time=time))
            ledger.compact()
            found = ledger.find([URL])[URL]
            assert (found.state, found.attempts) == (state, 6 if time == 2 else 3)


def test_compacting_twice_changes_nothing(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        with new_log(tmp_path) as log:
            log.append(Record(URL, State.temporary, attempts=2, time=1.0))
        file = next((tmp_path / "log").iterdir())
        kept = file.read_bytes()
        ledger.compact()
        file.write_bytes(kept)  # as if it had been killed before the file was removed
        ledger.compact()
        assert ledger.find([URL])[URL].attempts == 2


def test_a_line_that_was_cut_costs_its_own_record_only(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = [Record(f"{URL}?{n}", State.gone, time=1.0).line() for n in range(3)]
    path.write_bytes(lines[0] + lines[1][:20] + b"\n" + lines[2])
    assert [record.url[-1] for record in read_log(path)] == ["0", "2"]
    path.write_bytes(lines[0] + lines[1][:20])
    assert [record.url[-1] for record in read_log(path)] == ["0"]


def test_a_killed_writer_keeps_all_that_it_appended(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from mlimg_build.fetch.store.ledger_log import new_log\n"
        "from mlimg_build.fetch.store.ledger_log import Record; from mlimg_build.fetch.outcomes import State\n"
        "log, number = new_log(Path(sys.argv[1])), 0\n"
        "while True:\n"
        "    log.append(Record(f'http://a.example/{number}', State.ok, time=1.0))\n"
        "    print(number, flush=True); number += 1"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    threading.Event().wait(0.3)
    writer.kill()
    told = writer.stdout.read().splitlines()
    writer.wait()
    writer.stdout.close()
    with Ledger(tmp_path) as ledger:
        assert ledger.compact() >= int(told[-2])
        assert set(ledger.find([f"http://a.example/{n}" for n in range(int(told[-2]))])) == {
            f"http://a.example/{n}" for n in range(int(told[-2]))
        }


def test_only_what_may_have_changed_is_asked_again() -> None:
    day = 86_400.0
    for state in STATES:
        record = Record(URL, state, time=1000.0)
        assert not worth_asking(record, 1000.0 + min(state.again, 1e9) / 2) or state.again == 0
        assert worth_asking(record, 1000.0 + state.again) == (state.again < NEVER)
        assert worth_asking(record, 0.0) == (state.again == 0)  # a clock that was set back
    assert State.temporary.again < State.tls.again < State.gone.again < 365 * day


def test_a_log_that_is_being_written_is_left_to_its_writer(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        with new_log(tmp_path) as log:
            log.append(Record(URL, State.gone, time=1.0, signals=("robots",)))
            assert ledger.compact() == 0
            log.append(Record(f"{URL}?2", State.ok, time=1.0))
        assert ledger.compact() == 2
        assert ledger.find([URL])[URL].signals == ("robots",)


def test_bytes_that_many_urls_gave_are_proposed_as_placeholders(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.put(Record(f"{URL}?{n}", State.ok, digest="ab" * 32, time=1.0) for n in range(4))
        ledger.put(Record(f"{URL}?x{n}", State.ok, digest="cd" * 32, time=1.0) for n in range(2))
        assert ledger.repeated() == [("ab" * 32, 4)]
        assert len(list(ledger.records())) == 6


def test_a_file_that_is_no_ledger_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "urls.sqlite").write_bytes(b"not a database, far from it" * 100)
    with pytest.raises(BuildError) as found:
        Ledger(tmp_path)
    assert found.value.code == "ledger-unreadable"


def test_a_ledger_that_another_process_writes_is_one_error_and_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlimg_build.fetch.store.ledger_tables.WAIT", 0.1)
    with Ledger(tmp_path) as ledger:
        other = sqlite3.connect(tmp_path / "urls.sqlite", isolation_level=None)
        other.execute("begin immediate")
        with pytest.raises(BuildError) as found:
            ledger.put([Record(URL, State.gone, time=1.0)])
        assert found.value.code == "ledger-busy"
        other.execute("rollback")
        other.close()
        ledger.put([Record(URL, State.gone, time=1.0)])
        assert ledger.states() == {State.gone: 1}


def test_a_ledger_that_is_damaged_within_is_one_error(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.put(Record(f"{URL}?{n}", State.gone, time=1.0) for n in range(2000))
    path = tmp_path / "urls.sqlite"
    data = bytearray(path.read_bytes())
    data[4096:-4096] = b"\xa5" * (len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(BuildError) as found, Ledger(tmp_path) as ledger:
        ledger.find([f"{URL}?{n}" for n in range(2000)])
    assert found.value.code == "ledger-unreadable"


def test_what_was_refused_is_numbered_once_however_often_it_is_met(tmp_path: Path) -> None:
    def log(*records: Record) -> None:
        with new_log(tmp_path) as opened:
            for record in records:
                opened.append(record)

    log(Record(URL, State.ok, time=1.0), Record(f"{URL}?2", State.opted_out, time=1.0))
    with Ledger(tmp_path) as ledger:
        ledger.compact()
        assert (ledger.latest_refusal[0], numbers(ledger, 0)) == (1, {f"{URL}?2": [1]})
        log(Record(f"{URL}?2", State.opted_out, time=2.0), Record(URL, State.opted_out, time=2.0))
        ledger.compact()
        assert (ledger.latest_refusal[0], numbers(ledger, 1)) == (2, {URL: [2]})
        ledger.put([Record(f"{URL}?3", State.withdrawn, time=3.0), Record(f"{URL}?4", State.gone, time=3.0)])
        latest = ledger.latest_refusal
        assert (latest[0], numbers(ledger, 2)) == (3, {f"{URL}?3": [3]})
        for second, answer in enumerate(("tdm: a", "tdm: b", "robots: c", "tdm: d")):
            log(Record(f"{URL}?2", State.opted_out, answer, time=5.0 + second))
            ledger.compact()
        assert numbers(ledger, 3) == {f"{URL}?2": [4, 5, 6]}  # another signal is another refusal
        assert [one.answer for one in ledger.refused_since(3)[f"{URL}?2"]] == [
            "tdm: a",
            "robots: c",
            "tdm: d",
        ]
        latest = ledger.latest_refusal
    shutil.copytree(tmp_path, tmp_path / "copy")
    with Ledger(tmp_path) as again, Ledger(tmp_path / "copy") as copied:
        assert (again.latest_refusal, again.number_of(latest)) == (latest, 6)
        again.put([Record(f"{URL}?5", State.withdrawn, time=4.0)])
        copied.put([Record(f"{URL}?6", State.withdrawn, time=4.0)])
        assert copied.number_of(latest) == 6
        assert copied.number_of(again.latest_refusal) == 0  # the seventh of another ledger
        assert copied.number_of((9, "x")) == copied.number_of((0, "")) == 0


def test_a_ledger_of_the_first_version_is_read_on_and_knows_what_was_refused(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.put([Record(URL, State.withdrawn, time=1.0), Record(f"{URL}?2", State.ok, time=1.0)])
    with closing(sqlite3.connect(tmp_path / "urls.sqlite")) as tables:
        tables.executescript("drop table refusals; pragma user_version = 1;")
    with Ledger(tmp_path) as ledger:
        assert numbers(ledger, 0) == {URL: [1]}
        assert ledger.states() == {State.withdrawn: 1, State.ok: 1}
    with closing(sqlite3.connect(tmp_path / "urls.sqlite")) as tables:
        tables.execute("pragma user_version = 4")
    with pytest.raises(BuildError, match="of version 4") as found:
        Ledger(tmp_path)
    assert found.value.code == "ledger-unreadable"


@pytest.mark.parametrize("left", ["nothing", "table", "log", "both", "first version"])
def test_a_ledger_that_may_only_be_read_is_read_with_its_log_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    folder = tmp_path / "ledger"
    folder.mkdir()
    if left != "nothing":
        with new_log(folder) as log:
            log.append(Record(URL, State.gone, time=1.0))
    if left in ("table", "both", "first version"):
        with Ledger(folder) as ledger:
            ledger.compact()
    if left == "both":
        with new_log(folder) as log:
            log.append(Record(URL, State.withdrawn, time=2.0))
    if left == "first version":
        with closing(sqlite3.connect(folder / "urls.sqlite")) as tables:
            tables.executescript("drop table refusals; pragma user_version = 1;")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr("mlimg_build.fetch.store.ledger.may_write", lambda folder: False)
    with Ledger(folder) as ledger:
        ledger.compact()
        known = ledger.find([URL])
        assert ledger.with_digests(["ab" * 32]) == []
        assert set(ledger.refused_since(0)) == ({URL} if left == "both" else set())
        assert ledger.latest_refusal == NONE  # nobody else has the number that the copy gave
        with pytest.raises(BuildError) as found:
            ledger.put([Record(URL, State.ok, time=3.0)])
    assert found.value.code == "store-unusable"
    state = State.withdrawn if left == "both" else State.gone
    assert known == ({} if left == "nothing" else {URL: Record(URL, state, time=1.0 + (left == "both"))})
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def numbers(ledger: Ledger, after: int) -> dict[str, list[int]]:
    """The URLs that were refused after a refusal, with the numbers of their refusals."""
    return {url: [one.number for one in told] for url, told in ledger.refused_since(after).items()}


@pytest.mark.parametrize("known", [True, False])
def test_what_is_withdrawn_stays_so_whatever_was_in_the_air(tmp_path: Path, known: bool) -> None:
    """Its bytes came after the takedown: the next one removes them, and those after it nothing of others."""
    store = FolderStore(tmp_path / "store")
    with Ledger(tmp_path) as ledger:
        if known:
            ledger.put([Record(URL, State.ok, digest=store.write(b"came late"), size=9, time=1.0)])
        take_down(ledger, store, [URL], (), 10.0)
        with new_log(tmp_path) as log:
            log.append(Record(URL, State.ok, digest=store.write(b"came late"), size=9, time=11.0))
        ledger.compact()
        assert ledger.find([URL])[URL].state == State.withdrawn
        assert take_down(ledger, store, [URL], (), 12.0).files == 1
        assert list(store.digests()) == []
        store.write(b"came late")  # for another URL, whose record is in another ledger
        assert take_down(ledger, store, [URL], (), 13.0).files == 0
        assert len(list(store.digests())) == 1


def test_bytes_that_came_while_a_url_was_taken_down_go_with_the_next_takedown(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    with Ledger(tmp_path) as ledger:
        ledger.put([Record(URL, State.ok, digest=store.write(b"first"), size=5, time=1.0)])
        second = Record(URL, State.ok, digest=store.write(b"second"), size=6, time=2.0)
        remove = store.remove

        def meanwhile(digest: str) -> bool:
            with new_log(tmp_path) as log:
                log.append(second)
            with Ledger(tmp_path) as other:
                other.compact()
            return remove(digest)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(store, "remove", meanwhile)
            take_down(ledger, store, [URL], (), 10.0)
        assert ledger.find([URL])[URL].state == State.withdrawn
        assert take_down(ledger, store, [URL], (), 11.0).files == 1
        assert list(store.digests()) == []


def test_a_log_that_another_process_takes_in_is_waited_for(tmp_path: Path) -> None:
    with new_log(tmp_path) as log:
        log.append(Record(URL, State.gone, time=1.0))
    held = closed_log(log.path)
    assert held is not None
    freed = threading.Timer(0.5, os.close, (held,))
    freed.start()
    with Ledger(tmp_path) as ledger:
        assert ledger.compact() == 0
        assert ledger.wait_for([URL])[URL].state == State.gone
        assert ledger.wait_for([URL, "http://never.example/"]).keys() == {URL}  # nobody has a log
    freed.join()


def test_a_ledger_that_is_written_while_somebody_reads_it_shows_every_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [f"{URL}?{n}" for n in range(3000)]
    with Ledger(tmp_path) as ledger:
        ledger.put(Record(url, State.gone, time=1.0) for url in urls)
        with monkeypatch.context() as patched:
            patched.setattr("mlimg_build.fetch.store.ledger.may_write", lambda folder: False)
            reader = Ledger(tmp_path)
        with reader:
            ledger.put(Record(f"{URL}?x{n}", State.opted_out, time=1.0) for n in range(2000))
            assert len(reader.find(urls)) == len(urls)
            assert sum(1 for _ in reader.records()) == 5000


def test_a_log_that_vanishes_while_a_ledger_is_copied_is_in_the_table_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_log(tmp_path) as log:
        log.append(Record(URL, State.opted_out, time=1.0))
    (tmp_path / "log" / "folder").mkdir()
    read = ledger_module.read_tables

    def read_and_compact(folder: Path, *, copy: bool) -> sqlite3.Connection:
        found = read(folder, copy=copy)
        with monkeypatch.context() as patched:
            patched.setattr(ledger_module, "may_write", lambda folder: True)
            with Ledger(folder) as owner:
                owner.compact()
        return found

    monkeypatch.setattr(ledger_module, "may_write", lambda folder: False)
    monkeypatch.setattr(ledger_module, "read_tables", read_and_compact)
    with Ledger(tmp_path) as ledger:
        assert ledger.find([URL])[URL].state == State.opted_out


def test_what_a_reader_may_not_read_is_one_error() -> None:
    with folder_for_all() as folder:
        with new_log(folder) as log:
            log.append(Record(URL, State.gone, time=1.0))
        log.path.chmod(0o600)
        with as_nobody(), pytest.raises(BuildError, match="cannot be read: Permission denied") as found:
            Ledger(folder)
        assert found.value.code == "ledger-unreadable"
        Ledger(folder).__exit__(None, None, None)
        for path in (folder, folder / "log", folder / "urls.sqlite"):
            path.chmod(0o777)
        with (
            as_nobody(),
            Ledger(folder) as ledger,
            pytest.raises(BuildError, match="Permission denied") as found,
        ):
            ledger.compact()  # it may write, and must not pass over what it cannot read
        assert found.value.code == "ledger-unreadable"
        (folder / "log").chmod(0o755)
        log.path.chmod(0o644)
        with as_nobody(), Ledger(folder) as ledger:
            assert not ledger.writable
            assert URL in ledger.find([URL])
        folder.chmod(0o700)
        for use in (Ledger, is_ledger):
            with as_nobody(), pytest.raises(BuildError, match="cannot be looked into") as found:
                use(folder)
            assert found.value.code == "store-unusable"


def test_a_reader_is_told_that_a_killed_writer_left_a_transaction() -> None:
    code = """
import os, sqlite3, sys
tables = sqlite3.connect(sys.argv[1], isolation_level=None)
tables.execute("pragma cache_size = 1")
tables.execute("begin immediate")
tables.executemany("update urls set answer = ? where url = ?", [("x" * 3000, f"u{n}") for n in range(300)])
os.kill(os.getpid(), 9)
"""
    with folder_for_all() as folder:
        with Ledger(folder) as ledger:
            ledger.put(Record(f"u{n}", State.gone, time=1.0) for n in range(300))
        subprocess.run([sys.executable, "-c", code, str(folder / "urls.sqlite")], check=False)
        assert (folder / "urls.sqlite-journal").stat().st_size
        with as_nobody(), pytest.raises(BuildError) as found, Ledger(folder) as ledger:
            ledger.states()
        assert found.value.code == "ledger-busy"
        assert "a writer was killed" in found.value.problems[0].hint
        with Ledger(folder) as ledger:
            assert ledger.states() == {State.gone: 300}
