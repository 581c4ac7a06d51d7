"""Calls between probe phones, and what can be told of their sound afterwards."""
import json
import os
import subprocess
import threading
import time

from lab import HERE, Failure, way_of
from rig import Process, wait_until

FRAME_MS = 20
LATE_MS = 150  # a frame that took longer is not heard any more
RECOVERY_S = 15  # then it is silence for good
FLOWS = 20  # frames in the last half second


def now_ms():
    return time.monotonic_ns() / 1e6


class ProbePhone(Process):
    """probe.py in a site's namespace. `events` holds (ms, event) of all it told, oldest first."""

    def __init__(self, site, user):
        self.site, self.user = site, user
        self.events, self.changed = [], threading.Condition()
        super().__init__(site.lab.rig, f"probe-{site.name}-{user}",
                         [os.path.join(HERE, "probe.py"), user, site.gateway.server,
                          site.phones_address], netns="sp-" + site.name, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
        threading.Thread(target=self.read_events, daemon=True).start()

    def read_events(self):
        for line in self.child.stdout:
            event = json.loads(line)
            with self.changed:
                self.events.append((event["at_us"] / 1000, event))
                self.changed.notify_all()

    def tell(self, line):
        with self.changed:
            self.since = len(self.events)
        self.child.stdin.write(line.encode() + b"\n")
        self.child.stdin.flush()

    def wait(self, kind, seconds=5, since=None):
        """(ms, event) of the first such event since the last command, or since event number
        `since`."""
        deadline = time.monotonic() + seconds
        first = self.since if since is None else since
        with self.changed:
            while True:
                for at_ms, event in self.events[first:]:
                    if event["event"] == kind:
                        return at_ms, event
                    if event["event"] == "failed":
                        raise Failure(f"{self.name}: {event['why']}")
                left = deadline - time.monotonic()
                if left <= 0 or not self.is_running():
                    seen = " ".join(event["event"] for _, event in self.events[first:])
                    raise Failure(f"{self.name}: no {kind} within {seconds:g} s (saw: {seen})")
                self.changed.wait(min(left, 0.2))

    def recent(self):
        self.tell("recent")
        return self.wait("recent")[1]["count"]


class Direction:
    """What one end sent and the other heard. Times are ms of the machine's monotonic clock."""

    def __init__(self, sent_us, heard):
        self.sent = [at / 1000 for at in sent_us]
        self.came = {}  # number: when it came first
        self.doubles = 0
        for number, _, came_us in heard:
            if number in self.came:
                self.doubles += 1
            else:
                self.came[number] = came_us / 1000
        self.first_ms = min(self.came.values()) if self.came else None

    def within(self, from_ms, to_ms):
        return [n for n, at in enumerate(self.sent) if from_ms <= at <= to_ms]

    def delays(self, from_ms, to_ms):
        """Of the frames sent in that time; None for a lost one."""
        return [self.came[n] - self.sent[n] if n in self.came else None
                for n in self.within(from_ms, to_ms)]

    def lost(self, from_ms, to_ms):
        return sum(delay is None for delay in self.delays(from_ms, to_ms))

    def gap(self, from_ms, to_ms):
        """The longest run of frames that were lost or too late: how many ms, and when its first was
        sent."""
        longest, at_ms, run = 0, None, 0
        for number in self.within(from_ms, to_ms):
            came_ms = self.came.get(number)
            run = 0 if came_ms is not None and came_ms - self.sent[number] <= LATE_MS else run + 1
            if run > longest:
                longest, at_ms = run, self.sent[number - run + 1]
        return longest * FRAME_MS, at_ms

    def gap_ms(self, from_ms, to_ms):
        return self.gap(from_ms, to_ms)[0]


class Talk:
    """A call between two probe phones. After `end`, `there` and `back` are its two Directions."""

    def __init__(self, caller, callee, ring_seconds=0.7):
        self.caller, self.callee = caller, callee
        try:
            self.dialled_ms, self.rang_ms = self.dial()
            time.sleep(ring_seconds)
            callee.tell("answer")
            self.answered_ms, _ = callee.wait("answering")
            caller.wait("answered", 5)
        except Failure:
            self.drop()
            raise

    def dial(self, seconds=5):
        with self.callee.changed:
            since = len(self.callee.events)
        self.caller.tell(f"call 8.{self.callee.site.name}.{self.callee.user}")
        dialled_ms, _ = self.caller.wait("dialled")
        rang_ms, _ = self.callee.wait("incoming", seconds, since)
        return dialled_ms, rang_ms

    def drop(self):
        for phone in (self.caller, self.callee):
            phone.tell("drop")

    def paths(self):
        return [phone.site.gateway.path() for phone in (self.caller, self.callee)]

    def ways(self):
        return [way_of(path) for path in self.paths()]

    def wait_ways(self, wanted, seconds, what):
        """When both gateways first said so."""
        wait_until(lambda: all(wanted(way) for way in self.ways()), seconds, what, step=0.02)
        return now_ms()

    def flows(self):
        return all(phone.recent() >= FLOWS for phone in (self.caller, self.callee))

    def recover(self, least_seconds=1.2):
        """Lets it go on for a while, and longer while there is silence."""
        time.sleep(least_seconds)
        wait_until(self.flows, RECOVERY_S, "sound both ways again: SILENCE FOR GOOD")
        time.sleep(0.3)

    def end(self):
        self.ended_ms = now_ms()
        self.caller.tell("hangup")
        _, one = self.caller.wait("report")
        self.callee.tell("hangup")
        _, other = self.callee.wait("report")
        self.there = Direction(one["sent_us"], other["heard"])
        self.back = Direction(other["sent_us"], one["heard"])
        return self

    def worst_gap_ms(self, since_ms):
        until_ms = self.ended_ms - 250
        return max(way.gap_ms(since_ms, until_ms) for way in (self.there, self.back))

    def lost(self, since_ms):
        until_ms = self.ended_ms - 250
        return sum(way.lost(since_ms, until_ms) for way in (self.there, self.back))

    def first_voice_ms(self):
        """From the answer to the first voice, at the end where it came later."""
        firsts = [way.first_ms for way in (self.there, self.back)]
        if None in firsts:
            raise Failure("one end heard nothing")
        return max(firsts) - self.answered_ms
