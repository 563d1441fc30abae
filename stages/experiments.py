"""What was tried since the last commit: the figures of each experiment and the params that it changed.

dvc exp show has a column for every param and figure, which fits no screen.
"""

from pathlib import Path
from textwrap import wrap

import yaml
from dvc.api import exp_show

from happysad.common.cli import run

FIGURES = [
    f"metrics/{split}.json:{metric}"
    for split in ("validation", "test")  # in this order: choose by the first
    for metric in ("balanced_accuracy", "roc_auc")
]
HEADER = f"{'':18}{'validation':20}test\n{'':18}{'balanced  roc_auc   ' * 2}changed params"
WIDTH = 100  # characters


def main(root: Path) -> None:
    settings = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    groups = {name: group for name, group in settings.items() if isinstance(group, dict)}
    print(table(exp_show(repo=str(root)), [f"{name}.{key}" for name in groups for key in groups[name]]))


def table(rows: list[dict], params: list[str]) -> str:
    """``rows`` are those of dvc.api.exp_show: the workspace, the last commit, and the experiments that began from it."""
    lines = [HEADER]
    for row in rows:
        figures = [f"{row[name]:.3f}" if isinstance(row.get(name), float) else "-" for name in FIGURES]
        start = f"{(row['Experiment'] or row['rev'])[:17]:18}{''.join(f'{x:10}' for x in figures)}"
        changed = {name: row[name] for name in params if row[name] != rows[1][name]}
        text = start + " ".join(f"{name}={in_short(value)}" for name, value in changed.items())
        lines += wrap(text, WIDTH, subsequent_indent=" " * len(start), break_on_hyphens=False)
    return "\n".join(lines)


def in_short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).replace(" ", "")


if __name__ == "__main__":
    run(main)
