"""The lab: Sallyport's sites in network namespaces, with a real phone at each.

A `Lab` used as a context manager stops all it started and removes its namespaces, whatever
happened. Only one lab runs at a time on a machine: a second one waits for its turn.
"""
import concurrent.futures
import fcntl
import os
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "interop"))

import ear  # noqa: E402
from node import Realm, Sallyport  # noqa: E402
from phones import Baresip  # noqa: E402
from rig import Failure, Rig, wait_until  # noqa: E402

ROUTE = ("^8[.]([a-z]+)[.]([0-9]+)$", "overlay:\\2@\\1")


def netlab(*args):
    done = subprocess.run([os.path.join(HERE, "netlab"), *map(str, args)], capture_output=True,
                          text=True)
    if done.returncode != 0:
        raise Failure(f"netlab {' '.join(map(str, args))}: {done.stderr.strip()}")
    return done.stdout.strip()


def way_of(path):
    """What a gateway says of a path, in a word: "udp", "tcp" (direct), "relay" or "unknown"."""
    return path.split(" ")[0]


class Hub(Sallyport):
    """A supernode and relay on the open internet, known by a name with an IPv4 and an IPv6
    address."""

    def __init__(self, lab, number):
        self.host = f"hub{number}.test"
        netlab("host", f"hub{number}", 10 + number, "dual")
        super().__init__(
            lab.rig, f"hub{number}", lab.realm.enrol(f"hub{number}", roles=("supernode", "relay")),
            roles=("supernode", "relay"), listen="[::]:443", netns=f"sp-hub{number}",
            overlay_extra=f'advertise = "{self.host}:443"')

    def fellows(self):
        return sum(supernode["kind"] == "fellow" for supernode in self.supernodes())


class Site:
    """A gateway in a namespace of its own, and its phone.

    `kind` is "open" (a public host), a type of router (see netlab), or "lan": a host in the LAN of
    the site `beside`. With `line` its line to the internet is netemu's from the beginning. Its
    certificate grants `granted`, where that is more than its `roles`.
    """

    def __init__(self, lab, name, kind, number, beside=None, line=None, phones=("10",),
                 media_extra="", overlay_extra="", roles=("gateway",), granted=None):
        self.lab, self.name, self.kind, self.number = lab, name, kind, number
        if kind == "open":
            netlab("host", name, 20 + number)
            self.phones_address = f"10.20.{20 + number}.1"
        else:
            if kind == "lan":
                netlab("neighbour", name, number, beside.name)
            else:
                netlab("site", name, number, kind)
            self.phones_address = f"10.20.{number}.1"
        if line:
            netlab("emu", name, line)
        if kind == "proxy":
            overlay_extra += f'\n  proxy = "10.10.{number}.1:3128"'
        self.address = netlab("address", name)
        self.freq = 400 + 40 * number
        self.phone = None
        self.gateway = Sallyport(
            lab.rig, name, lab.realm.enrol(name, roles=granted or roles), roles=roles, phones=phones,
            listen="0.0.0.0:443" if kind == "open" else None, address=self.phones_address,
            netns="sp-" + name, sip_port=5060, media_ports=40, media_extra=media_extra,
            overlay_extra=overlay_extra, routes={"sites": ROUTE})

    def start_phone(self, codec="pcma", play=None):
        play = play or ear.make_tone(self.lab.rig, self.freq, ear.RATES[codec])
        self.phone = Baresip(self.lab.rig, "10", self.gateway.server, codecs=[codec], play=play,
                             address=self.phones_address, netns="sp-" + self.name)
        self.codec = codec
        return self.phone

    def ready(self):
        """Waits until the gateway is attached and the phone registered."""
        self.gateway.wait_ready(attached=min(2, len(self.lab.hubs)), seconds=30)
        if self.phone:
            self.phone.wait_registered()

    def home(self):
        """The hub that it is at home with."""
        for supernode in self.gateway.supernodes():
            if supernode["kind"] == "home":
                return next((hub for hub in self.lab.hubs
                             if supernode["address"].startswith(hub.host)), None)
        return None


class Lab:
    """Supernodes on the open internet, and sites of all kinds."""

    def __init__(self, name, hubs=3):
        if os.geteuid() != 0:
            sys.exit("The lab makes network namespaces and must be run as root: try sudo.")
        self.lock = open("/run/sallyport-lab.lock", "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("Another lab runs on this machine; waiting for it to end.", flush=True)
            fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.rig = Rig(name)
        self.hub_count, self.hubs, self.sites = hubs, [], {}

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        signal.signal(signal.SIGHUP, lambda *_: sys.exit(1))
        numbers = range(1, self.hub_count + 1)
        try:
            netlab("up")
            for number in numbers:
                netlab("name", f"hub{number}.test", 10 + number)
            self.realm = Realm(self.rig, [f"hub{number}.test:443" for number in numbers])
            self.hubs = [Hub(self, number) for number in numbers]
            self.wait_hubs()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.rig.stop()
        netlab("down")
        self.lock.close()
        return False

    def wait_hubs(self, seconds=20):
        """Until all of them know each other."""
        for hub in self.hubs:
            hub.wait_ready()
            wait_until(lambda hub=hub: hub.fellows() >= len(self.hubs) - 1, seconds,
                       f"{hub.node} knows the other hubs")

    def hub_of(self, path):
        """The hub that a path is relayed by."""
        return next((hub for hub in self.hubs
                     if hub.host in path or hub_address(hub) in path), None)

    def site(self, name, kind, **more):
        self.sites[name] = Site(self, name, kind, len(self.sites) + 1, **more)
        return self.sites[name]

    def start_phones(self, codecs):
        """A phone at each site, some at a time; codecs are dealt out in turn."""
        sites = list(self.sites.values())
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda pair: pair[1].start_phone(codecs[pair[0] % len(codecs)]),
                          enumerate(sites)))

    def ready(self):
        for site in self.sites.values():
            site.ready()
        for hub in self.hubs:
            hub.wait_records(len(self.sites), seconds=10)

    def problems(self):
        return self.rig.problems


def hub_address(hub):
    return f"198.18.0.{10 + int(hub.node[3:])}:"


class Call:
    """A call between the phones of two sites and what can be told of it afterwards."""

    def __init__(self, caller, callee):
        self.caller, self.callee = caller, callee
        target = f"sip:8.{callee.name}.10@{caller.gateway.server}"
        self.since = caller.phone.dial(target)
        rang, _ = callee.phone.wait_event("CALL_INCOMING", 5, self.since)
        caller.phone.wait_event("CALL_RINGING", 2, self.since)
        self.ring_ms = 1000 * (rang - self.since)
        self.answered = callee.phone.answer()
        caller.phone.wait_event("CALL_ESTABLISHED", 5, self.since)

    def first_voice_ms(self, site, seconds=5):
        """From the answer to the first voice at this phone."""
        at, _ = site.phone.wait_event("CALL_RTPESTAB", seconds, self.since)
        return 1000 * (at - self.answered)

    def paths(self):
        """What the caller's gateway says about the way of the voice, and what the callee's says."""
        return [site.gateway.path() for site in (self.caller, self.callee)]

    def path(self):
        """Both in a word or two."""
        paths = self.paths()
        if all(way_of(path) == "udp" for path in paths):
            return "direct, UDP"
        return " / ".join(sorted(set(paths)))

    def end(self):
        self.caller.phone.hangup()
        self.callee.phone.close_reason(3, self.since)
        self.caller.phone.close_reason(3, self.since)

