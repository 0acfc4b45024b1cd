"""A day's work with lookalike, one command after another, on a machine whose only network is the loopback.

usage: python one_day.py LOOKALIKE FOLDER
LOOKALIKE is the command; FOLDER holds `pictures`, and is where everything else is written.
"""

from __future__ import annotations

import base64
import fcntl
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import urllib.request
from pathlib import Path

# From linux/sockios.h and linux/if.h: set an interface's flags; it is up.
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


def raise_loopback() -> None:
    """Switch the loopback of this network namespace on; in a new one it is off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


def work(lookalike: str, folder: Path) -> None:
    """Run the commands; whatever ends with an error ends this too."""
    store = ["--store", f"sqlite:///{folder / 'store' / 'lookalike.db'}"]
    picture = folder / "pictures" / "global" / "textile_0001.jpg"

    def run(*words: str | Path) -> None:
        subprocess.run([lookalike, *map(str, words), *store], check=True, cwd=folder / "store")

    run("index", folder / "pictures")
    run("search", picture)
    run("search", "a red car")
    run("classify", picture, "--by", "label", "-k", "1")
    run("evaluate", "--by", "label", "--report", folder / "report.html")
    run("fit", "--by", "label")
    run("audit", "--by", "label")
    subprocess.run([lookalike, "embed", picture], check=True, cwd=folder / "store")
    subprocess.run([sys.executable, "-m", "lookalike", "models"], check=True, cwd=folder / "store")
    serving = subprocess.Popen(
        [lookalike, "serve", "--port", "0", *store], stdout=subprocess.PIPE, text=True, cwd=folder / "store"
    )
    assert serving.stdout is not None
    said = ""
    while (found := re.search(r"http://[\w.:\[\]]+", said)) is None:
        line = serving.stdout.readline()
        assert line, f"the service ended: {said}"
        said += line
    data = f"data:image/jpeg;base64,{base64.b64encode(picture.read_bytes()).decode()}"
    asked = json.dumps({"by": "label", "images": [data]}).encode()
    at = f"{found[0]}/v1/collections/images/classify"
    request = urllib.request.Request(at, asked, {"Content-Type": "application/json"})
    for wanted in (f"{found[0]}/", f"{found[0]}/v1/collections", request):
        with urllib.request.urlopen(wanted, timeout=60) as answer:
            assert answer.status == 200
    serving.send_signal(signal.SIGTERM)
    serving.communicate(timeout=60)
    assert serving.returncode == 0


if __name__ == "__main__":
    raise_loopback()
    work(sys.argv[1], Path(sys.argv[2]))
