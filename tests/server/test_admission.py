"""Admission counts who comes and who goes, and lets in no more than it may."""

import sys

import pytest

from wsframework import Limits
from wsframework.server.admission import Admission
from wsframework.server.scope import Peers


def peers(host: str = "192.0.2.1") -> Peers:
    return Peers((host, 50000), ("192.0.2.80", 80))


def test_connections_in_all() -> None:
    """One more than may be is not let in, and counts as refused; when one has left there is room again."""
    admission = Admission(Limits(connections=2))
    first, second = admission.admit(peers()), admission.admit(peers())
    assert first is not None
    assert second is not None
    assert admission.admit(peers()) is None
    assert (admission.open, admission.accepted, admission.refused) == (2, 3, {503: 1})
    first.closed(1000)
    first.leave()
    assert admission.admit(peers()) is not None


def test_connections_from_an_address() -> None:
    """Others still come in when one address has all that it may have."""
    admission = Admission(Limits(connections_per_address=1))
    first = admission.admit(peers())
    assert first is not None
    assert admission.admit(peers()) is None
    assert admission.admit(peers("192.0.2.2")) is not None
    first.leave()
    assert admission.admit(peers()) is not None


@pytest.mark.parametrize(
    ("one", "another", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_what_counts_as_one_address(one: str, another: str, same: bool) -> None:
    """A whole /64 of IPv6 is one customer's; an IPv4 address that a dual socket maps is that address."""
    admission = Admission(Limits(connections_per_address=1))
    assert admission.admit(peers(one)) is not None
    assert (admission.admit(peers(another)) is None) == same


def test_unix_sockets_count_together() -> None:
    """There is no address on a Unix socket."""
    admission = Admission(Limits(connections_per_address=1))
    assert admission.admit(Peers()) is not None
    assert admission.admit(Peers()) is None


def test_every_visit_has_one_outcome() -> None:
    """The first word counts, and a visit leaves once."""
    admission = Admission(Limits(connections_per_address=5))
    visits = [admission.admit(peers()) for _ in range(4)]
    for visit in visits:
        assert visit is not None
    http, lost, refused, closed = (visit for visit in visits if visit is not None)
    http.handed_over()
    lost.lost()
    refused.refused(400)
    closed.closed(1001)
    for visit in (http, lost, refused, closed):
        visit.lost()
        visit.refused(500)
        visit.closed(1000)
        visit.handed_over()
        visit.leave()
        visit.leave()
    assert (admission.http, admission.lost, admission.refused, admission.closed) == (1, 1, {400: 1}, {1001: 1})
    assert admission.open == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize(("files", "most"), [(256, 192), (1024, 960), (65536, 61440), (10, 1)])
def test_what_the_system_allows(files: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a number of our own, some descriptors are kept for the application."""
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda which: (files, files))
    admission = Admission(Limits())
    assert [admission.admit(peers()) is None for _ in range(most + 1)].index(True) == most


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_system_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then there is none here either."""
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    admission = Admission(Limits())
    assert all(admission.admit(peers()) is not None for _ in range(100))
