"""Steady calling between probe phones, and what an event in the middle of it did to whom.

Some phones talk: theirs are the calls in progress. The others keep dialling: theirs are the new
calls, one every few hundred milliseconds, over after a word.
"""
import concurrent.futures
import random
import threading
import time

from lab import Failure
from rig import wait_until
from talk import FLOWS, Direction, ProbePhone, now_ms

TALKERS, DIALLERS = ("10", "11"), ("20", "21")  # users at each site
USERS = TALKERS + DIALLERS
DIAL_EVERY = 0.25  # seconds
RING, WORD = 0.2, 0.6
TALK = (4, 9)
RINGS_WITHIN = 8  # else it has failed; people have hung up long before
MUTE = 4  # seconds of silence that are waited for
BEGIN_MS = 500  # the two ends begin to send at different moments
END_MS = 250  # the last of a call is not looked at


class Attempt:
    """One call, whatever becomes of it. Times are ms; None when it did not come that far."""

    def __init__(self, caller, callee, talk_ms):
        self.caller, self.callee, self.talk_ms = caller, callee, talk_ms
        self.dialled_ms = now_ms()
        self.rang_ms = self.up_ms = self.ended_ms = self.failure = None
        self.ways, self.is_over = [], False

    def ends(self):
        return tuple(f"{phone.user}@{phone.site.name}" for phone in (self.caller, self.callee))

    def __str__(self):
        return " -> ".join(self.ends())

    def is_up_by(self, at_ms):
        return self.up_ms is not None and self.up_ms < at_ms

    def run(self, may_end):
        try:
            self.dial()
            while now_ms() < self.up_ms + self.talk_ms or not may_end():
                time.sleep(0.02)
            self.wait_sound()
            self.end()
        except Failure as failure:
            self.failure = str(failure)
            self.give_up()
        self.is_over = True

    def dial(self):
        with self.callee.changed:
            since = len(self.callee.events)
        self.caller.tell(f"call 8.{self.callee.site.name}.{self.callee.user}")
        self.dialled_ms, _ = self.caller.wait("dialled")
        self.rang_ms, _ = self.caller.wait("ringing", RINGS_WITHIN)
        self.callee.wait("incoming", 1, since)
        time.sleep(RING)
        self.callee.tell("answer")
        self.up_ms, _ = self.callee.wait("answering")
        self.caller.wait("answered", 5)

    def wait_sound(self):
        """A call that is mute at its end goes on for as long as people would say hello."""
        deadline = time.monotonic() + MUTE
        while not all(phone.recent() >= FLOWS / 2 for phone in (self.caller, self.callee)):
            if time.monotonic() > deadline:
                raise Failure("silence for good")
            time.sleep(0.1)

    def end(self):
        self.ended_ms = now_ms()
        self.caller.tell("hangup")
        _, one = self.caller.wait("report")
        self.callee.tell("hangup")
        _, other = self.callee.wait("report")
        self.ways = [Direction(one["sent_us"], other["heard"]),
                     Direction(other["sent_us"], one["heard"])]
        if one["was_ended"]:
            raise Failure("it was ended from afar")

    def give_up(self):
        self.ended_ms = self.ended_ms or now_ms()
        if self.up_ms is None:
            self.caller.tell("cancel")
            time.sleep(1)  # late answers come to nobody
        for phone in (self.caller, self.callee):
            phone.tell("drop")
        time.sleep(0.5)

    def first_voice_ms(self):
        """From the answer to the first voice, at the end where it came later."""
        return max(way.first_ms for way in self.ways) - self.up_ms

    def gap(self, from_ms, to_ms):
        """The longest: how many ms, and when it began."""
        return max((way.gap(from_ms, min(to_ms, self.ended_ms - END_MS)) for way in self.ways),
                   key=lambda gap: gap[0])


