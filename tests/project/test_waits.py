"""No wait without an end: docs/waits.md has a row for every call that may wait, and every row is of such a call."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WAITS = {
    *(
        "wait",
        "recv",
        "recv_bytes",
        "communicate",
        "acquire",
        "result",
        "sleep",
        "accept",
        "connect",
        "shutdown",
    ),
    *("flock", "lockf", "waitpid", "waitid", "urlopen", "urlretrieve", "poll", "select", "as_completed"),
    *("Lock", "RLock", "Condition", "Event", "Semaphore", "Barrier", "Queue", "SimpleQueue", "Pipe"),
    *("ThreadPoolExecutor", "ProcessPoolExecutor", "Pool", "Popen", "DataLoader", "LocalCluster", "Client"),
    *("check_call", "check_output", "getoutput", "mkfifo", "create_connection", "socket"),
}
MODULES = {"os": {"open", "read"}, "subprocess": {"run", "call"}}
REMOTE = ("client", "cluster", "subprocess")  # every call on one goes to another process
COLUMNS = {"select"}  # also of tables of Arrow, with an argument


def waits_in(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, str]]:
    """Yield (function, call) of each call that may wait."""
    for child in ast.iter_child_nodes(tree):
        within = inside
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            within = f"{inside}.{child.name}".lstrip(".")
        if isinstance(child, ast.Call) and may_wait(child):
            yield inside or "module", ast.unparse(child)
        yield from waits_in(child, within)


def may_wait(call: ast.Call) -> bool:
    """Whether a call is by its name one that may wait for something outside its thread."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
    timed = any(keyword.arg == "timeout" for keyword in call.keywords)
    if name == "get":  # of a queue; that of a mapping has a key
        return not call.args or timed
    if name == "join":  # of a thread or process; that of a text has a text before it and an iterable behind
        return not owner.startswith(("'", '"', "f'")) and (
            not call.args or timed or ast.unparse(call.args[0]).replace("_", "").isupper()
        )
    if name in COLUMNS:
        return not call.args
    if owner.rpartition(".")[2].lstrip("_") in REMOTE:
        return True
    return name in WAITS or name in MODULES.get(owner, ())


def found() -> dict[str, str]:
    """The first waiting call of each place, by `module` `function`."""
    calls: dict[str, str] = {}
    for path in sorted((ROOT / "mlimg_build").rglob("*.py")):
        module = path.relative_to(ROOT / "mlimg_build").as_posix()
        for function, call in waits_in(ast.parse(path.read_text())):
            calls.setdefault(f"{module} {function}", call)
    return calls


def listed() -> dict[str, list[str]]:
    """The rows of the table: what is waited for, what ends it, after how long, by place."""
    rows = {}
    for line in (ROOT / "docs/waits.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if (place := re.fullmatch(r"`(\S+\.py)` (.+)", cells[0])) and len(cells) == 4:
            for function in re.findall(r"`([\w.]+)`", place[2]):
                rows[f"{place[1]} {function}"] = cells[1:]
    return rows


def test_every_wait_is_in_the_table() -> None:
    missing = {place: call for place, call in found().items() if place not in listed()}
    assert not missing, "say in docs/waits.md what ends it, and after how long"


def test_every_row_of_the_table_is_a_wait_and_says_what_ends_it() -> None:
    assert not listed().keys() - found().keys()
    assert len(listed()) > 20
    assert all(all(cells) for cells in listed().values())


@pytest.mark.parametrize(
    "call",
    [
        *(
            "queue.get()",
            "queue.get(timeout=3)",
            "thread.join()",
            "self.join(CLOSING)",
            "process.join(timeout=2)",
        ),
        *(
            "event.wait()",
            "wait([driver])",
            "pipe.recv()",
            "future.result()",
            "time.sleep(1)",
            "client.run(version)",
        ),
        *("fcntl.flock(file, LOCK)", "subprocess.run(command)", "Popen(command)", "os.open(path, flags)"),
        *(
            "urlopen(url)",
            "request.urlopen(url, None, 3)",
            "self._client.cancel(futures)",
            "DataLoader(dataset)",
        ),
        *("threading.Lock()", "selector.select()", "process.communicate()"),
    ],
)
def test_a_wait_is_found(call: str) -> None:
    assert list(waits_in(ast.parse(f"def f():\n    {call}\n"))) == [("f", ast.unparse(ast.parse(call)))]


@pytest.mark.parametrize(
    "call", ["', '.join(names)", "names.get(key)", "Path(a).open()", "table.select(columns)"]
)
def test_what_does_not_wait_is_not(call: str) -> None:
    assert not list(waits_in(ast.parse(call)))
