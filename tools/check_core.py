"""The core installation, without any extra: each command that needs none works, and each other one says what it needs.

Run by the interpreter of an environment that holds the core alone: ``make core``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec

EXTRAS = ("openfhe", "nacl", "safetensors", "tokenizers", "gguf", "jax", "distributed", "prometheus_client")
WORKS = (
    ["--version"],
    ["estimate", "--protocol", "folded", "--explain"],
    ["sweep", "--table", "gpt2", "--ring", "N=4096,p=13,q=38:41", "--output", "sweep.csv", "--jobs", "2"],
    ["optimize", "--table", "gpt2", "--protocol", "cheetah", "--packing", "4", "--max-error", "9"],
    ["claims", "--match", "table-6"],
    ["plot", "bandwidth", "--table", "gpt2", "--output", "bandwidth.png"],
)
SHOWN = "import fastquery as fq; print(fq.estimate(table='gpt2', protocol='cheetah')._repr_html_())"
"""A result as a notebook shows it: templates are installed, too."""
REFUSED = (
    (["run", "--table", "300x24"], "[he]"),
    (["serve", "--table", "300x24", "--listen", "127.0.0.1:0"], "[he]"),
    (["quantize", "--table", "300x24"], "'data' extra"),
    (["sweep", "--scheduler", "tcp://127.0.0.1:1"], "[cluster]"),
)
"""Commands, and the extra that their one line names."""


def executed(arguments: list[str], folder: str) -> subprocess.CompletedProcess[str]:
    """Run the interpreter with arguments in a folder."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def main() -> int:
    """Try every command; 0 only if each did as it must."""
    found = [name for name in EXTRAS if find_spec(name)]
    if found:
        print(f"this environment is not the core alone: it has {', '.join(found)}")
        return 2
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for arguments in (*(["-m", "fastquery", *one] for one in WORKS), ["-c", SHOWN]):
            done = executed(arguments, folder)
            held = done.returncode == 0 and bool(done.stdout)
            wrong += not held
            print(f"{'works' if held else 'FAILS'}: python {' '.join(arguments)}{'' if held else done.stderr}")
        for arguments, extra in REFUSED:
            done = executed(["-m", "fastquery", *arguments], folder)
            lines = done.stderr.splitlines()
            held = done.returncode in (1, 2) and len(lines) == 1 and extra in lines[0]
            wrong += not held
            print(f"{'refused' if held else 'NOT refused'}: fastquery {' '.join(arguments)}: {done.stderr.strip()}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
