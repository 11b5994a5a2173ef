"""The columns of the matrix: one client each, real and unmodified, where `tests/run` installed it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Callable

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Column:
    name: str  # as `--column` takes it
    title: str
    about: str
    command: Callable


def python_of(version, cache):
    return Path(cache) / f"hub-{version}/bin/python"


def python(version, about):
    def command(cache):
        return [python_of(version, cache), HERE / "python/column.py", "hub"]

    return Column(f"hub-{version}", f"hub {version}", f"Python `huggingface_hub` {version}, {about}", command)


def rust(package, version):
    return Column(f"hf-hub-{version}", f"hf-hub {version}", f"Rust `hf-hub` {version}",
                  lambda cache: [Path(cache) / "rust/debug/columns", package])


COLUMNS = [
    python("2.4.0", "whose large files go up by Xet"),
    python("1.25.1", "likewise"),
    python("1.18.0", "the last whose large files go up by LFS"),
    python("0.36.2", "of before 1.0, with `requests`"),
    Column("js", "@huggingface/hub", "JavaScript `@huggingface/hub` 2.17.5",
           lambda cache: ["node", HERE / "js/column.mjs", Path(cache) / "js"]),
    rust("hf-hub-1", "1.0.0"),
    rust("hf-hub-0", "0.4.3"),
    Column("libraries", "transformers, datasets", "`transformers` 5.23.0 and `datasets` 5.2.0 on `huggingface_hub` 2.4.0",
           lambda cache: [Path(cache) / "libraries/bin/python", HERE / "python/column.py", "libraries"]),
    Column("programs", "curl, aria2c", "`curl -C -` and `aria2c -x16`, as people fetch large files",
           lambda cache: ["python3", HERE / "programs.py", Path(cache) / "programs"]),
]
