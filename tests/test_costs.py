"""What single parts cost is measured and printed; how much it is, is not tested."""

import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.costs.__main__ import TABLES, main, print_table
from benchmarks.costs.timing import Cost, Table, in_trio, measure, repeat

PROJECT = Path(__file__).parent.parent


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
@pytest.mark.parametrize("name", [name for name in TABLES if name != "watchdog"])  # which takes its time
def test_table(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part can be measured, and takes something."""
    monkeypatch.setattr("benchmarks.costs.timing.ROUND_SECONDS", 0.0)  # each case once in a round
    monkeypatch.setattr("benchmarks.costs.timing.ROUNDS", 2)
    table = TABLES[name]()
    assert table.costs
    for cost in table.costs:
        assert cost.value > 0 or cost.unit == "KiB"  # memory that was there already may serve once more


def test_the_quickest_round_counts() -> None:
    """What other programs add to some rounds is not a cost of ours."""
    times = iter([1.0, 5.0, 2e-6, 3e-6])
    table = measure("a title", {"a part": lambda count: next(times)}, rounds=3)
    assert table == Table("a title", [Cost("a part", pytest.approx(2.0), "µs")])


def test_a_case_may_say_itself_how_long_it_took() -> None:
    """So that what it has to prepare is not measured."""

    async def prepares(count: int) -> float:
        return 7.0 * count

    async def does_not(count: int) -> None: ...

    assert in_trio(prepares)(2) == 14
    assert 0 <= in_trio(does_not)(1) < 7
    calls: list[int] = []
    repeat(lambda: calls.append(1))(5)
    assert len(calls) == 5


def test_ratios_are_of_the_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the unit is the same; the first line has none."""
    print_table(Table("Parts", [Cost("one", 2, "µs"), Cost("another", 5, "µs"), Cost("third", 1, "KiB")]), print)
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == "Parts"
    assert [line.split()[-1] for line in lines[1:4]] == ["µs", "2.5x", "KiB"]


def test_command() -> None:
    """It measures what it is asked for, and says what there is when that is unknown."""
    assert "memory channel" in CliRunner().invoke(main, ["queues"]).output
    wrong = CliRunner().invoke(main, ["nonsense"])
    assert wrong.exit_code == 2
    assert "'tasks'" in wrong.output


def test_whoever_names_the_command_names_a_table_that_is_there() -> None:
    """So the numbers on pages and in comments can be measured again."""
    named = set()
    pages = (*PROJECT.glob("docs/**/*.md"), PROJECT / "README.md", PROJECT / "benchmarks" / "README.md")
    for path in (*pages, *PROJECT.glob("wsframework/**/*.py")):
        text = re.sub(r"\n[ #]*", " ", path.read_text("utf-8"))
        named |= set(re.findall(r"python -m benchmarks\.costs ([a-z-]+)", text))
    assert named <= set(TABLES)
    assert {"tasks", "heads", "tls"} <= named
