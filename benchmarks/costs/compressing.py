"""What compression costs in time, and what it gains in bytes."""

import random

import msgspec

from wsframework import Deflate
from wsframework.server.deflate import DeflatedFrames, Deflater, deflated_frames

from .timing import Cost, Table, measure, repeat

SIZES = {"2 KB": 2_000, "10 KB": 10_000, "140 KB": 140_000}


def _make_words(count: int) -> list[str]:
    """Make words that are as different as those of people's messages."""
    rng = random.Random(0)
    return ["".join(rng.choices("etaoinshrdlcumw", k=rng.randrange(2, 9))) for _ in range(count)]


WORDS = _make_words(1000)


def _json(size: int) -> str:
    """Make JSON such as programs send: records with the same keys, names, numbers and a few words."""
    rng = random.Random(size)
    records: list[dict[str, object]] = []
    text = ""
    while len(text) < size:
        for _ in range(1 + len(records) // 10):
            records.append(
                {
                    "id": rng.randrange(10**6),
                    "name": f"{rng.choice(WORDS)} {rng.choice(WORDS)}",
                    "price": round(rng.uniform(1, 1000), 2),
                    "changed": f"2030-01-{rng.randrange(1, 29):02}T{rng.randrange(24):02}:{rng.randrange(60):02}:00Z",
                    "note": " ".join(rng.choices(WORDS, k=4)),
                }
            )
        text = msgspec.json.encode(records).decode()
    return text[:size]


def _frames(deflate: Deflate, level: int | None = None) -> DeflatedFrames:
    return deflated_frames(
        deflate.window_bits, deflate.level if level is None else level, deflate.memory_level, deflate.threshold
    )


def compression() -> Table:
    """JSON of several sizes, at the default level and at the lowest one."""
    cases = {}
    for name, size in SIZES.items():
        text = _json(size)
        for level in (None, 1):
            frames = _frames(Deflate(), level)
            label = f"{name}, level {Deflate().level if level is None else level}: {len(frames.encode(text)):,} bytes"
            cases[label] = repeat(lambda frames=frames, text=text: frames.encode(text))  # type: ignore[misc]
    return measure("Compression of JSON", cases)


def short_messages() -> Table:
    """Short messages that are alike, each by itself and with those before it to refer to."""
    rng = random.Random(1)
    messages = [
        msgspec.json.encode(
            {
                "topic": "chat:kitchen",
                "epoch": "5f3a09c1",
                "offset": 1000 + number,
                "data": {
                    "from": rng.choice(WORDS),
                    "text": " ".join(rng.choices(WORDS, k=6)),
                    "at": 1893456000 + number,
                },
            }
        ).decode()
        for number in range(200)
    ]
    alone = _frames(Deflate(threshold=0))
    together = Deflater(alone)
    sizes = {
        "plain": [len(message) for message in messages],
        "each by itself": [len(alone.encode(message)) for message in messages],
        "with context takeover": [len(together.encode(message)) for message in messages],
    }
    return Table("Short messages of JSON", [Cost(name, sum(each) / len(each), "bytes") for name, each in sizes.items()])
