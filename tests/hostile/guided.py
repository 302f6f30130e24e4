"""
The same checks driven by coverage: `python -m tests.hostile.guided flag -runs=100000` (libFuzzer's options; needs the
package atheris). Inputs that reach new lines of grayflow are kept and changed further; a crash, a hang or memory beyond
libFuzzer's limits ends it with an error and the input.
"""

import asyncio
import logging
import sys
from random import Random

import atheris

with atheris.instrument_imports(include=["grayflow"]):
    from tests.hostile.campaign import TARGETS
    from tests.hostile.mutations import Mutator


def main(name: str, options: list[str]) -> None:
    """Run; libFuzzer ends the process."""
    logging.getLogger("grayflow").setLevel(logging.CRITICAL)
    target, loop = TARGETS[name], asyncio.new_event_loop()
    block = target.check()
    check = loop.run_until_complete(block.__aenter__())

    def once(data: bytes) -> None:
        loop.run_until_complete(check(data))

    def change(data: bytes, most: int, seed: int) -> bytes:
        if seed % 2:
            changed: bytes = atheris.Mutate(data, most)
            return changed
        mutator = Mutator(target.seeds(), target.mutations, seed)
        return (mutator.changed(data) if Random(seed).random() < 0.8 else mutator())[:most]

    atheris.Setup(
        [sys.argv[0], "-timeout=20", "-rss_limit_mb=1024", "-max_len=65536", *options], once, custom_mutator=change
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
