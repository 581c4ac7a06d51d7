"""What the promises are about: each event happens for real, in a call, and is measured.

An event is a function that makes it happen once and returns its figures, {name of a row: value}.
ROWS says what each row means, EVENTS which rows an event fills.
"""
import concurrent.futures
import random
import time

from lab import Failure, netlab
from rig import wait_until
from table import Row
from talk import Talk, now_ms

LINE_MS = 10  # one way, of each site's line to the internet: a relayed round trip takes 4 of them
LINE = f"both delay={LINE_MS}"
TRIP_MS = 4 * LINE_MS
TALK = 1.2  # seconds before it happens
IDLE_S = 60


ROWS = {
    "voice, direct": Row("answer to first voice, both ends, nat - nat", limit=TRIP_MS + 40,
                         p95=True),
    "voice, relayed": Row("answer to first voice, both ends, blocked - blocked",
                          limit=TRIP_MS + 40, p95=True),
    "upgrade": Row("UDP allowed at the answer: relayed to direct after", limit=2000),
    "upgrade, lost": Row("  frames lost", unit="", limit=0),
    "late": Row("UDP allowed 3 s later: relayed to direct after", limit=2000),
    "late, lost": Row("  frames lost", unit="", limit=0),
    "dies": Row("direct path dies silently: noticed, and the gap is over, within", limit=300),
    "dies, noticed": Row("  both gateways say that they left it, after"),
    "relay": Row("relay killed (-9), blocked - blocked: gap", limit=200),
    "relay, UDP": Row("relay killed (-9), symmetric - symmetric: gap", limit=200),
    "dark": Row("relay goes dark, blocked - blocked: gap"),
    "dark, UDP": Row("relay goes dark, symmetric - symmetric: gap"),
    "home": Row("home supernode killed in a call: gap", limit=0),
    "home, next": Row("  next call rings after", limit=1000),
    "setup": Row("home supernode killed in set-up: rings after", limit=1500),
    "address": Row("own address changes, nat, direct: gap", limit=1000),
    "address, callable": Row("  attached anew after (one run)"),
    "address, relayed": Row("own address changes, blocked, relayed: gap", limit=1000),
    "address, relayed, callable": Row("  attached anew after (one run)"),
    "reboot": Row("router reboots with a new address, nat, direct: gap", limit=1000),
    "reboot, callable": Row("  attached anew after (one run)"),
    "reboot, relayed": Row("router reboots with a new address, blocked, relayed: gap", limit=1000),
    "reboot, relayed, callable": Row("  attached anew after (one run)"),
    "forgets": Row("router forgets its mappings, nat, direct: gap", limit=1000),
    "forgets, callable": Row("  attached anew after (one run)"),
    "forgets, relayed": Row("router forgets its mappings, blocked, relayed: gap", limit=1000),
    "forgets, relayed, callable": Row("  attached anew after (one run)"),
    "loss": Row("TCP only, 2 % lost, 40 ms round trip: frames within 150 ms", unit="%", limit=95,
                least=True),
    "loss, p95": Row("  95 % of the frames within"),
    "loss, oldest": Row("  oldest frame that came to a phone"),
    "idle, direct": Row("checks on an idle warm path, direct", unit="kbit/s", limit=2),
    "idle, relayed": Row("checks on an idle warm path, relayed", unit="kbit/s", limit=2),
    "cold": Row("packets between two sites without a path", unit="", limit=0),
}


def at_once(*jobs):
    """Their results, in their order; the first failure when all have ended."""
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        futures = [pool.submit(job) for job in jobs]
    return [future.result() for future in futures]


def measured(talk, happen, wanted=None):
    """Waits in the call, lets it happen, and waits until there is sound again; the longest gap.
    NaN, which is a promise missed, when the path was not as wanted: then it says nothing."""
    is_as_wanted = True
    try:
        if wanted:
            try:
                talk.wait_ways(wanted, 4, "")
            except Failure:
                is_as_wanted = False
                print(f"     not {wanted.__doc__}: {' / '.join(talk.paths())}", flush=True)
        time.sleep(TALK)
        at_ms = now_ms()
        happen()
        talk.recover()
    finally:
        talk.end()
    return talk.worst_gap_ms(at_ms - 100) if is_as_wanted else float("nan")


def direct(way):
    """direct"""
    return way in ("udp", "tcp")


def relayed(way):
    """relayed"""
    return way == "relay"


def voice_after_answer(world, run):
    def measure(sites):
        talk = Talk(*world.phones(sites, run))
        time.sleep(1)
        return talk.end().first_voice_ms()
    direct_ms, relayed_ms = at_once(lambda: measure(world.direct), lambda: measure(world.relayed))
    return {"voice, direct": direct_ms, "voice, relayed": relayed_ms}


