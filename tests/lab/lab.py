"""The lab: Sallyport's sites in network namespaces, with a real phone at each.

A `Lab` used as a context manager stops all it started and removes its namespaces, whatever
happened. Only one lab runs at a time on a machine: a second one waits for its turn.
"""
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
from rig import Failure, Rig  # noqa: E402

HUB = "198.18.0.11:443"


def netlab(*args):
    done = subprocess.run([os.path.join(HERE, "netlab"), *map(str, args)], capture_output=True,
                          text=True)
    if done.returncode != 0:
        raise Failure(f"netlab {' '.join(map(str, args))}: {done.stderr.strip()}")
    return done.stdout.strip()


class Site:
    """A gateway in a namespace of its own, and its phone."""

    def __init__(self, lab, name, kind, number):
        self.lab, self.name, self.kind, self.number = lab, name, kind, number
        if kind == "open":
            netlab("host", name, 20 + number)
        else:
            netlab("site", name, number, kind)
        self.address = netlab("address", name)
        self.freq = 400 + 40 * number
        self.phone = None
        self.gateway = Sallyport(
            lab.rig, name, lab.realm.enrol(name), roles=("gateway",), phones=("10",),
            address=self.address, netns="sp-" + name, sip_port=5060,
            routes={"sites": ("^8[.]([a-z]+)[.]([0-9]+)$", "overlay:\\2@\\1")})

    def start_phone(self, codec="pcma", play=None):
        play = play or ear.make_tone(self.lab.rig, self.freq, ear.RATES[codec])
        self.phone = Baresip(self.lab.rig, "10", self.gateway.server, codecs=[codec], play=play,
                             address=self.address, netns="sp-" + self.name)
        self.codec = codec
        return self.phone

    def ready(self):
        """Waits until the gateway is attached and the phone registered."""
        self.gateway.wait_ready(attached=1, seconds=20)
        self.phone.wait_registered()
        self.lab.hub.wait_records(len(self.lab.sites))


class Lab:
    """One supernode on the open internet, and sites of all kinds."""

    def __init__(self, name):
        if os.geteuid() != 0:
            sys.exit("The lab makes network namespaces and must be run as root: try sudo.")
        self.lock = open("/run/sallyport-lab.lock", "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("Another lab runs on this machine; waiting for it to end.", flush=True)
            fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.rig = Rig(name)
        self.sites = {}

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        signal.signal(signal.SIGHUP, lambda *_: sys.exit(1))
        try:
            netlab("up")
            netlab("host", "hub", 11)
            self.realm = Realm(self.rig, [HUB])
            self.hub = Sallyport(
                self.rig, "hub", self.realm.enrol("hub", roles=("supernode", "relay")),
                roles=("supernode", "relay"), listen=HUB, netns="sp-hub").wait_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.rig.stop()
        netlab("down")
        self.lock.close()
        return False

    def site(self, name, kind):
        self.sites[name] = Site(self, name, kind, len(self.sites) + 1)
        return self.sites[name]

    def problems(self):
        return self.rig.problems


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

    def path(self):
        """What the two gateways say about the way of the voice, in a word or two."""
        paths = {site.gateway.path() for site in (self.caller, self.callee)}
        if all(path.startswith("udp ") for path in paths):
            return "direct, UDP"
        return " / ".join(sorted(paths))

    def end(self):
        self.caller.phone.hangup()
        self.callee.phone.close_reason(3, self.since)
        self.caller.phone.close_reason(3, self.since)
