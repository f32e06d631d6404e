"""The ways in which a client leaves: with a close frame, and without a word."""

import pytest

from wsframework.testing import Client


async def say_goodbye(client: Client) -> None:
    await client.close(4000, "that's all")


async def vanish(client: Client) -> None:
    client.vanish()


leaves = pytest.mark.parametrize(("leave", "code"), [(say_goodbye, 4000), (vanish, 1006)])
