"""What is said never acts on the terminal."""

import io
import json

import pytest
from rich.progress import Progress
from rich.table import Table

from pipeline.commands.output import print_json
from pipeline.terminal import console, printable, say

EVIL = "a\x1b[2J\x1b]0;title\x07\x9b1mb\r\u202ec"


def test_control_characters_are_spelled_out() -> None:
    assert printable("a\tb\nc ä 猫 \U0001f600") == "a\tb\nc ä 猫 \U0001f600"
    assert printable(EVIL) == "a\\x1b[2J\\x1b]0;title\\x07\\x9b1mb\\r\\u202ec"


def test_lines_tables_and_json_hold_none(capsys: pytest.CaptureFixture[str]) -> None:
    say(EVIL, 3, end="!")
    assert capsys.readouterr().out == printable(EVIL) + " 3!"
    print_json({"name": EVIL})
    said = capsys.readouterr().out
    assert json.loads(said) == {"name": EVIL} and printable(said) == said
    table = Table("name", title=EVIL)
    table.add_row(EVIL)
    file = io.StringIO()
    console(file=file, width=200).print(table)
    assert "\\x1b[2J" in file.getvalue() and not set("\x1b\x07\x9b\r\u202e") & set(file.getvalue())


def test_a_live_view_still_moves_the_cursor_itself() -> None:
    file = io.StringIO()
    shown = console(file=file, force_terminal=True, width=80)
    with Progress(console=shown) as bars:
        bars.add_task("x", total=2)
        bars.refresh()
    assert "\x1b[2K" in file.getvalue() and "\\x1b" not in file.getvalue()


def test_what_stands_in_brackets_is_a_name() -> None:
    file = io.StringIO()
    table = Table("name", title="z[/b]")
    table.add_row("[/p]")
    console(file=file, width=80).print(table)
    assert "z[/b]" in file.getvalue() and "[/p]" in file.getvalue()
