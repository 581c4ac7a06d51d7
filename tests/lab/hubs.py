"""Supernodes come and go under steady calling: what the calls have of it, and how the realm heals.

A scenario is a function that makes it happen once and returns its figures, {name of a row: value};
a list is a value of each part of it. ROWS says what each row means, SCENARIOS in which world a
scenario plays and which rows it fills.
"""
import concurrent.futures
import time

from lab import Failure, netlab
from rig import wait_until
from table import Row
from talk import now_ms
from traffic import USERS, Traffic, Window

MEDIA = 'codecs = { "pcma" }\n  peer_codecs = { "pcma" }'  # frames come through unchanged
WATCHED = 5  # seconds after an event
HELD = 4
WHOLE_WITHIN = 120
NEVER = float("nan")


def call_rows(name, relayed_limit=None):
    """What calls have of an event."""
    return {
        f"{name}, lost": Row("  calls in progress lost", unit="", limit=0),
        f"{name}, gap": Row("  calls in progress: longest gap", limit=0),
        f"{name}, relayed": Row("  those that it relayed: longest gap", limit=relayed_limit,
                                chance=True),
        f"{name}, setup": Row("  calls being set up lost", unit="", limit=0),
        f"{name}, failing": Row("  new calls fail until", limit=1000),
        f"{name}, failed": Row("  new calls that failed", unit=""),
        f"{name}, slowest": Row("  the slowest new call rang after"),
        f"{name}, voice": Row("  and was heard at both ends, from the answer, after"),
    }


ROWS = {
    "calm, lost": Row("nothing happens for 10 s: calls lost or failed", unit="", limit=0),
    "calm, gap": Row("  longest gap", limit=0),
    "calm, slowest": Row("  the slowest call rang after"),
    "one": Row("a supernode killed (-9): all are attached twice again after"),
    **call_rows("one", relayed_limit=200),
    "two": Row("two killed at once: all are attached again after"),
    **call_rows("two"),
    "restart": Row("rolling restart: a supernode is away for"),
    **call_rows("restart", relayed_limit=0),
    "restart, failed": Row("  new calls that failed", unit="", limit=0),
    "silent": Row("a supernode's cable is cut: all other supernodes know after", limit=2000),
    "silent, nodes": Row("  all that were attached to it know after"),
    **call_rows("silent"),
    "grow": Row("a realm of two with a candidate: invited after"),
    "grow, serves": Row("  from then on until the other supernodes know it", limit=2000),
    "grow, known": Row("  until all other nodes do"),
    "grow, used": Row("one of the two killed: a node is attached to the new one after"),
    **call_rows("grow"),
    "alone": Row("the other one killed: the new one alone serves all after"),
    **call_rows("alone"),
    "alone, calls": Row("  calls that failed in 5 s thereafter", unit="", limit=0),
}


class World:
    """A realm with steady calling; to be left with `close`."""

    def __init__(self, lab, sites):
        self.lab = lab
        self.sites = [lab.site(name, kind, phones=USERS, media_extra=MEDIA, **more)
                      for name, kind, more in sites]
        lab.ready()
        self.traffic = Traffic(self.sites)
        self.traffic.__enter__()
        time.sleep(5)

    def close(self):
        self.traffic.__exit__(None, None, None)

    def nodes(self):
        return [*self.lab.hubs, *(site.gateway for site in self.sites)]

    def relayed_by(self, hubs):
        """The calls that one of these relays now, as the one or the other of their sites says: who
        calls whom, as USER@SITE."""
        def ask(site):
            return [tuple(end if "@" in end else f"{end}@{site.name}"
                          for end in (call["from"], call["to"]))
                    for call in site.gateway.live_calls()
                    if self.lab.hub_of(call.get("path") or "") in hubs]
        with concurrent.futures.ThreadPoolExecutor(len(self.sites)) as pool:
            return {call for calls in pool.map(ask, self.sites) for call in calls}

    def is_attached(self, node, hub):
        return any(one["address"].startswith(hub.host) for one in node.supernodes())

    def wait_whole(self, seconds=WHOLE_WITHIN):
        """Until all are attached twice, and all supernodes linked; when that was."""
        def is_whole():
            return all(hub.fellows() >= len(self.lab.hubs) - 1 for hub in self.lab.hubs) and \
                all(site.gateway.attached() >= 2 for site in self.sites)
        try:
            wait_until(is_whole, seconds, "all are attached twice again", step=0.1)
            return now_ms()
        except Failure as failure:
            print(f"     {failure}", flush=True)
            for site in self.sites:
                if site.gateway.attached() < 2:
                    print(f"     {site.name} is attached to {site.gateway.attached()}", flush=True)
            return NEVER


