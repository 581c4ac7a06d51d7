"""Very small SIP phones for measuring: many in one process, over UDP, with a clock on everything.

They do what a benchmark needs and no more: they register and call with digest authentication,
answer at once when called, send RTP every 20 ms and note when the first packet of the
other side came in. Nothing is retransmitted: on loopback a lost message is a finding.
"""
import asyncio
import hashlib
import random
import re
import struct
import time

TIMEOUT_S = 5


class PeerError(Exception):
    """The other side did not answer as it should."""


def token():
    return f"{random.getrandbits(48):012x}"


class Message:
    """A parsed SIP message. `headers` maps lower-case names to lists of values."""

    def __init__(self, data):
        head, _, self.body = data.decode(errors="replace").partition("\r\n\r\n")
        self.start, *lines = head.split("\r\n")
        self.headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            self.headers.setdefault(name.strip().lower(), []).append(value.strip())

    def get(self, name):
        return self.headers.get(name, [""])[0]

    @property
    def status(self):
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self):
        return self.get("cseq").split()[-1]

    def media(self):
        """Where the other side wants RTP."""
        address = re.search(r"^c=IN IP4 (\S+)", self.body, re.M)
        port = re.search(r"^m=audio (\d+)", self.body, re.M)
        return (address.group(1), int(port.group(1))) if address and port else None


def authorization(challenge, user, secret, method, uri):
    fields = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge))
    algorithm = hashlib.sha256 if fields.get("algorithm", "MD5").upper() == "SHA-256" \
        else hashlib.md5

    def hashed(text):
        return algorithm(text.encode()).hexdigest()
    ha1 = hashed(f"{user}:{fields['realm']}:{secret}")
    ha2 = hashed(f"{method}:{uri}")
    out = f'Digest username="{user}", realm="{fields["realm"]}", nonce="{fields["nonce"]}", ' \
          f'uri="{uri}", algorithm={fields.get("algorithm", "MD5")}'
    if "qop" in fields:
        nonce = token()
        response = hashed(f"{ha1}:{fields['nonce']}:00000001:{nonce}:auth:{ha2}")
        out += f', qop=auth, nc=00000001, cnonce="{nonce}"'
    else:
        response = hashed(f"{ha1}:{fields['nonce']}:{ha2}")
    if "opaque" in fields:
        out += f', opaque="{fields["opaque"]}"'
    return out + f', response="{response}"'


class Rtp(asyncio.DatagramProtocol):
    """A stream of PCMA both ways. `first_at` is when the other side's first packet came."""
    voice = b"\xd5" * 160  # what all of them say, over and over; silence unless replaced
    senders = set()
    ticker = None

    def __init__(self):
        self.remote, self.first_at, self.received, self.sent = None, None, 0, 0
        self.ssrc, self.closed = random.getrandbits(32), False

    @classmethod
    async def open(cls, address):
        loop = asyncio.get_running_loop()
        transport, self = await loop.create_datagram_endpoint(cls, local_addr=(address, 0))
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]
        return self

    def datagram_received(self, data, address):
        self.received += 1
        if self.first_at is None:
            self.first_at = time.monotonic()

    def start(self, remote):
        """Sends from now on; the first packet at once."""
        if self.remote or not remote or self.closed:
            return
        self.remote = remote
        self.send()
        Rtp.senders.add(self)
        if Rtp.ticker is None or Rtp.ticker.done():  # it ends with its event loop
            Rtp.ticker = asyncio.get_running_loop().create_task(Rtp.tick())

    def send(self):
        header = struct.pack("!BBHII", 0x80, 8 | (0x80 if not self.sent else 0), self.sent & 0xffff,
                             self.sent * 160 & 0xffffffff, self.ssrc)
        at = self.sent * 160 % (len(Rtp.voice) - 159)
        self.sent += 1
        self.transport.sendto(header + Rtp.voice[at:at + 160], self.remote)

    @classmethod
    async def tick(cls):
        """Paces all streams; late ticks are made up for, so the rate holds."""
        due = time.monotonic()
        while True:
            due += 0.02
            await asyncio.sleep(max(0, due - time.monotonic()))
            for sender in list(cls.senders):
                sender.send()

    def close(self):
        self.closed = True
        Rtp.senders.discard(self)
        self.transport.close()


