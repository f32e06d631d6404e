"""Records without data: a client of TLS 1.3 that has new keys made, now and then or without end."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.server.tlspair import Pair
from wsframework.server.wire import SEND_SIZE


class Rekeying:
    """A client of TLS 1.3 whose records are made here, since Python's ssl cannot ask for new keys (RFC 8446)."""

    def __init__(self, secrets: Path) -> None:
        self.pair = Pair(secrets=secrets)
        self.pair.shake_hands()
        assert self.pair.client.cipher() == ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)
        [line] = [line for line in secrets.read_text().splitlines() if line.startswith("CLIENT_TRAFFIC_SECRET_0")]
        self._use(bytes.fromhex(line.split()[-1]))

    def _use(self, secret: bytes) -> None:
        self._secret, self._number = secret, 0
        self._key, self._iv = self._expand(b"key", 32), self._expand(b"iv", 12)

    def _expand(self, label: bytes, length: int) -> bytes:
        label = b"tls13 " + label
        info = length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
        return HKDFExpand(SHA384(), length, info).derive(self._secret)

    def _record(self, content: bytes, kind: int) -> bytes:
        head = b"\x17\x03\x03" + (len(content) + 17).to_bytes(2, "big")
        nonce = (int.from_bytes(self._iv, "big") ^ self._number).to_bytes(12, "big")
        self._number += 1
        return head + AESGCM(self._key).encrypt(nonce, content + bytes([kind]), head)

    def data(self, content: bytes) -> bytes:
        return self._record(content, 23)

    def new_keys(self, count: int, *, ask: bool = False) -> bytes:
        """Use new keys so many times, and ask for new ones of the server each time."""
        records = b""
        for _ in range(count):
            records += self._record(b"\x18\0\0\x01" + bytes([ask]), 22)
            self._use(self._expand(b"traffic upd", 48))
        return records


@pytest.mark.parametrize("ask", [False, True])
def test_new_keys(tmp_path: Path, ask: bool) -> None:
    """A client may use new keys, and ask for new ones."""
    client = Rekeying(tmp_path / "secrets")
    for _ in range(100):
        client.pair.tls.received(client.new_keys(5, ask=ask) + client.data(b"hello"))
    assert client.pair.receiver.told == [b"hello"] * 100
    client.pair.tls.send(b"hi")
    assert client.pair.read() == b"hi"


def test_new_keys_without_end(tmp_path: Path) -> None:
    """What is no data costs time too: a client that sends nothing else is cut off, and what follows is not read."""
    client = Rekeying(tmp_path / "secrets")
    told = client.pair.receiver.told
    for _ in range(30):
        client.pair.tls.received(client.new_keys(40))
    assert told == []
    for _ in range(30):
        client.pair.tls.received(client.new_keys(40))
    assert told == [b""]
    client.pair.tls.received(client.data(b"hello"))
    assert told == [b""]


def test_many_new_keys_at_once(tmp_path: Path) -> None:
    """A read that is full of wishes for new keys ends the connection, also with data among them."""
    client = Rekeying(tmp_path / "secrets")
    flood = b"".join(client.new_keys(1, ask=True) + client.data(b"x") for _ in range(1000))
    client.pair.tls.received(flood)
    [data, end] = client.pair.receiver.told
    assert data == b"x" * len(str(data)[2:-1])
    assert len(data) < 500  # of the 1000
    assert end == b""


def test_new_keys_for_a_client_that_does_not_read(tmp_path: Path) -> None:
    """Answers wait for it up to a bound."""
    client = Rekeying(tmp_path / "secrets")
    client.pair.wire.room = 0
    assert client.pair.tls.send(bytes(100_000)) == SEND_SIZE
    told = client.pair.receiver.told
    while b"" not in told:
        client.pair.tls.received(client.new_keys(10, ask=True) + client.data(b"x"))
        assert len(told) < 100
    assert len(told) > 10
