"""
Fails if part of what users can import has a type that pyright cannot know: `python tests/typing/completeness.py`.

Attributes whose type pyright can tell, but says other checkers might infer differently, are counted and no failure:
mypy, which checks the same code in strict mode, infers them alike.
"""

import json
import subprocess
import sys

THEIRS = "grayflow.integrations."
"""What stands between us and libraries whose own types pyright does not know (Celery) or find (OpenFeature)."""

if __name__ == "__main__":
    told = subprocess.run(
        ["pyright", "--verifytypes", "grayflow", "--ignoreexternal", "--outputjson"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(told.stdout)["typeCompleteness"]
    counts = found["exportedSymbolCounts"]
    unknown = [
        symbol["name"]
        for symbol in found["symbols"]
        if symbol["isExported"] and not (symbol["isTypeKnown"] or symbol["isTypeAmbiguous"])
    ]
    ours = [name for name in unknown if not name.startswith(THEIRS)]
    print(f"{found['completenessScore']:.0%} of {sum(counts.values())} symbols have a declared type; {counts}")
    if ours or not counts["withKnownType"]:
        print(*ours, sep="\n")
        sys.exit(1)
