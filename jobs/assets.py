"""The command ``assets``: what there is, and bringing it into the cache ahead of a job."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from pipeline import assets
from pipeline.assets import ASSETS, AssetError


def list_assets(console: Console) -> None:
    """Print every asset: name, size, licence, purpose, sources and where its verified copy is."""
    rows = assets.rows()
    table = Table(title=f"assets, cached in {assets.cache_folder()}", show_lines=False)
    for column in rows[0]:
        table.add_column(column, overflow="fold", justify="right" if column == "megabytes" else "left")
    for row in rows:
        table.add_row(*row.values())
    console.print(table)


def fetch_assets(names: Sequence[str], console: Console) -> int:
    """Fetch assets (all when no name is given), each verified; gives the number of those that cannot be had."""
    failed = 0
    for name in names or ASSETS:
        try:
            console.print(f"{name}: {assets.fetch(name)}", markup=False, highlight=False, soft_wrap=True)
        except AssetError as error:
            failed += 1
            console.print(f"{name}: {error}", markup=False, highlight=False, soft_wrap=True)
    return failed
