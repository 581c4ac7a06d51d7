"""Stories that need phones with habits: the small ones of tests/bench, with holds, early media and
addresses that are wrong."""
import asyncio
import os
import re
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))

from node import TwoSites  # noqa: E402
from rig import Failure  # noqa: E402
import sip_peer  # noqa: E402
from sip_peer import Call, Phone, Rtp, token  # noqa: E402

sip_peer.TIMEOUT_S = 10
EARLY_S = 5.5  # longer than the window for learning a phone's address
alone = threading.Lock()  # all phones of a process share the clock of one event loop
DIRECTION = re.compile(r"a=(sendrecv|sendonly|recvonly|inactive)")
ANSWERS = {(True, True): "sendrecv", (True, False): "sendonly",
           (False, True): "recvonly", (False, False): "inactive"}


class Habits(Phone):
    early_s, shown_address, direction = 0, None, "sendrecv"

    def sdp(self, rtp):
        text = super().sdp(rtp)
        if self.shown_address:
            text = text.replace(f"c=IN IP4 {self.address}", f"c=IN IP4 {self.shown_address}")
        return text

    async def take_invite(self, invite):
        call = self.calls.get(invite.get("call-id"))
        if call:
            self.answer_again(invite, call)
            return
        call = self.calls[invite.get("call-id")] = Call(invite.get("call-id"), None)
        self.taken, tag = call, token()
        call.rtp = await Rtp.open(self.address)
        call.local, call.remote = f"{invite.get('to')};tag={tag}", invite.get("from")
        call.target = re.search(r"<([^>]+)>", invite.get("contact")).group(1)
        if self.early_s:
            self.reply(invite, "183 Session Progress", tag, self.sdp(call.rtp))
            call.rtp.start(invite.media())
            await asyncio.sleep(self.early_s)
        self.reply(invite, "200 OK", tag, self.sdp(call.rtp))
        call.rtp.start(invite.media())

    def answer_again(self, invite, call):
        if ";tag=" not in invite.get("to"):
            return  # retransmitted
        offered = (DIRECTION.findall(invite.body) or ["sendrecv"])[0]
        sends = self.direction in ("sendrecv", "sendonly")
        hears = self.direction in ("sendrecv", "recvonly")
        answer = ANSWERS[sends and offered in ("sendrecv", "recvonly"),
                         hears and offered in ("sendrecv", "sendonly")]
        self.reply(invite, "200 OK", "", self.sdp(call.rtp) + f"a={answer}\r\n")

    async def turn(self, call, direction):
        self.direction = direction
        call.cseq += 1
        self.waiting[(call.id, "INVITE")] = asyncio.Queue()
        self.request("INVITE", call.target, call.local, call.remote, call.id, call.cseq,
                     self.sdp(call.rtp) + f"a={direction}\r\n")
        await self.final(call.id, "INVITE")
        self.request("ACK", call.target, call.local, call.remote, call.id, call.cseq)
        await asyncio.sleep(0.2)  # the other end is told


def play(rig, story):
    with alone:
        asyncio.run(story(TwoSites(rig)))


async def phones(sites):
    made = []
    for user, node in (("201", sites.berlin), ("301", sites.paris)):
        phone = await Habits(user, (node.address, node.sip_port)).open()
        await phone.register()
        made.append(phone)
    return made


async def expect_voice(first, second, heard, what):
    before = first.rtp.received, second.rtp.received
    await asyncio.sleep(0.5)
    counts = first.rtp.received - before[0], second.rtp.received - before[1]
    if any((count > 15) != heard for count in counts):
        raise Failure(f"{what}: of 25 packets {counts[0]} and {counts[1]} were heard")


def early_media_behind_a_nat(rig):
    """A caller whose SDP names an address that is not its own, and who is silent until answered."""
    async def story(sites):
        caller, callee = await phones(sites)
        caller.shown_address, callee.early_s = "10.99.88.77", EARLY_S
        call = await caller.call("8301")
        await asyncio.sleep(0.3)
        await expect_voice(call, callee.taken, True, "after the answer")
        await caller.hang_up(call)
    play(rig, story)
    return f"both hear each other after {EARLY_S} s of early media"


def hold_in_every_order(rig):
    """Both ends hold, both resume."""
    async def story(sites):
        ends = await phones(sites)
        for order in ((0, 1, 0, 1), (0, 1, 1, 0), (1, 0, 0, 1), (1, 0, 1, 0)):
            call = await ends[0].call("8301")
            other = ends[1].taken
            other.cseq = 100
            calls = (call, other)
            await asyncio.sleep(0.2)
            for step, end in enumerate(order):
                if step == 2:
                    await expect_voice(call, other, False, f"{order}: both hold")
                await ends[end].turn(calls[end], "sendrecv" if step > 1 else "sendonly")
            await expect_voice(call, other, True, f"{order}: both have resumed")
            await ends[0].hang_up(call)
    play(rig, story)
    return "voice both ways after each order"
