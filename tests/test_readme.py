"""What the README shows is what happens."""

import re
from pathlib import Path

import trio.testing

from wsframework.testing import connect

README = Path(__file__).parents[1] / "README.md"


async def test_the_example_is_a_chat(autojump_clock: trio.testing.MockClock) -> None:
    """Two people in a room read what one of them says, and the other's leaving."""
    [example] = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    names: dict[str, object] = {"__name__": "chat"}
    exec(compile(example, "README.md", "exec"), names)
    app = names["app"]
    async with connect(app, "/chat/kitchen") as ada, connect(app, "/chat/garden") as elsewhere:
        async with connect(app, "/chat/kitchen") as grace:
            await grace.send("hello")
            assert await grace.receive() == "hello"
            assert await ada.receive() == "hello"
        assert await ada.receive() == "Somebody has left."
        await elsewhere.send("is anybody here?")
        assert await elsewhere.receive() == "is anybody here?"