class Traffic:
    """Calls between random pairs of sites until it is stopped."""

    def __init__(self, sites):
        self.sites, self.attempts, self.hold_until_ms = sites, [], 0
        self.changed, self.is_on = threading.Condition(), False
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            phones = list(pool.map(lambda pair: ProbePhone(*pair),
                                   [(site, user) for site in sites for user in USERS]))
        for phone in phones:
            phone.wait("registered", 20, 0)
        self.free = {users: {phone for phone in phones if phone.user in users}
                     for users in (TALKERS, DIALLERS)}
        self.pool = concurrent.futures.ThreadPoolExecutor(len(phones) // 2)
        self.pumps = []

    def __enter__(self):
        self.is_on = True
        for job in (lambda: self.pump(TALKERS, 0.1), lambda: self.pump(DIALLERS, DIAL_EVERY)):
            self.pumps.append(threading.Thread(target=job, daemon=True))
            self.pumps[-1].start()
        return self

    def __exit__(self, kind, value, trace):
        self.is_on = False
        for pump in self.pumps:
            pump.join()
        self.pool.shutdown()
        return False

    def pump(self, users, every):
        due = time.monotonic()
        while self.is_on:
            due = max(due + every, time.monotonic())
            time.sleep(max(0, due - time.monotonic()))
            with self.changed:
                pair = self.take_pair(users)
            if pair:
                talk = WORD if users == DIALLERS else random.uniform(*TALK)
                attempt = Attempt(*pair, talk_ms=1000 * talk)
                with self.changed:
                    self.attempts.append(attempt)
                self.pool.submit(self.play, attempt, users)

    def take_pair(self, users):
        """Two free phones of different sites; None when there are no such two."""
        free = list(self.free[users])
        random.shuffle(free)
        for callee in free[1:]:
            if callee.site is not free[0].site:
                self.free[users] -= {free[0], callee}
                return free[0], callee
        return None

    def play(self, attempt, users):
        is_held = users == TALKERS
        attempt.run(lambda: not is_held or now_ms() >= self.hold_until_ms)
        with self.changed:
            self.free[users] |= {attempt.caller, attempt.callee}

    # -- what became of them ------------------------------------------------------------------

    def hold(self, seconds):
        """Calls in progress go on for so long at least: their sound after an event is looked at."""
        self.hold_until_ms = now_ms() + 1000 * seconds

    def up_at(self, at_ms):
        """Calls that were up then and before, and for a little longer."""
        with self.changed:
            return [one for one in self.attempts if one.is_up_by(at_ms - BEGIN_MS) and
                    (one.ended_ms is None or one.ended_ms > at_ms + 2 * END_MS)]

    def wait_up(self, count):
        """Until so many calls are in progress."""
        wait_until(lambda: len(self.up_at(now_ms())) >= count, 20, f"{count} calls are up", step=0.1)

    def in_setup_at(self, at_ms):
        with self.changed:
            return [one for one in self.attempts if one.dialled_ms < at_ms and
                    not one.is_up_by(at_ms - BEGIN_MS) and
                    (one.ended_ms is None or one.ended_ms > at_ms)]

    def dialled_within(self, from_ms, to_ms):
        with self.changed:
            return [one for one in self.attempts if from_ms <= one.dialled_ms < to_ms]

    def wait_over(self, attempts):
        wait_until(lambda: all(one.is_over for one in attempts), 30, "calls of the lab have ended")


class Window:
    """What happened to calls from an event on until some time after it."""

    def __init__(self, traffic, at_ms, until_ms):
        self.at_ms, self.until_ms = at_ms, until_ms
        self.up, self.in_setup = traffic.up_at(at_ms), traffic.in_setup_at(at_ms)
        self.new = traffic.dialled_within(at_ms, until_ms)
        traffic.wait_over(self.up + self.in_setup + self.new)

    def lost(self):
        return [one for one in self.up if one.failure]

    def lost_in_setup(self):
        return [one for one in self.in_setup if one.failure]

    def failed(self):
        return [one for one in self.new if one.failure]

    def gap_ms(self, attempts):
        """The longest of those that were not lost."""
        return max((self.gap_of(one)[0] for one in attempts if not one.failure), default=0)

    def gap_of(self, attempt):
        return attempt.gap(self.at_ms - 100, self.until_ms)

    def failing_ms(self):
        """For how long after the event calls failed that were dialled then."""
        return max((one.dialled_ms - self.at_ms for one in self.failed()), default=0)

    def slowest_ring_ms(self):
        return max((one.rang_ms - one.dialled_ms for one in self.new if one.rang_ms is not None),
                   default=0)

    def slowest_voice_ms(self):
        return max((one.first_voice_ms() for one in self.in_setup + self.new if not one.failure),
                   default=0)

    def tell(self):
        """Those that fared badly, on the screen."""
        for what, attempts in (("lost", self.lost()), ("lost in set-up", self.lost_in_setup()),
                               ("failed", self.failed())):
            for one in attempts:
                print(f"     {what}: {one}, dialled {one.dialled_ms - self.at_ms:+.0f} ms, "
                      f"{one.failure}", flush=True)
        for one in self.up:
            gap_ms, began_ms = (0, None) if one.failure else self.gap_of(one)
            if gap_ms > 0:
                print(f"     gap: {one}, {gap_ms} ms, at {began_ms - self.at_ms:+.0f} ms",
                      flush=True)
                self.tell_ways(one, began_ms)

    def tell_ways(self, attempt, around_ms):
        """What the journals at both ends say of its path around that time."""
        for phone in (attempt.caller, attempt.callee):
            gateway, users = phone.site.gateway, {attempt.caller.user, attempt.callee.user}
            call = next((call for call in gateway.ask("calls").get("ended", []) if users ==
                         {leg["name"].split("@")[0] for leg in call["legs"]}), {"id": "none"})
            journal = gateway.ask(f"calls/{call['id']}/journal").get("journal", {"entries": []})
            for entry in journal["entries"]:
                at_ms = attempt.dialled_ms + entry["at_ms"]
                if entry["part"] == "path" and -1000 < at_ms - around_ms < 1000:
                    print(f"       {gateway.node} {at_ms - self.at_ms:+.0f} ms: {entry['text']}",
                          flush=True)
