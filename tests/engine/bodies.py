"""Bodies that both sides of a test can make for themselves."""

import random

BLOCK_BYTES = 65536


def blocks(seed, count):
    """`count` bytes, the same for the same seed whatever the pieces in which they travel."""
    source = random.Random(seed)
    for start in range(0, count, BLOCK_BYTES):
        yield source.randbytes(BLOCK_BYTES)[: count - start]


def body(seed, count):
    return b"".join(blocks(seed, count))


def pieces(data, count, seed):
    """`data` cut at random places into `count` pieces, none of them empty."""
    count = max(1, min(count, len(data)))
    cuts = sorted(random.Random(seed).sample(range(1, len(data)), count - 1)) if count > 1 else []
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)])]
