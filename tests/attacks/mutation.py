"""Changed bytes of files, for all tests that give readers damaged ones."""

import random

SPECIAL = (b"\0", b"\xff", bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0", b"\1\0\0\0")


def change_bytes(rng: random.Random, seeds: list[bytes]) -> bytes:
    """Flip, overwrite, cut out, double, insert and cut off bytes."""
    content = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 5)):
        # Most of what can go wrong stands near the beginning.
        reach = len(content) if rng.random() < 0.5 else min(len(content), 300)
        place, length = rng.randrange(max(reach, 1)), rng.randint(1, 40)
        match rng.randrange(7):
            case 0:
                content[place : place + 1] = rng.randbytes(1)
            case 1:
                value = rng.choice(SPECIAL)
                content[place : place + len(value)] = value
            case 2:
                del content[place : place + length]
            case 3:
                content[place:place] = content[place : place + length]
            case 4:
                other = rng.choice(seeds)
                start = rng.randrange(max(len(other), 1))
                content[place : place + length] = other[start : start + length]
            case 5:
                content[place : place + length] = rng.randbytes(length)
            case _ if rng.random() < 0.3:
                del content[place:]
    return bytes(content)