def relayed_to_direct(row, seconds):
    """UDP, which one of the sites was without, is allowed so many seconds after the answer."""
    def event(world, run):
        caller, callee = world.phones(world.direct, run)
        hindered = world.direct[run // 2 % 2].name
        netlab("udp", hindered, "off")
        try:
            talk = Talk(caller, callee)
            time.sleep(seconds)
        finally:
            netlab("udp", hindered, "on")
        allowed_ms = now_ms()
        try:
            direct_ms = talk.wait_ways(direct, 20, "the path becomes direct")
            time.sleep(0.5)
        finally:
            talk.end()
        began_ms = max(way.first_ms or now_ms() for way in (talk.there, talk.back))
        return {row: direct_ms - allowed_ms, f"{row}, lost": talk.lost(began_ms)}
    return event


def direct_path_dies(world, run):
    talk = Talk(*world.phones(world.direct, run))
    hindered = world.direct[run // 2 % 2].name
    talk.wait_ways(direct, 4, "a direct path")
    time.sleep(TALK)
    at_ms = now_ms()
    try:
        netlab("udp", hindered, "off")
        dropped_ms = now_ms()
        try:
            left_ms = talk.wait_ways(lambda way: way != "udp", 10, "both ends leave the way")
        except Failure:
            left_ms = float("nan")  # told as missed; whether there is sound again counts
        talk.recover(1)
    finally:
        netlab("udp", hindered, "on")
        talk.end()
    return {"dies": talk.worst_gap_ms(at_ms - 100), "dies, noticed": left_ms - dropped_ms}


def relay_fails(row, fail, mend):
    """The relay of a path by TCP, then that of a path by UDP."""
    def measure(world, run, sites):
        talk = Talk(*world.phones(sites, run))
        talk.wait_ways(relayed, 4, "a relayed path")
        hub = world.lab.hub_of(talk.paths()[0])
        try:
            return measured(talk, lambda: fail(hub))
        finally:
            mend(world, hub)

    def event(world, run):
        return {row: measure(world, run, world.relayed),
                f"{row}, UDP": measure(world, run, world.relayed_udp)}
    return event


def kill(hub):
    hub.kill()


def revive(world, hub):
    world.revive(hub)


def darken(hub):
    netlab("link", hub.node, "down")


def lighten(world, hub):
    netlab("link", hub.node, "up")
    world.settle()


def home_killed(world, run):
    caller, callee = world.phones(world.direct, run)
    talk = Talk(caller, callee)
    time.sleep(TALK)
    relay = world.lab.hub_of(talk.paths()[0])
    hub = next((site.home() for site in (caller.site, callee.site) if site.home() != relay), relay)
    second = [world.second[phone.site.name] for phone in (caller, callee)]
    at_ms = now_ms()
    hub.kill()
    try:
        next_call = Talk(*second, ring_seconds=0.2)
        talk.recover()
        next_call.end()
    finally:
        talk.end()
        world.revive(hub)
    return {"home": talk.worst_gap_ms(at_ms - 100), "home, next": next_call.rang_ms - at_ms}


def home_killed_in_setup(world, run):
    """At a random moment between dialling and ringing, which are some 40 ms apart."""
    caller, callee = world.phones(world.direct, run)
    hub = (caller, callee)[run // 2 % 2].site.home()
    moment = random.uniform(0, 0.04)
    with callee.changed:
        since = len(callee.events)
    caller.tell(f"call 8.{callee.site.name}.{callee.user}")
    time.sleep(moment)
    hub.kill()
    try:
        dialled_ms, _ = caller.wait("dialled")
        rang_ms, _ = callee.wait("incoming", 10, since)
        callee.tell("answer")
        callee.wait("answering")
        caller.wait("answered", 10)
        caller.tell("hangup")
        caller.wait("report")
        callee.tell("hangup")
        callee.wait("report")
    except Failure:
        caller.tell("drop")
        callee.tell("drop")
        raise
    finally:
        world.revive(hub)
    return {"setup": rang_ms - dialled_ms}


def on_both_pairs(happen, row):
    """An event that befalls one site of a direct path, and one of a relayed path."""
    def measure(world, run, name, sites, wanted):
        site, happened_ms = sites[run // 2 % 2], []

        def now():
            happened_ms.append(now_ms())
            happen(world, site)
        figures = {name: measured(Talk(*world.phones(sites, run)), now, wanted)}
        if run == 0:
            figures[f"{name}, callable"] = wait_fresh_links(site, happened_ms[0])
        else:
            world.restart(site)
        return figures

    def event(world, run):
        one, other = at_once(
            lambda: measure(world, run, row, world.direct, direct),
            lambda: measure(world, run, f"{row}, relayed", world.relayed, relayed))
        return {**one, **other}
    return event


def wait_fresh_links(site, since_ms):
    """Until the site holds two links that are younger than that; those before are dead, although
    nobody has said so. How long it took; NaN when it took too long."""
    def is_fresh():
        ages = [link["since_ms"] for link in site.gateway.supernodes()]
        return len(ages) >= 2 and max(ages) < now_ms() - since_ms
    try:
        wait_until(is_fresh, 60, f"{site.name} is attached anew", step=0.1)
    except Failure:
        return float("nan")
    return now_ms() - since_ms


def address_changes(world, site):
    other = f"10.10.{site.number}.77"
    netlab("move", site.name, site.address if world.moved.get(site.name) else other)
    world.moved[site.name] = not world.moved.get(site.name)


def router_reboots(_, site):
    netlab("reboot", site.name)


def router_forgets(_, site):
    netlab("forget", site.name)


def tcp_with_loss(world, run):
    """All of the 40 ms and all of the loss are on one site's line."""
    lossy, clean = (site.name for site in world.relayed)
    netlab("emu", lossy, "both delay=20 loss=2")
    netlab("emu", clean, "both delay=0")
    try:
        talk = Talk(*world.phones(world.relayed, run))
        time.sleep(0.5)
        from_ms = now_ms()
        time.sleep(8)
        to_ms = now_ms()
        time.sleep(0.7)
        talk.end()
    finally:
        for name in (lossy, clean):
            netlab("emu", name, LINE)
    delays = [delay for way in (talk.there, talk.back) for delay in way.delays(from_ms, to_ms)]
    came = sorted(delay if delay is not None else float("inf") for delay in delays)
    return {"loss": 100 * sum(delay <= 150 for delay in came) / len(came),
            "loss, p95": came[int(0.95 * len(came))],
            "loss, oldest": max(delay for delay in came if delay != float("inf"))}


def carried(site):
    """Bytes over the site's line so far, both ways."""
    return int(netlab("traffic", site.name))


def kbit_more(sites, before, began):
    """What the lines of two sites carried more in a minute than before, on average."""
    bytes_more = sum(carried(site) - start - usual
                     for site, start, usual in zip(sites, began, before))
    return max(0.0, bytes_more / len(sites) * 8 / 1000 / IDLE_S)


def idle_paths(world, run):
    """A minute without any path, then a minute after a call whose path is kept warm: what more goes
    over the lines of both sites is for the path. No hub may be killed meanwhile."""
    del run
    sites = [site for pair in world.idle for site in pair]
    netlab("count", world.idle[0][0].name, world.idle[0][1].name)
    began = [carried(site) for site in sites]
    time.sleep(IDLE_S)
    usual = [carried(site) - start for site, start in zip(sites, began)]
    cold, _ = netlab("counted", world.idle[0][0].name, world.idle[0][1].name).split()
    for pair in world.idle:
        talk = Talk(*world.phones(pair, 0))
        time.sleep(3)
        print("    " + " / ".join(talk.paths()), flush=True)
        talk.end()
    time.sleep(2)
    began = [carried(site) for site in sites]
    time.sleep(IDLE_S)
    return {"cold": int(cold), "idle, direct": kbit_more(sites[:2], usual[:2], began[:2]),
            "idle, relayed": kbit_more(sites[2:], usual[2:], began[2:])}


def rows_of(event):
    return [event, f"{event}, callable", f"{event}, relayed", f"{event}, relayed, callable"]


EVENTS = {
    "voice": (voice_after_answer, ["voice, direct", "voice, relayed"]),
    "upgrade": (relayed_to_direct("upgrade", 0), ["upgrade", "upgrade, lost"]),
    "late": (relayed_to_direct("late", 3), ["late", "late, lost"]),
    "dies": (direct_path_dies, ["dies", "dies, noticed"]),
    "relay": (relay_fails("relay", kill, revive), ["relay", "relay, UDP"]),
    "dark": (relay_fails("dark", darken, lighten), ["dark", "dark, UDP"]),
    "home": (home_killed, ["home", "home, next"]),
    "setup": (home_killed_in_setup, ["setup"]),
    "address": (on_both_pairs(address_changes, "address"), rows_of("address")),
    "reboot": (on_both_pairs(router_reboots, "reboot"), rows_of("reboot")),
    "forgets": (on_both_pairs(router_forgets, "forgets"), rows_of("forgets")),
    "loss": (tcp_with_loss, ["loss", "loss, p95", "loss, oldest"]),
    "idle": (idle_paths, ["idle, direct", "idle, relayed", "cold"]),
}
