"""Rounds, medians, ratios, tables and floors of the benchmark."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.__main__ import chosen, plan, read_options
from bench.cases import WHOLE, Case
from bench.figures import Provider, Results, Run, Spread, interleaved, measure
from bench.floors import floors
from bench.subjects import BUDGETS, EKAI, Column, Row, Subject, at, quick, subjects
from bench.tables import BEGIN, END, Sheet, markdown, put_into, sheet_of
from bench.targets import NATIVE, Target

RUN = Run(
    rate=100, p50=1, p99=2, first_word=1, on_pace=1, cpu=50, busy=0.5, load=0.5, unshared=100, failures=0
)  # fmt: skip


def test_a_run_measures_the_target(provider: Provider) -> None:
    ran = measure(Target("it", provider.port, NATIVE, provider.pid), Case(connections=4), provider, 0.3)
    assert ran.failures == 0
    assert ran.cpu * ran.rate == pytest.approx(ran.busy * 1e6, rel=0.01)
    assert 0 < ran.busy <= 1.05
    assert ran.p50 <= ran.p99


def test_rounds_take_turns_and_what_cannot_be_done_is_named(provider: Provider) -> None:
    told: list[str] = []
    targets = {name: Target(name, provider.port, NATIVE) for name in ("one", "two")}
    targets["none"] = Target("none", provider.port, {})
    case = Case(connections=1)
    results = interleaved({case: targets}, provider, 2, 0.02, told.append)
    assert [line.partition(": ")[2].split()[0] for line in told] == ["one", "two", "one", "two"]
    assert len(results.runs[case, "one"]) == 2
    assert results.troubles == {(case, "none"): "not offered"}


def test_a_lane_that_is_another_is_no_figure(provider: Provider) -> None:
    """The provider answers chat, and the case says Messages: the reply is whole, but not of the case's lane."""
    case = Case("chat_completions", "messages", connections=1)
    targets = {"it": Target("it", provider.port, {("chat_completions", "messages"): "m"})}
    results = interleaved({case: targets}, provider, 1, 0.02, lambda line: None)
    assert not results.runs
    assert "another dialect" in results.troubles[case, "it"]


def test_ratios_and_differences_are_taken_of_medians() -> None:
    case = Case()
    slow = [replace(RUN, cpu=cpu) for cpu in (100, 120, 140)]
    fast = [replace(RUN, cpu=cpu) for cpu in (50, 60, 90)]
    results = Results({(case, EKAI): slow, (case, "nginx"): fast}, {})
    times = Column("×", lambda one: one.cpu, over=at("nginx")).spread(results, Row(case, EKAI))
    more = Column("+", lambda one: one.cpu, less=at("nginx")).spread(results, Row(case, EKAI))
    assert times is not None
    assert (times.median, times.least, times.most) == (2.0, 100 / 60, 140 / 60)
    assert more == Spread([40, 60, 80])
    assert Column("×", lambda one: one.cpu, over=at("direct")).spread(results, Row(case, EKAI)) is None


def test_a_table_leaves_out_what_was_not_started_and_keeps_blank_what_cannot_be_done() -> None:
    case = Case()
    results = Results({(case, EKAI): [RUN, RUN]}, {})
    column = Column("CPU µs", lambda one: one.cpu)
    subject = Subject("T", "", [Row(case, EKAI), Row(case, "nginx"), Row(case, "router")], [column])
    sheet = sheet_of(subject, results, {EKAI: "Ekai", "router": "ccr"})
    assert sheet.rows == [["Ekai", "50"], ["ccr", ""]]


def test_tables_go_between_the_marks_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    text = markdown([Sheet("T", "note", ["", "x"], [["a", "1"]])])
    put_into(page, text)
    put_into(page, text)
    assert (
        page.read_text() == f"before\n{BEGIN}\n\n### T\n\nnote\n\n|  | x |\n| --- | ---: |\n| a | 1 |\n\n{END}\nafter\n"
    )
    page.write_text("no place")
    with pytest.raises(ValueError, match="no place for the figures"):
        put_into(page, text)


def test_every_ratio_has_its_base_among_the_rows() -> None:
    """A column that compares with a row that no table has would stay blank for ever."""
    for tables in (list(subjects()), list(quick())):
        rows = {row for table in tables for row in table.rows}
        for table in tables:
            for column in table.columns:
                for other in (column.over, column.less):
                    if other is not None:
                        assert {other(row) for row in table.rows} <= rows, (table.title, column.title)


def test_the_page_has_a_place_for_the_figures() -> None:
    text = (Path(__file__).parents[2] / "docs" / "performance.md").read_text()
    assert text.count(BEGIN) == text.count(END) == 1


def test_a_target_that_goes_away_is_left_out_and_the_others_go_on(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(target: Target, case: Case, provider: Provider, seconds: float) -> Run:
        if target.name == "gone":
            raise ConnectionRefusedError("refused")
        return RUN

    monkeypatch.setattr("bench.figures.measure", broken)
    case = Case(connections=1)
    targets = {name: Target(name, provider.port, NATIVE) for name in ("gone", "here")}
    results = interleaved({case: targets}, provider, 3, 0.01, lambda line: None)
    assert len(results.runs[case, "here"]) == 3
    assert results.troubles == {(case, "gone"): "it broke off: refused"}
    assert results.failures == {}


def test_each_case_is_run_once_for_all_tables_and_only_at_what_was_started() -> None:
    target = Target("Ekai", 1, NATIVE)
    planned = plan(list(subjects()), {EKAI: target})
    assert all(found == {EKAI: target} for found in planned.values())
    assert WHOLE in planned


def test_the_command_can_be_narrowed(capsys: pytest.CaptureFixture[str]) -> None:
    options = read_options(["--targets", "nginx,ekai", "--subjects", "first WORD", "--rounds", "2"])
    assert (options.targets, options.rounds, options.seconds) == (["nginx", "ekai"], 2, 3.0)
    assert [subject.title for subject in chosen(options)] == ["Time to the first word, 1 connection"]
    assert read_options(["--quick"]).rounds == 1
    with pytest.raises(SystemExit):
        read_options(["--targets", "apache"])
    assert "no such target: apache" in capsys.readouterr().err


@pytest.mark.parametrize(("cpu", "kept"), [(215, True), (216, False)])
def test_floors_judge_what_was_measured_and_nothing_else(cpu: float, kept: bool) -> None:
    results = Results({(WHOLE, BUDGETS): [replace(RUN, cpu=cpu)]}, {})
    found = [floor for floor in floors(results, {}) if floor.value is not None]
    assert [(floor.value, floor.holds) for floor in found] == [(cpu, kept)]
    both = Results({(WHOLE, EKAI): [replace(RUN, cpu=100)], (WHOLE, "unrecorded"): [replace(RUN, cpu=80)]}, {})
    [record] = [floor for floor in floors(both, {}) if floor.value is not None]
    assert record.value == pytest.approx(0.2)
    assert not record.holds
