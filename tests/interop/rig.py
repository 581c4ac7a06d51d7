"""What every scenario stands on: processes that are always stopped, ports, waiting, namespaces.

A `Rig` is one scenario's private folder and everything that runs in it. Used as a context manager
it stops all of it, by pid, whatever happened. Nothing here knows SIP or Sallyport.
"""
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

O = os.environ.get("O", "build")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, O)


class Failure(Exception):
    """A scenario did not go as its story says."""


def wait_until(condition, seconds, what, step=0.02):
    """Returns the first true value of condition(), or raises Failure."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"not within {seconds:g} s: {what}")
        time.sleep(step)


class Ports:
    """Hands out ports of 16000-19999, each once per run: below those that the kernel gives to
    outgoing connections, one of which could connect to itself where nobody listens yet. Single ports
    are free right now; a range for media may have a port taken here and there by others, which its
    user steps over."""
    lock = threading.Lock()
    next = 16000 + os.getpid() % 50 * 40

    @classmethod
    def take(cls, count=2):
        with cls.lock:
            for _ in range(2000):
                if cls.next + count > 20000:
                    cls.next = 16000
                first = cls.next
                taken = sum(not cls.is_free(first + i) for i in range(count))
                if taken <= count // 10:
                    cls.next += count
                    return first
                cls.next += 2
            raise Failure(f"no {count} free ports between 16000 and 19999")

    @staticmethod
    def is_free(port):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                if kind == socket.SOCK_STREAM:  # a connection that has ended is no obstacle
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    return False
        return True


@contextlib.contextmanager
def inside(netns):
    """Sockets made in this block belong to the network namespace (None: where we are)."""
    if netns is None:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(path):
        fd = os.open(path, os.O_RDONLY)
        try:
            if libc.setns(fd, 0x40000000) != 0:
                raise OSError(ctypes.get_errno(), f"setns {path}")
        finally:
            os.close(fd)

    home = f"/proc/self/task/{threading.get_native_id()}/ns/net"
    kept = os.open(home, os.O_RDONLY)
    try:
        enter(f"/run/netns/{netns}")
        yield
    finally:
        libc.setns(kept, 0x40000000)
        os.close(kept)


class Process:
    """A program with its output in a file. Its folder is the rig's unless another is given."""
    log_from, log_to = "", ""  # what stands outside of these in the log is of no interest

    def __init__(self, rig, name, command, netns=None, folder=None, env=None, stdin=None,
                 stdout=None):
        self.rig, self.name, self.netns = rig, name, netns
        self.log_path = os.path.join(rig.folder, name + ".log")
        command = [str(word) for word in command]
        if netns:
            command = ["ip", "netns", "exec", netns, *command]
        with open(self.log_path, "ab") as log:
            self.child = subprocess.Popen(
                command, stdin=stdin or subprocess.DEVNULL, stdout=stdout or log, stderr=log,
                cwd=folder or rig.folder, env={**os.environ, **(env or {})},
                start_new_session=True)
        self.pid = self.child.pid
        rig.started.append(self)
        rig.logs[self.log_path] = (self.log_from, self.log_to)

    def is_running(self):
        return self.child.poll() is None

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def wait_log(self, text, seconds=5):
        def look():
            if text in self.log():
                return True
            if not self.is_running():
                raise Failure(f"{self.name} ended before it said {text!r}")
            return False
        wait_until(look, seconds, f"{self.name} says {text!r}")

    def wait_exit(self, seconds):
        """The exit code; raises Failure when it does not end."""
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} still runs after {seconds:g} s") from None

    def stop(self, how=signal.SIGTERM, seconds=5):
        """Asks it to end, kills it when it does not; the exit code, negative for a signal."""
        if self.is_running():
            self.child.send_signal(how)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode


class Rig:
    """A scenario's folder, processes and clean-up."""

    def __init__(self, name, netns=None):
        self.name, self.netns = name, netns
        self.folder = tempfile.mkdtemp(prefix=f"sallyport-{name}-")
        self.started = []
        self.logs = {}
        self.problems = []  # found while stopping: sanitizer reports, wrong exit codes

    def path(self, *names):
        path = os.path.join(self.folder, *names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", opener=lambda *args: os.open(*args, mode)) as file:
            file.write(text)
        return self.path(name)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.stop()
        return False

    def stop(self):
        while self.started:
            thing = self.started.pop()
            try:
                thing.stop()
            except Exception as problem:  # the others must be stopped all the same
                self.problems.append(f"{thing.name}: {problem}")

    def tails(self, lines=25):
        """The last lines of every log of this scenario, for the report of a failure."""
        out = []
        for path, (start, end) in self.logs.items():
            with open(path, errors="replace") as log:
                text = log.read()
            text = text.split(start, 1)[-1] if start else text
            text = text.split(end, 1)[0] if end else text
            out.append(f"  ---- {os.path.basename(path)}")
            out += ["  " + line[:300] for line in text.strip().splitlines()[-lines:]]
        return "\n".join(out)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)
