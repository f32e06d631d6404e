"""The programs of examples/ that have a page in a browser. What the pages themselves do is tested in a browser."""

from __future__ import annotations

import itertools
import re
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock

import wsframework
import wsframework.testing
from tests.programs import load, shows
from wsframework import CloseCode
from wsframework.testing import HandshakeRefused, connect


@shows("chat/app.py")
async def test_chat(autojump_clock: MockClock) -> None:
    """Who was away gets what was said meanwhile; a newcomer gets what is remembered; a name is somebody's alone."""
    app = load("chat/app.py").app
    talk, people = {"type": "subscribe", "topic": "talk:tea"}, {"type": "subscribe", "topic": "people:tea"}
    async with connect(app, "/chat/elsewhere"):  # so that the application goes on
        async with connect(app, "/chat/tea?name=Ada&key=a", deadline=2) as ada:
            await ada.send_json(people)
            assert [(await ada.receive_json())["presence"] for _ in range(2)] == ["here", "join"]
            assert (await ada.receive_json())["name"] == "Ada"
            await ada.send_json(talk)
            assert (await ada.receive_json())["recovered"] is False
            async with connect(app, "/chat/tea?name=Ada&key=b", deadline=2) as other:
                await other.send_json(people)
                names = [member["data"]["name"] for member in (await other.receive_json())["members"]]
                assert names == ["Ada"]
                assert (await other.receive_json())["members"][0]["data"] == {"name": "Ada (2)"}
                assert (await other.receive_json())["name"] == "Ada (2)"
                for text in ("one", "two"):
                    await other.send_json({"type": "say", "text": text})
            assert (await ada.receive_json())["presence"] == "join"
            first = await ada.receive_json()
            assert first["data"]["text"] == "one"
        since = {"epoch": first["epoch"], "offset": first["offset"]}
        for asked, texts in (({**talk, "since": since}, ["two"]), (talk, ["one", "two"])):
            async with connect(app, "/chat/tea?name=Ada&key=a", deadline=2) as ada:
                await ada.send_json(asked)
                assert [(await ada.receive_json())["data"]["text"] for _ in texts] == texts
                assert (await ada.receive_json())["recovered"]
                await ada.send_json({"type": "say", "text": "nameless"})
                assert (await ada.wait_closed()).code == CloseCode.POLICY_VIOLATION


@shows("ticker/app.py")
async def test_ticker(autojump_clock: MockClock) -> None:
    """A newcomer begins with the newest price of each name; one that stalls goes on with the newest, and skips."""
    app = load("ticker/app.py").app
    async with connect(app, "/live", window=20_000, deadline=5) as client:
        prices = [(await client.receive_json())["data"] for _ in range(12)]
        assert len({price["name"] for price in prices}) == 6
        client.stall()
        await trio.sleep(9)
        assert app.hub.statistics("prices").waiting == 6
        client.resume()
        numbers = [(await client.receive_json())["data"]["number"] for _ in range(1_000)]
        assert max(after - before for before, after in itertools.pairwise(numbers)) > 100


@shows("collaboration/app.py")
async def test_collaboration(autojump_clock: MockClock) -> None:
    """Notes reach everybody, as a state or as changes; two connections with one cookie are one person."""
    app = load("collaboration/app.py").app
    board = {"type": "subscribe", "topic": "board"}
    note = {"type": "put", "id": "n", "by": "p", "x": 10, "y": 20, "text": "tea"}

    async def enter(client: wsframework.testing.Client) -> list[dict[str, Any]]:
        await client.send_json(board)
        messages = [await client.receive_json()]
        while "recovered" not in messages[-1]:
            messages.append(await client.receive_json())
        return messages

    async with connect(app, "/live", headers={"cookie": "board=a; name=Ada"}, deadline=20) as ada:
        messages = await enter(ada)
        assert messages[0]["type"] == "welcome"
        assert messages[1:3] == [
            {"topic": "board", "presence": "here", "members": []},
            {
                "topic": "board",
                "presence": "join",
                "members": [{"identity": messages[0]["identity"], "data": messages[2]["members"][0]["data"]}],
            },
        ]
        assert messages[2]["members"][0]["data"]["name"] == "Ada"
        assert messages[3] == {"type": "state", "notes": []}
        await ada.send_json(note)
        assert (await ada.receive_json())["data"] == note
        async with connect(app, "/live", headers={"cookie": "board=b; name=Grace"}, deadline=5) as grace:
            assert (await enter(grace))[-2] == {"type": "state", "notes": [note]}
            assert (await ada.receive_json())["presence"] == "join"
            await grace.send_json({"type": "subscribe", "topic": "cursors"})
            await ada.send_json({"type": "point", "x": 1, "y": 2})
            assert (await grace.receive_json())["data"] == {"identity": messages[0]["identity"], "x": 1, "y": 2}
            async with connect(app, "/live", headers={"cookie": "board=a; name=Ada"}, deadline=5) as tab:
                await enter(tab)
                assert len(await app.hub.presence("board")) == 2
        assert (await ada.receive_json())["presence"] == "leave"  # after the grace period
    with pytest.raises(HandshakeRefused):
        async with connect(app, "/live"):
            pass


@shows("browser/topics.js", "ticker/slow.py")
@pytest.mark.parametrize("name", ["chat", "ticker", "collaboration"])
async def test_pages_of_examples(name: str) -> None:
    """Whatever a page loads is there. What it does is tested in a browser."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(load(f"{name}/app.py").app)) as client:
        seen: set[str] = set()
        left = ["http://testserver/"]
        while left:
            url = httpx.URL(left.pop())
            answer = await client.get(url)
            assert answer.status_code == 200, url
            seen.add(url.path)
            found = re.findall(r'(?:src|href|from) ?=? ?"([\w./]+)"', answer.text)
            left += [str(url.join(each)) for each in found if url.join(each).path not in seen]
    assert {"/browser/topics.js", "/browser/status.js", "/browser/page.css"} < seen
