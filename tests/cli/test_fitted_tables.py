"""Tables of `mlimg diff`: no id is split at 80 columns, and no line through a pipe ends in blanks."""

from __future__ import annotations

from io import StringIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from mlimg_build.terminal.console import _Plain, fitted, table

IDS = ("open_images:/m/04kkgm", "n02880940", "open_images:/m/01b9xk")
ROW = (IDS[0], "Bowl", f"bowl (dish) {IDS[1]} by file", f"bowl and some more words {IDS[2]} by lemma 0.478")


def printed(width: int) -> list[str]:
    """What a table prints on a terminal of a width."""
    stream = StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None, highlight=False)
    columns = ("source category", "name", "before", "after")
    console.print(fitted(columns, [ROW, ROW], width, right=("name",)))
    return stream.getvalue().splitlines()


def test_ids_are_whole_at_every_width() -> None:
    for width in (200, 80, 75, 60, 40, 30):
        lines = printed(width)
        assert all(cell_len(line.rstrip()) <= width for line in lines)
        assert all(sum(one in line for line in lines) == 2 for one in IDS), width
        words = " ".join(lines).split()
        assert all(words.count(word) >= 2 for cell in ROW for word in cell.split())


def test_rows_that_do_not_fit_stand_below_each_other_with_their_columns() -> None:
    assert printed(40)[:3] == [IDS[0], "    name: Bowl", "    before: bowl (dish) n02880940 by"]


def test_lines_through_a_pipe_end_without_blanks() -> None:
    stream = StringIO()
    console = _Plain(file=stream, width=1000, highlight=False)
    listed = table("name", "why")
    listed.add_row(Text("a  b"), Text("short"))
    listed.add_row(Text("c"), Text("x" * 50))
    console.print(listed)
    console.print("one  two  ")
    console.print("asked: ", end="")
    assert stream.getvalue() == f"name  why\na  b  short\nc     {'x' * 50}\none  two\nasked: "