def watch(world, name, hubs, happen, until=lambda: time.sleep(WATCHED)):
    """Lets it befall these supernodes, watches the calls, and tells what they had of it."""
    world.traffic.wait_up(len(world.sites) - 1)
    relayed = world.relayed_by(hubs)
    at_ms = now_ms()
    world.traffic.hold(HELD)
    happen()
    until()
    window = Window(world.traffic, at_ms, now_ms())
    window.tell()
    by_them = [one for one in window.up if one.ends() in relayed]
    others = [one for one in window.up if one not in by_them]
    print(f"     {len(window.up)} calls in progress, {len(by_them)} of them relayed by "
          f"{' and '.join(hub.node for hub in hubs)}; {len(window.in_setup)} being set up, "
          f"{len(window.new)} new", flush=True)
    figures = {
        f"{name}, lost": len(window.lost()),
        f"{name}, gap": window.gap_ms(others),
        f"{name}, setup": len(window.lost_in_setup()),
        f"{name}, failing": window.failing_ms(),
        f"{name}, failed": len(window.failed()),
        f"{name}, slowest": window.slowest_ring_ms(),
        f"{name}, voice": window.slowest_voice_ms(),
    }
    if by_them:
        figures[f"{name}, relayed"] = window.gap_ms(by_them)
    return at_ms, figures


# ---- scenarios -----------------------------------------------------------------------------------

def calm(world, run):
    del run
    at_ms = now_ms()
    time.sleep(10)
    window = Window(world.traffic, at_ms, now_ms())
    window.tell()
    return {"calm, lost": len(window.lost() + window.lost_in_setup() + window.failed()),
            "calm, gap": window.gap_ms(window.up),
            "calm, slowest": window.slowest_ring_ms()}


def killed(name, count):
    def scenario(world, run):
        hubs = [world.lab.hubs[(run + i) % len(world.lab.hubs)] for i in range(count)]

        def kill():
            for hub in hubs:
                hub.kill()
        _, figures = watch(world, name, hubs, kill)
        for hub in hubs:
            hub.start_again()
        began_ms = now_ms()
        return {**figures, name: world.wait_whole() - began_ms}
    return scenario


def rolling_restart(world, run):
    """Each in turn, as an operator does who puts a new version in."""
    del run
    parts = []
    for hub in world.lab.hubs:
        away_ms = []

        def restart(hub=hub, away_ms=away_ms):
            began_ms = now_ms()
            hub.stop()
            hub.start_again()
            hub.wait_ready()
            away_ms.append(now_ms() - began_ms)

        def until():
            time.sleep(HELD)
            world.wait_whole()
        _, figures = watch(world, "restart", [hub], restart, until)
        parts.append({**figures, "restart": away_ms[0]})
    return {name: [part[name] for part in parts if name in part]
            for part in parts for name in part}


def when_known(node, hub, seconds):
    """When it first said that this supernode is down; NaN: not in that time."""
    def is_known():
        return any(one["address"].startswith(hub.host) and one["down"]
                   for one in node.ask("nodes").get("nodes", []))
    try:
        wait_until(is_known, seconds, "", step=0.02)
        return now_ms()
    except Failure:
        print(f"     {node.node} does not know it within {seconds} s", flush=True)
        return NEVER


def cable_cut(world, run):
    hub = world.lab.hubs[run % len(world.lab.hubs)]
    others = [node for node in world.nodes() if node is not hub and
              (node in world.lab.hubs or world.is_attached(node, hub))]
    known_ms = {}

    def until():
        with concurrent.futures.ThreadPoolExecutor(len(others)) as pool:
            found = pool.map(lambda node: when_known(node, hub, WATCHED), others)
            known_ms.update(zip(others, found))
        time.sleep(max(0, WATCHED - (now_ms() - began_ms) / 1000))
    began_ms = now_ms()
    try:
        at_ms, figures = watch(world, "silent", [hub],
                               lambda: netlab("link", hub.node, "down"), until)
    finally:
        netlab("link", hub.node, "up")
    world.wait_whole()
    at = {node: ms - at_ms for node, ms in known_ms.items()}
    return {**figures, "silent": worst(at[node] for node in others if node in world.lab.hubs),
            "silent, nodes": worst(at.values())}


