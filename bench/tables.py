"""Figures as people read them: a table on the terminal, and the same in Markdown between two marks of a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.figures import Results, Spread
from bench.subjects import Row, Subject

BEGIN, END = "<!-- figures: made by `make bench`, not by hand -->", "<!-- end of the figures -->"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as text."""

    title: str
    note: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def sheet_of(subject: Subject, results: Results, names: Mapping[str, str]) -> Sheet:
    """A subject's table. `names`: what was measured, by key; rows of anything else are left out, those that a target can't
    do stay blank."""
    rows = []
    for row in subject.rows:
        if row.target in names:
            cells = [_cell(column.spread(results, row), column.form) for column in subject.columns]
            rows.append([_label(subject, row, names[row.target]), *cells])
    return Sheet(subject.title, subject.note, ["", *(column.title for column in subject.columns)], rows)


def _label(subject: Subject, row: Row, name: str) -> str:
    if not subject.by_case:
        return name
    return row.case.lane if len({one.target for one in subject.rows}) == 1 else f"{row.case.name}: {name}"


def _cell(spread: Spread | None, form: str) -> str:
    if spread is None:
        return ""
    median, least, most = (form.format(value) for value in (spread.median, spread.least, spread.most))
    return median if least == most else f"{median} ({least}–{most})"


def show(sheets: Iterable[Sheet], console: Console) -> None:
    """On the terminal."""
    for sheet in sheets:
        table = Table(sheet.heads[0], title=sheet.title, caption=sheet.note or None, title_justify="left")
        for head in sheet.heads[1:]:
            table.add_column(head, justify="right")
        for row in sheet.rows:
            table.add_row(*map(escape, row))
        console.print(table)


def markdown(sheets: Iterable[Sheet]) -> str:
    """As a page's part."""
    parts = []
    for sheet in sheets:
        lines = [f"### {sheet.title}", "", *([sheet.note, ""] if sheet.note else [])]
        lines += [_line(sheet.heads), _line(["---", *["---:"] * (len(sheet.heads) - 1)]), *map(_line, sheet.rows)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def put_into(file: Path, text: str) -> None:
    """Replaces what is between the marks. Raises ValueError where they are not."""
    before, found, rest = file.read_text().partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{file} has no place for the figures: {BEGIN} … {END}")
    file.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
