"""Where a server's processor time goes is read from what perf has recorded."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest
from click.testing import CliRunner

from benchmarks import profile
from benchmarks.load import Sample, find_compiler
from benchmarks.profile import LIBC, OTHER, PYTHON, SYSTEM, Frame, main, part_of, read_samples, table

RECORDED = """
\tffffffff81e2 tcp_ack ([kernel.kallsyms])
\tffffffff8f03 __sys_sendto ([kernel.kallsyms])
\t    7f3e2f9d __libc_send (/usr/lib/x86_64-linux-gnu/libc.so.6)

\t    7f3e2c11 _PyEval_EvalFrameDefault (/usr/lib/libpython3.11.so.1.0)
\t    7f3e2c12 operator new(unsigned long) (inlined) (/usr/lib/libpython3.11.so.1.0)
"""


def test_samples_are_read() -> None:
    """A sample is the frames up to an empty line, the last one too; a function may have a space in its name."""
    first, second = read_samples(RECORDED.splitlines())
    assert first[0] == Frame("tcp_ack", "[kernel.kallsyms]")
    assert first[2] == Frame("__libc_send", "/usr/lib/x86_64-linux-gnu/libc.so.6")
    assert second[1] == Frame("operator new(unsigned long) (inlined)", "/usr/lib/libpython3.11.so.1.0")
    assert not list(read_samples(["", "\n"]))


@pytest.mark.parametrize(
    ("frames", "part"),
    [
        ([("tcp_ack", "[kernel.kallsyms]"), ("__sys_sendto", "[kernel.kallsyms]")], "system: send"),
        ([("__x64_sys_recvfrom", "[kernel.kallsyms]")], "system: receive"),
        ([("ep_poll", "[kernel.kallsyms]"), ("do_epoll_wait", "[kernel.kallsyms]")], "system: epoll"),
        ([("asm_sysvec_apic_timer_interrupt", "[kernel.kallsyms]"), ("main", "/a")], SYSTEM),
        ([("_PyEval_EvalFrameDefault", "/usr/lib/libpython3.11.so.1.0"), ("__sys_sendto", "[kernel]")], PYTHON),
        ([("_PyEval_EvalFrameDefault", "/usr/bin/python3.11")], PYTHON),
        ([("malloc_consolidate", "/usr/lib/libc.so.6")], LIBC),
        ([("uv__io_poll", "/site-packages/uvloop/loop.cpython-311-x86_64-linux-gnu.so")], OTHER),
    ],
)
def test_a_sample_counts_where_its_innermost_function_is(frames: list[tuple[str, str]], part: str) -> None:
    """In the system it counts for the call that was made."""
    assert part_of([Frame(*frame) for frame in frames]) == part


def test_table() -> None:
    """Shares, and what they are of one message."""
    lines = table("a job, a peer", Counter({PYTHON: 3, LIBC: 1}), Sample(rate=50_000.0, cpu_us=8.0))
    assert lines[0] == "a job, a peer: 8.0 µs of processor time for a message, 50,000 of them a second"
    assert [line.split()[-3:] for line in lines[1:] if "Python" in line or "C library" in line] == [
        ["75.0%", "6.00", "µs"],
        ["25.0%", "2.00", "µs"],
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["echo-tls"], "there is no job 'echo-tls'"), (["echo-1", "--peers", "nobody"], "there is no peer 'nobody'")],
)
def test_wrong_arguments(arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what there is."""
    monkeypatch.setattr(profile.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert told in CliRunner().invoke(main, arguments).output


def test_without_perf(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setattr(profile.shutil, "which", lambda name: None)
    told = CliRunner().invoke(main, [])
    assert told.exit_code == 1
    assert "linux-perf" in told.output


@pytest.mark.skipif(not shutil.which("perf") or find_compiler() is None, reason="needs perf and a C compiler")
def test_a_profile() -> None:
    """A short one: all of it together makes the whole, unless perf may not look, which it then says."""
    for seconds in ("0.2", "2", "10"):  # a machine that is busy may do nothing in a fraction of a second
        told = CliRunner().invoke(main, ["echo-100", "--seconds", seconds])
        if told.exit_code == 0 or "perf has recorded nothing" in told.output:
            break
    if told.exit_code:
        assert "perf has recorded nothing" in told.output
    else:
        shares = [float(line.rpartition("%")[0].split()[-1]) for line in told.output.splitlines()[1:]]
        assert sum(shares) == pytest.approx(100, abs=1)