class Call:
    """One end of a call, with the monotonic time of what happened in it."""

    def __init__(self, call_id, rtp):
        self.id, self.rtp = call_id, rtp
        self.invited_at = self.rang_at = self.answered_at = self.ended_at = None
        self.local = self.remote = self.target = ""  # From, To and the contact of the other side
        self.cseq = 1


class Phone(asyncio.DatagramProtocol):
    """A phone with a socket of its own. `answer` False: it rings for ever when called."""
    expires_s = 600  # of its registration

    def __init__(self, user, server, secret="secret", address="127.0.0.1", answer=True):
        self.user, self.server, self.secret, self.address = user, server, secret, address
        self.answer, self.calls, self.waiting = answer, {}, {}
        self.on_call = None  # called with each Call that comes in

    async def open(self):
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(self.address, 0))
        self.port = self.transport.get_extra_info("sockname")[1]
        return self

    def close(self):
        for call in self.calls.values():
            if call.rtp:
                call.rtp.close()
        self.transport.close()

    # -- sending ------------------------------------------------------------------------------

    def send(self, text):
        self.transport.sendto(text.encode(), self.server)

    def request(self, method, uri, from_, to, call_id, cseq, body="", extra=""):
        content = "Content-Type: application/sdp\r\n" if body else ""
        self.send(f"{method} {uri} SIP/2.0\r\n"
                  f"Via: SIP/2.0/UDP {self.address}:{self.port};rport;branch=z9hG4bK{token()}\r\n"
                  f"From: {from_}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n"
                  f"Contact: <sip:{self.user}@{self.address}:{self.port}>\r\n"
                  f"Max-Forwards: 70\r\n{extra}{content}Content-Length: {len(body)}\r\n\r\n{body}")

    def reply(self, request, status, tag="", body=""):
        lines = [f"SIP/2.0 {status}"]
        for name in ("via", "record-route", "from"):
            lines += [f"{name.title()}: {value}" for value in request.headers.get(name, [])]
        to = request.get("to")
        lines.append(f"To: {to}" + (f";tag={tag}" if tag and ";tag=" not in to else ""))
        lines += [f"Call-ID: {request.get('call-id')}", f"CSeq: {request.get('cseq')}",
                  f"Contact: <sip:{self.user}@{self.address}:{self.port}>"]
        lines += ["Content-Type: application/sdp"] if body else []
        self.send("\r\n".join(lines) + f"\r\nContent-Length: {len(body)}\r\n\r\n{body}")

    def sdp(self, rtp):
        return f"v=0\r\no=- 1 1 IN IP4 {self.address}\r\ns=-\r\nc=IN IP4 {self.address}\r\n" \
               f"t=0 0\r\nm=audio {rtp.port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"

    # -- receiving ----------------------------------------------------------------------------

    def datagram_received(self, data, address):
        message = Message(data)
        if message.status:
            queue = self.waiting.get((message.get("call-id"), message.method))
            if queue:
                queue.put_nowait((time.monotonic(), message))
        elif message.method == "INVITE":
            asyncio.get_running_loop().create_task(self.take_invite(message))
        elif message.method in ("BYE", "CANCEL"):
            self.reply(message, "200 OK")
            call = self.calls.get(message.get("call-id"))
            if call:
                call.ended_at = time.monotonic()
                call.rtp.close()
        elif message.method != "ACK":
            self.reply(message, "200 OK")

    async def take_invite(self, invite):
        call_id = invite.get("call-id")
        if call_id in self.calls:
            return  # retransmitted
        call = self.calls[call_id] = Call(call_id, None)
        call.invited_at = time.monotonic()
        tag = token()
        self.reply(invite, "180 Ringing", tag)
        if self.on_call:
            self.on_call(call)
        call.rtp = await Rtp.open(self.address)
        if self.answer:
            call.answered_at = time.monotonic()
            self.reply(invite, "200 OK", tag, self.sdp(call.rtp))
            call.rtp.start(invite.media())

    async def final(self, call_id, method, on_ringing=None):
        """(when, the final answer) to a request that was just sent."""
        queue = self.waiting.setdefault((call_id, method), asyncio.Queue())
        while True:
            at, message = await asyncio.wait_for(queue.get(), TIMEOUT_S)
            if message.status >= 200:
                return at, message
            if message.status == 180 and on_ringing:
                on_ringing(at)

    # -- what a phone does --------------------------------------------------------------------

    async def transaction(self, method, uri, from_, to, call_id, body="", extra="",
                          on_ringing=None):
        """Sends a request, and again with the answer to a challenge; (when, final answer, cseq,
        when the accepted request was sent)."""
        host = f"{self.server[0]}:{self.server[1]}"
        authentication = ""
        for cseq in (1, 2):
            self.waiting[(call_id, method)] = asyncio.Queue()
            sent_at = time.monotonic()
            self.request(method, uri, from_, to, call_id, cseq, body, authentication + extra)
            at, answer = await self.final(call_id, method, on_ringing)
            if answer.status not in (401, 407):
                return at, answer, cseq, sent_at
            if method == "INVITE":
                self.request("ACK", uri, from_, answer.get("to"), call_id, cseq)
            challenges = answer.headers.get("www-authenticate",
                                            answer.headers.get("proxy-authenticate", []))
            name = "Authorization" if answer.status == 401 else "Proxy-Authorization"
            authentication = f"{name}: " + authorization(challenges[0], self.user, self.secret,
                                                         method, uri) + "\r\n"
        raise PeerError(f"{method} {uri} at {host}: refused: {answer.start}")

    async def register(self):
        host = f"{self.server[0]}:{self.server[1]}"
        me = f"<sip:{self.user}@{host}>"
        _, answer, _, _ = await self.transaction("REGISTER", f"sip:{host}",
                                                 f"{me};tag={token()}", me, token(),
                                                 extra=f"Expires: {self.expires_s}\r\n")
        if answer.status != 200:
            raise PeerError(f"REGISTER of {self.user}: {answer.start}")

    async def call(self, number):
        """Calls; returns the Call once it is answered."""
        host = f"{self.server[0]}:{self.server[1]}"
        call = Call(token(), await Rtp.open(self.address))
        self.calls[call.id] = call
        call.target = f"sip:{number}@{host}"
        call.local = f"<sip:{self.user}@{host}>;tag={token()}"

        def on_ringing(at):
            call.rang_at = call.rang_at or at
        try:
            at, answer, call.cseq, call.invited_at = await self.transaction(
                "INVITE", call.target, call.local, f"<{call.target}>", call.id, self.sdp(call.rtp),
                on_ringing=on_ringing)
        except asyncio.TimeoutError:
            raise PeerError(f"INVITE {number}: no answer") from None
        call.remote = answer.get("to")
        contact = re.search(r"<([^>]+)>", answer.get("contact"))
        call.target = contact.group(1) if contact else call.target
        if answer.status != 200:
            self.request("ACK", call.target, call.local, call.remote, call.id, call.cseq)
            call.rtp.close()
            raise PeerError(f"INVITE {number}: {answer.start}")
        self.request("ACK", call.target, call.local, call.remote, call.id, call.cseq)
        call.answered_at = at
        call.rtp.start(answer.media())
        return call

    async def hang_up(self, call):
        call.rtp.close()
        self.waiting[(call.id, "BYE")] = asyncio.Queue()
        self.request("BYE", call.target, call.local, call.remote, call.id, call.cseq + 1)
        await self.final(call.id, "BYE")
        call.ended_at = time.monotonic()
