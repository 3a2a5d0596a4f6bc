"""A program under strace: every connection it makes, every file it opens for writing, every program it starts."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

CALLS = (
    "%network,open,openat,openat2,creat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mknod,mknodat,"
    "memfd_create,execve,execveat,io_uring_setup,process_vm_writev,shmget"
)
_LINE = re.compile(r"(?P<call>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\d+)(?:<(?P<of>.*)>)?")
_INET = re.compile(r'sin6?_port=htons\((\d+)\).*?(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"')
_UNIX = re.compile(r'sun_path=@?"([^"]*)"')
_BOTH_WAYS = re.compile(r"TCP(?:v6)?:\[.*->\[?([^\]]+)\]?:(\d+)\]")


class Trace:
    """What a program did, all its threads and children together; runs it while entered."""

    def __init__(self, folder: Path, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self._folder = folder / "trace"
        self._folder.mkdir()
        options = ["-ff", "--seccomp-bpf", "-qq", "-yy", "-s", "256", "-e", "signal=none", "-e", f"trace={CALLS}"]
        self._command = ["strace", *options, "-o", str(self._folder / "of"), *command]
        self._environment, self._log = environment, log

    def __enter__(self) -> Trace:
        with self._log.open("ab") as log:
            self._strace = subprocess.Popen(self._command, env=self._environment, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self._strace.kill()
        self._strace.wait()

    def end(self) -> int:
        """End the program in order; give its exit code."""
        task = Path(f"/proc/{self._strace.pid}/task/{self._strace.pid}/children")
        subprocess.run(["kill", f"-{signal.SIGTERM}", task.read_text().split()[0]], check=True)
        return self._strace.wait(60)

    def calls(self, *names: str) -> Iterator[re.Match[str]]:
        """Return the calls of these names: `call`, `arguments`, `result`, and what an open file or socket `of` is."""
        for file in self._folder.iterdir():
            for line in file.read_text(errors="replace").splitlines():
                found = _LINE.match(line)
                if found and found["call"] in names:
                    yield found

    def connections(self) -> set[str]:
        """Return where it connected to, or tried to: `tcp 127.0.0.1:1883`, `udp ...`, `unix PATH`."""
        places = set()
        for made in self.calls("connect"):
            kind = "udp" if "<UDP" in made["arguments"] else "tcp"
            if inet := _INET.search(made["arguments"]):
                places.add(f"{kind} {inet[2]}:{inet[1]}")
            elif unix := _UNIX.search(made["arguments"]):
                places.add(f"unix {unix[1]}")
            else:
                places.add(made["arguments"])
        return places

    def sent(self) -> dict[str, int]:
        """Return the bytes that went over each TCP connection, by `address:port` of the other end."""
        # strace looks at a socket once: what was bound before it was connected keeps its first name.
        ends = {}
        for made in self.calls("connect"):
            if inet := _INET.search(made["arguments"]):
                ends[_name(made["arguments"])] = f"{inet[2]}:{inet[1]}"
        sums: dict[str, int] = {}
        for sent in self.calls("sendto", "sendmsg"):
            name = _name(sent["arguments"])
            other = _BOTH_WAYS.match(name)
            place = f"{other[1]}:{other[2]}" if other else ends.get(name)
            if place is not None:
                sums[place] = sums.get(place, 0) + max(0, int(sent["result"]))
        return sums

    def datagrams(self) -> set[str]:
        """Return where it sent datagrams to by address."""
        sent = self.calls("sendto", "sendmsg", "sendmmsg")
        return {f"{inet[2]}:{inet[1]}" for call in sent if (inet := _INET.search(call["arguments"]))}

    def written(self) -> set[str]:
        """Return the files that it opened for writing, made, or gave another name."""
        files = set()
        for call in self.calls("open", "openat", "openat2", "creat"):
            if int(call["result"]) >= 0 and (
                call["call"] == "creat" or re.search(r"O_(WRONLY|RDWR|CREAT|TMPFILE)", call["arguments"])
            ):
                files.add(str(call["of"]))
        for call in self.calls("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "mknod"):
            if int(call["result"]) >= 0:
                files.add(call["arguments"])
        return files

    def programs(self) -> list[str]:
        """Return the programs that were started."""
        return [
            call["arguments"].split('"')[1] for call in self.calls("execve", "execveat") if int(call["result"]) >= 0
        ]


def _name(arguments: str) -> str:
    """Return how strace names the socket that a call is about: `TCP:[...]`."""
    return arguments.partition("<")[2].partition(">, ")[0]