def worst(values):
    """Of figures of which each may be missing."""
    values = list(values)
    return NEVER if any(value != value for value in values) else max(values)


def serving(node):
    return (node.ask("nodes").get("realm") or {}).get("serving", "")


def when(condition, seconds, what):
    """When it was first so; NaN: not in that time."""
    try:
        wait_until(condition, seconds, what, step=0.02)
        return now_ms()
    except Failure as failure:
        print(f"     {failure}", flush=True)
        return NEVER


def invited(world, candidate, address):
    """How it comes to serve: it is invited by itself, since a realm wants three supernodes."""
    def is_known_to(node):
        return any(one["address"] == address and not one["down"]
                   for one in node.ask("nodes").get("nodes", []))
    others = [node for node in world.nodes() if node is not candidate]
    invited_ms = when(lambda: serving(candidate).startswith("invited"), 180,
                      f"{candidate.node} is invited (it serves: {serving(candidate)})")
    since_ms = now_ms() - candidate.ask("status").get("up_ms", NEVER)
    serves_ms = when(lambda: all(map(is_known_to, world.lab.hubs)), 20, "the supernodes know it")
    known_ms = when(lambda: all(map(is_known_to, others)), 5, "all others know it")
    return {"grow": invited_ms - since_ms, "grow, serves": serves_ms - invited_ms,
            "grow, known": known_ms - invited_ms}


def killed_until(world, name, hub, condition, what):
    """Kills it and watches the calls; when the condition was first true after that, too."""
    found_ms = []

    def until():
        began_ms = now_ms()
        found_ms.append(when(condition, 30, what))
        time.sleep(max(0, WATCHED - (now_ms() - began_ms) / 1000))
    at_ms, figures = watch(world, name, [hub], hub.kill, until)
    return found_ms[0] - at_ms, figures


def grows(world, run):
    """The candidate is the open site. It takes over from the two that there were."""
    del run
    candidate, (first, second) = world.sites[0].gateway, world.lab.hubs
    figures = invited(world, candidate, f"{world.sites[0].address}:443")

    def serves_all():
        return candidate.clients() >= len(world.sites) - 1 and \
            all(site.gateway.attached() for site in world.sites)
    used_ms, more = killed_until(world, "grow", second, candidate.clients,
                                 "a node is attached to the new supernode")
    figures.update({**more, "grow, used": used_ms})
    alone_ms, more = killed_until(world, "alone", first, serves_all,
                                  "the new supernode serves all")
    figures.update({**more, "alone": alone_ms})
    calls_ms = now_ms()
    time.sleep(5)
    window = Window(world.traffic, calls_ms, now_ms())
    window.tell()
    figures["alone, calls"] = len(window.failed())
    for hub in (first, second):
        hub.start_again()
    world.wait_whole()
    return figures


STEADY = (3, [("vienna", "open", {}), ("berlin", "nat", {}), ("paris", "nat", {}),
              ("lisbon", "symmetric", {}), ("rome", "blocked", {}), ("oslo", "blocked", {})])
CANDIDATE = {"roles": ("gateway", "relay"), "granted": ("gateway", "supernode", "relay"),
             "overlay_extra": 'supernode = "auto"'}
GROWING = (2, [("vienna", "open", CANDIDATE), ("berlin", "nat", {}), ("paris", "nat", {}),
               ("rome", "blocked", {}), ("oslo", "blocked", {})])

SCENARIOS = {  # in the order in which they are played; each world is built once
    "calm": (STEADY, calm),
    "one": (STEADY, killed("one", 1)),
    "two": (STEADY, killed("two", 2)),
    "restart": (STEADY, rolling_restart),
    "silent": (STEADY, cable_cut),
    "grow": (GROWING, grows),
}


def rows_of(name):
    names = [name, "alone"] if name == "grow" else [name]
    return [key for key in ROWS if key.split(",")[0] in names]
