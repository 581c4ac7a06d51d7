"""Sallyport itself, as an operator runs it: realms, enrolment files, settings, `sallyport run`.

What the tests know of its command line, settings and status is all in this file.
"""
import json
import os
import signal
import subprocess
import time
import urllib.request

from rig import BUILD, ROOT, Failure, Ports, Process, inside, wait_until

SANITIZER_MARKS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
                   "WARNING: ThreadSanitizer", "AddressSanitizer:DEADLYSIGNAL")
# The link order is not looked at, since faketime stands before everything.
SANITIZER_OPTIONS = {"ASAN_OPTIONS": "detect_leaks=1:verify_asan_link_order=0",
                     "UBSAN_OPTIONS": "print_stacktrace=1"}


def binary():
    path = os.path.join(BUILD, "sallyport")
    if not os.access(path, os.X_OK):
        raise Failure(f"{path} is not built")
    return path


def run_tool(*args, seconds=10):
    """Runs `sallyport ARGS…` to its end and returns its standard output."""
    done = subprocess.run([binary(), *map(str, args)], capture_output=True, text=True,
                          timeout=seconds)
    if done.returncode != 0:
        raise Failure(f"sallyport {' '.join(map(str, args))}: exit code {done.returncode}: "
                      f"{(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def word_list(words):
    """As settings write lists: { "a", "b" }."""
    return "{ " + ", ".join(f'"{word}"' for word in words) + " }"


class Realm:
    """A realm made for one scenario, with the addresses of its supernodes."""

    def __init__(self, rig, supernodes=(), name="test.example"):
        self.rig, self.supernodes = rig, list(supernodes)
        self.folder = os.path.join(rig.folder, "realm")
        run_tool("realm", "new", "--realm", self.folder, "--name", name)

    def enrol(self, site, roles=("gateway",), numbers=()):
        out = self.rig.path(f"{site}.enrol")
        args = ["realm", "enrol", "--realm", self.folder, "--site", site, "--out", out]
        for number in numbers:
            args += ["--number", number]
        for role in roles:
            args += ["--role", role]
        for supernode in self.supernodes:
            args += ["--supernode", supernode]
        run_tool(*args)
        return out


class Sallyport(Process):
    """A running node. `phones` makes it a gateway; `listen` ("host:port") a hub."""

    def __init__(self, rig, name, enrolment=None, roles=(), listen=None, phones=(), routes=None,
                 codecs=None, extra="", address="127.0.0.1", netns=None,
                 secret="secret", udp=True, sip_port=None, media_ports=200, media_extra="",
                 sip_extra="", overlay_extra=""):
        self.node, self.address = name, address
        self.admin_port = Ports.take(2)
        self.sip_port = sip_port or (Ports.take(2) if phones else None)
        self.server = f"{address}:{self.sip_port}"
        lines = [f'state_dir = "{rig.path(name + ".state", "")}"',
                 f'admin {{ listen = "{address}:{self.admin_port}" }}']
        if enrolment:
            lines.append(f'realm {{ enrolment = "{enrolment}" }}')
            overlay = f"overlay {{ roles = {word_list(roles)}"
            overlay += f'\n  listen = "{listen}"' if listen else ""
            overlay += "" if udp else "\n  udp = false"
            overlay += f"\n  {overlay_extra}" if overlay_extra else ""
            lines.append(overlay + "\n}")
        if phones:
            media_port = Ports.take(media_ports)
            lines.append(f'sip {{ listen = {{ "udp:{self.server}", "tcp:{self.server}" }}\n'
                         f'  domain = "{name}.example"  {sip_extra} }}')
            lines.append(f'media {{ ports = "{media_port}-{media_port + media_ports - 1}"\n'
                         f'  {media_extra}' +
                         (f"\n  codecs = {word_list(codecs)}" if codecs else "") + " }")
        for phone in phones:
            rig.write(f"secrets/{phone}", secret + "\n", 0o600)
            lines.append(f'phone "{phone}" {{ secret_file = "secrets/{phone}" }}')
        for route, (match, to) in (routes or {}).items():
            lines.append(f'route "{route}" {{ match = "{match}"  to = "{to}" }}'
                         .replace("\\", "\\\\"))
        self.settings = rig.write(f"{name}.conf", "\n".join(lines) + "\n" + extra)
        self.ended = False  # by our doing
        super().__init__(rig, name, self.start_command(), netns=netns, env=SANITIZER_OPTIONS)

    def start_command(self):
        return [binary(), "run", "-c", self.settings]

    # -- what the node says of itself ---------------------------------------------------------

    def ask(self, what):
        """Its answer to GET /status or /calls, or {} while it does not answer."""
        try:
            with inside(self.netns):
                with urllib.request.urlopen(
                        f"http://{self.address}:{self.admin_port}/{what}", timeout=2) as answer:
                    return json.load(answer)
        except (OSError, ValueError):
            return {}

    def supernodes(self):
        """What it says of the supernodes that it holds a connection to."""
        return (self.ask("status").get("overlay") or {}).get("supernodes", [])

    def attached(self):
        """How many these are."""
        return len(self.supernodes())

    def clients(self):
        """How many nodes hold a connection to this supernode."""
        return (self.ask("status").get("overlay") or {}).get("clients", 0)

    def wait_records(self, count, seconds=5):
        """Until so many names (sites and prefixes) are known to this supernode."""
        wait_until(lambda: (self.ask("status").get("overlay") or {}).get("records", 0) >= count,
                   seconds, f"{self.node} knows {count} names")

    def why(self, call="last"):
        """The story of a call, as `sallyport why` prints it."""
        return run_tool("why", call, "--admin", f"{self.address}:{self.admin_port}")

    def live_calls(self):
        return self.ask("calls").get("live", [])

    def last_call(self, seconds=3):
        """What it says of the call that ended last."""
        return wait_until(lambda: self.ask("calls").get("ended"), seconds,
                          f"{self.node} tells of a call that ended")[0]

    def path(self):
        """The path that the voice of the first call takes, in the node's own words."""
        paths = [call["path"] for call in self.live_calls() if call.get("path")]
        return paths[0] if paths else "unknown"

    def wait_ready(self, attached=0, seconds=10):
        def ready():
            if not self.is_running():
                raise Failure(f"{self.node} ended at its start:\n{self.log()[-500:]}")
            return self.ask("status") and self.attached() >= attached
        wait_until(ready, seconds, f"{self.node} is up and attached to {attached} supernodes", 0.05)
        return self

    # -- its life -----------------------------------------------------------------------------

    def restart(self):
        """Stops it as an operator would and starts it again with the same settings."""
        self.stop()
        return self.start_again()

    def start_again(self):
        """After stop or kill."""
        self.rig.started.remove(self)
        self.ended = False
        Process.__init__(self, self.rig, self.node, self.start_command(), netns=self.netns,
                         env=SANITIZER_OPTIONS)
        return self

    def kill(self):
        """As when the power goes."""
        self.ended = True
        self.child.kill()
        self.child.wait()

    def stop(self, how=signal.SIGTERM, seconds=8):
        """Stops it; an exit code other than 0 and reports of sanitizers become problems."""
        if self.ended:
            return self.child.returncode
        was_running, self.ended = self.is_running(), True
        code = super().stop(how, seconds)
        log = self.log()
        marks = [log.index(mark) for mark in SANITIZER_MARKS if mark in log]
        if marks:
            self.complain(f"{self.node}: {log[min(marks):min(marks) + 300]}")
        if code != 0:
            self.complain(f"{self.node}: exit code {code} " +
                          ("after being asked to stop" if was_running else "all by itself"))
        return code

    def complain(self, problem):
        if problem not in self.rig.problems:
            self.rig.problems.append(problem)


def rss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Rss:"):
                return int(line.split()[1])
    return 0


class NativePeer(Process):
    """`sallyport call`: the peer without SIP."""

    def __init__(self, rig, name, enrolment, target=None, play=None, record=None, seconds=None,
                 answer=False, echo=False, netns=None):
        command = [binary(), "call", "--enrolment", enrolment]
        command += ["--answer"] if answer else [target]
        command += ["--echo"] if echo else []
        command += ["--play", play] if play else []
        command += ["--record", record] if record else []
        command += ["--seconds", seconds] if seconds else []
        super().__init__(rig, name, command, netns=netns)


class TwoSites:
    """A supernode and the gateways berlin (phones 2xx) and paris (phones 3xx).

    From either site 8NNN dials NNN at the other site, 600 is the echo service.
    """

    def __init__(self, rig, berlin=("201", "202"), paris=("301", "302"), **more):
        self.rig = rig
        address = f"127.0.0.1:{Ports.take(2)}"
        self.realm = Realm(rig, [address])
        self.supernode = Sallyport(
            rig, "hub", self.realm.enrol("hub", roles=("supernode", "relay")),
            roles=("supernode", "relay"), listen=address)
        self.supernode.wait_ready()
        echo = ("^600$", "service:echo")
        self.berlin = Sallyport(
            rig, "berlin", self.realm.enrol("berlin", numbers=("+4930123",)), roles=("gateway",),
            phones=berlin,
            routes={"paris": ("^8([0-9]+)$", "overlay:\\1@paris"), "echo": echo}, **more)
        self.paris = Sallyport(
            rig, "paris", self.realm.enrol("paris", numbers=("+33155",)), roles=("gateway",),
            phones=paris,
            routes={"berlin": ("^8([0-9]+)$", "overlay:\\1@berlin"), "echo": echo}, **more)
        self.berlin.wait_ready(attached=1)
        self.paris.wait_ready(attached=1)
        self.supernode.wait_records(4)  # a name and a prefix of each


def settle(seconds):
    """Lets sound flow; the only sleep that stories use."""
    time.sleep(seconds)
