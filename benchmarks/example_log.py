"""Write the log of README's example: events.csv, visitors of six tastes and the products that they looked at.

.venv/bin/python benchmarks/example_log.py [FILE]
"""

import sys
from pathlib import Path

from tastespace.data.synthetic import power_law


def write_log(file: Path) -> None:
    """Write the rows (visitor, sku, time) of the example, always the same."""
    log = power_law(300, 120, 9000, n_tastes=6).interactions
    rows = [
        f"u-{user},sku-{item},{1_750_000_000 + 60 * minute}"
        for minute, (user, item) in enumerate(zip(log.user.tolist(), log.item.tolist(), strict=True))
    ]
    file.write_text("\n".join(["visitor,sku,time", *rows]) + "\n")


if __name__ == "__main__":
    write_log(Path(sys.argv[1] if len(sys.argv) > 1 else "events.csv"))
