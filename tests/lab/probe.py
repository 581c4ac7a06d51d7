#!/usr/bin/python3 -B
"""The probe phone: a phone that measures. It runs inside a site's namespace, driven by talk.py.

Usage: probe.py USER SERVER:PORT ADDRESS

Registers, then obeys lines on its standard input and answers with lines of JSON:

  call TARGET    "ringing", "answered" (or "failed") when it is
  answer         answers the call that has been announced by "incoming"
  recent         "recent": how many frames have come in the last half second
  hangup         "report": all frames sent and heard, and whether the other side has ended the call
                 (a caller's was lost, then); ends the call
  cancel         takes a call back that was not answered: "failed" when that is done
  drop           forgets the call without a word

Every 20 ms it sends a frame of PCMA that carries its number and the time, and notes when those of
the other side come. All times are microseconds of CLOCK_MONOTONIC, which is one for the machine.
"""
import asyncio
import json
import os
import re
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))

import sip_peer  # noqa: E402
from sip_peer import Call, Phone, Rtp, token  # noqa: E402

sip_peer.TIMEOUT_S = 60
FRAME = struct.Struct("!4sIQ")
MARK = b"prob"
FILL = b"\xd5" * (160 - FRAME.size)


def now_us():
    return time.monotonic_ns() // 1000


def tell(event, **more):
    sys.stdout.write(json.dumps({"event": event, "at_us": now_us(), **more}) + "\n")
    sys.stdout.flush()


class Frames(Rtp):
    def __init__(self):
        super().__init__()
        self.sent_us, self.heard = [], []

    def send(self):
        at_us = now_us()
        header = struct.pack("!BBHII", 0x80, 8 | (0x80 if not self.sent else 0), self.sent & 0xffff,
                             self.sent * 160 & 0xffffffff, self.ssrc)
        self.transport.sendto(header + FRAME.pack(MARK, self.sent, at_us) + FILL, self.remote)
        self.sent += 1
        self.sent_us.append(at_us)

    def datagram_received(self, data, address):
        if len(data) < 12 + FRAME.size or data[1] & 0x7f != 8:
            return
        mark, number, sent_us = FRAME.unpack_from(data, 12)
        if mark == MARK:  # else something that was made up for a lost frame
            self.heard.append((number, sent_us, now_us()))


class Probe(Phone):
    expires_s = 3600

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.current, self.invite, self.task, self.invited = None, None, None, ""

    def send(self, text):
        if text.startswith("INVITE "):
            self.invited = text
        super().send(text)

    async def take_invite(self, invite):
        if invite.get("call-id") in self.calls:
            return  # retransmitted
        if self.current:
            self.reply(invite, "486 Busy Here", token())
            return
        self.current = Call(invite.get("call-id"), await Frames.open(self.address))
        self.calls[self.current.id] = self.current
        self.current.tag, self.invite = token(), invite
        self.reply(invite, "180 Ringing", self.current.tag)
        tell("incoming")

    def answer_now(self):
        tell("answering")
        self.reply(self.invite, "200 OK", self.current.tag, self.sdp(self.current.rtp))
        self.current.rtp.start(self.invite.media())

    async def start_call(self, target):
        host = f"{self.server[0]}:{self.server[1]}"
        call = self.current = Call(token(), await Frames.open(self.address))
        self.calls[call.id] = call
        call.target, call.local = f"sip:{target}@{host}", f"<sip:{self.user}@{host}>;tag={token()}"
        tell("dialled")
        _, answer, call.cseq, _ = await self.transaction(
            "INVITE", call.target, call.local, f"<{call.target}>", call.id, self.sdp(call.rtp),
            on_ringing=lambda _: tell("ringing"))
        call.remote = answer.get("to")
        contact = re.search(r"<([^>]+)>", answer.get("contact"))
        call.target = contact.group(1) if contact else call.target
        self.request("ACK", call.target, call.local, call.remote, call.id, call.cseq)
        if answer.status != 200:
            tell("failed", why=answer.start)
            return
        call.rtp.start(answer.media())
        tell("answered")

    def recent(self):
        heard = self.current.rtp.heard if self.current else []
        since = now_us() - 500000
        return sum(came_us > since for _, _, came_us in heard[-100:])

    def leave(self):
        call, self.current = self.current, None
        if call and call.rtp:
            call.rtp.close()
        return call

    def cancel(self):
        head = self.invited.partition("\r\n\r\n")[0]
        kept = [line for line in head.split("\r\n")
                if line.startswith(("Via:", "From:", "To:", "Call-ID:", "CSeq:", "Max-Forwards:"))]
        self.send("\r\n".join([head.partition("\r\n")[0], *kept]).replace("INVITE", "CANCEL") +
                  "\r\nContent-Length: 0\r\n\r\n")

    async def end(self):
        call, was_ended = self.current, self.current.ended_at is not None
        self.leave()
        if call.remote and not call.ended_at:  # the caller ends it
            self.waiting[(call.id, "BYE")] = asyncio.Queue()
            self.request("BYE", call.target, call.local, call.remote, call.id, call.cseq + 1)
            await self.final(call.id, "BYE")
        tell("report", sent_us=call.rtp.sent_us, heard=call.rtp.heard, was_ended=was_ended)

    async def obey(self, line):
        word, _, rest = line.strip().partition(" ")
        if word == "call":
            self.task = asyncio.get_running_loop().create_task(self.start_call(rest))
        elif word == "answer":
            self.answer_now()
        elif word == "recent":
            tell("recent", count=self.recent())
        elif word == "hangup":
            await self.end()
        elif word == "cancel":
            self.cancel()
        elif word == "drop":
            if self.task:
                self.task.cancel()
            self.leave()


async def main(user, server, address):
    host, port = server.split(":")
    phone = await Probe(user, (host, int(port)), address=address).open()
    for left in range(50, -1, -1):  # the gateway may only just be starting
        sip_peer.TIMEOUT_S = 0.2
        try:
            await phone.register()
            break
        except (asyncio.TimeoutError, OSError):
            if left == 0:
                raise
    sip_peer.TIMEOUT_S = 60
    tell("registered")
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        await phone.obey(line.decode())


asyncio.run(main(*sys.argv[1:4]))
