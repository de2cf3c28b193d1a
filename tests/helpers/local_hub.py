"""Data sets in folders, as the hub lays them out."""

from pathlib import Path

import datasets


def local_hub(folder: Path, rows: dict[str, list[dict]], split: str) -> str:
    """A data set folder: parquet files, and a README that names each configuration's."""
    lines = ["---", "configs:"]
    for config, examples in rows.items():
        datasets.Dataset.from_list(examples).to_parquet(str(folder / config / f"{split}.parquet"))
        lines += [
            f"- config_name: {config}",
            "  data_files:",
            f"  - split: {split}",
            f"    path: {config}/{split}.parquet",
        ]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))
    return str(folder)
