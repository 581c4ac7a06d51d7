"""Real phones without a screen, speaker or microphone: baresip, linphone and sipp.

A phone plays a WAV file and records what it hears. It is driven from here and what happens to it
is waited for; nothing sleeps for "long enough".
"""
import glob
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time

import ear
from rig import Failure, Ports, Process, inside, wait_until

BARESIP_CODECS = {"pcmu": "pcmu", "pcma": "pcma", "g722": "G722/16000/1", "opus": "opus/48000/2"}

BARESIP_CONFIG = """\
poll_method epoll
sip_listen {address}:{sip_port}
net_interface {address}
call_local_timeout 120
call_max_calls 8
audio_player aubridge,sink
audio_source aufile,{play}
audio_alert aubridge,sink
ausrc_channels 1
auplay_channels 1
audio_buffer 20-160
jitter_buffer_delay 2-10
rtp_ports {rtp_port}-{rtp_last}
rtp_stats yes
module_path /usr/lib/baresip/modules
module g711.so
module g722.so
module opus.so
module aufile.so
module aubridge.so
module sndfile.so
module plc.so
module_tmp uuid.so
module_tmp account.so
module_app contact.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {address}:{ctrl_port}
snd_path {recordings}
statmode_default off
"""


class Baresip(Process):
    """A baresip. `server` ("host:port") makes it register; without one it is called by address.

    `events` holds (seconds, type, event) of everything that its control port told, oldest first.
    """
    log_from, log_to = "baresip is ready.", "terminated by signal"

    def __init__(self, rig, user, server=None, secret="secret", codecs=("pcmu",), play=None,
                 transport="udp", auto_answer=False, address="127.0.0.1", netns=None,
                 account_extra="", register=True):
        self.user, self.address = user, address
        self.sip_port, self.ctrl_port = Ports.take(2), Ports.take(2)
        rtp_port = Ports.take(20)
        folder = rig.path(f"baresip-{user}-{self.sip_port}", "")
        self.recordings = os.path.join(folder, "recordings")
        os.makedirs(self.recordings)
        play = play or ear.make_tone(rig, 440, ear.RATES[codecs[0]])
        with open(os.path.join(folder, "config"), "w") as file:
            file.write(BARESIP_CONFIG.format(
                address=address, sip_port=self.sip_port, ctrl_port=self.ctrl_port, play=play,
                rtp_port=rtp_port, rtp_last=rtp_port + 19, recordings=self.recordings))
        host = server or f"{address}:{self.sip_port}"
        account = f'<sip:{user}@{host};transport={transport}>;auth_user={user};auth_pass={secret}' \
                  f';audio_codecs={",".join(BARESIP_CODECS[codec] for codec in codecs)}' \
                  f';regint={60 if server and register else 0}{account_extra}'
        if auto_answer:
            account += ";answermode=auto"
        with open(os.path.join(folder, "accounts"), "w") as file:
            file.write(account + "\n")
        open(os.path.join(folder, "contacts"), "w").close()
        self.events, self.changed, self.control = [], threading.Condition(), None
        super().__init__(rig, f"baresip-{user}-{self.sip_port}", ["baresip", "-f", folder, "-v"],
                         netns=netns, folder=folder)
        self.connect()

    def connect(self):
        def attempt():
            if not self.is_running():
                raise Failure(f"{self.name} did not start")
            with inside(self.netns):
                try:
                    return socket.create_connection((self.address, self.ctrl_port), 1)
                except OSError:
                    return None
        self.control = wait_until(attempt, 5, f"{self.name} opens its control port")
        self.control.settimeout(None)
        threading.Thread(target=self.read_events, daemon=True).start()

    def read_events(self):
        data = b""
        while True:
            try:
                piece = self.control.recv(65536)
            except OSError:
                return
            if not piece:
                return
            data += piece
            while b":" in data:
                length, rest = data.split(b":", 1)
                if len(rest) <= int(length):
                    break
                event, data = json.loads(rest[:int(length)]), rest[int(length) + 1:]
                with self.changed:
                    self.events.append((time.monotonic(), event.get("type", "RESPONSE"), event))
                    self.changed.notify_all()

    def command(self, command, params=""):
        text = json.dumps({"command": command, "params": params, "token": "t"}).encode()
        self.control.sendall(b"%d:%s," % (len(text), text))

    def wait_event(self, kind, seconds=5, since=0.0):
        """The first event of the kind since the monotonic time `since`, as (seconds, event)."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while True:
                for at, type_, event in self.events:
                    if type_ == kind and at >= since:
                        return at, event
                left = deadline - time.monotonic()
                if left <= 0 or not self.is_running():
                    seen = " ".join(type_ for _, type_, _ in self.events)
                    raise Failure(f"{self.name}: no {kind} within {seconds:g} s (saw: {seen})")
                self.changed.wait(min(left, 0.2))

    def wait_registered(self, seconds=8):
        """By its log: it may be registered before its control port is open."""
        wait_until(lambda: re.search(r"200 OK .*\[\d+ bindings?\]", self.log()), seconds,
                   f"{self.name} is registered")

    def wait_register_failed(self, seconds=8):
        """Waits for the refusal; returns what the phone says of it."""
        refusal = wait_until(lambda: re.search(r"\d{3} (Unauthorized|Forbidden|Not Found)",
                                               self.log()), seconds, f"{self.name} is refused")
        return refusal.group(0)

    def dial(self, target):
        """Starts a call; returns when it did, for `since`."""
        at = time.monotonic()
        self.command("dial", target)
        return at

    def answer(self):
        at = time.monotonic()
        self.command("accept")
        return at

    def hangup(self):
        self.command("hangup")

    def hold(self):
        self.command("hold")

    def resume(self):
        self.command("resume")

    def send_digits(self, digits):
        for digit in digits:
            self.command("sndcode", digit)
            time.sleep(0.15)
            self.command("sndcode", "\x04")  # key released
            time.sleep(0.1)

    def close_reason(self, seconds=5, since=0.0):
        return self.wait_event("CALL_CLOSED", seconds, since)[1].get("param", "")

    def recording(self, side):
        """side "dec": what was heard; "enc": what was sent; of the newest call."""
        files = sorted(glob.glob(os.path.join(self.recordings, f"*-{side}.wav")),
                       key=os.path.getmtime)
        if not files:
            raise Failure(f"{self.name} recorded nothing")
        return files[-1]

    def heard(self):
        return self.recording("dec")

    def sent(self):
        return self.recording("enc")

    def stop(self, how=15, seconds=3):
        if self.control:
            try:
                self.control.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        return super().stop(how, seconds)


LINPHONE_CONFIG = """\
[sip]
sip_port={sip_port}
sip_tcp_port=-1
sip_tls_port=-1
guess_hostname=1
inc_timeout=60
default_proxy={proxy}
use_ipv6=0
ipv6_migration_done=1
media_encryption=none
[net]
mtu=1300
[rtp]
audio_rtp_port={rtp_port}
[sound]
playback_dev_id=
[misc]
log_collection_upload_server_url=
{accounts}
[audio_codec_0]
mime=opus
rate=48000
channels=2
enabled={opus}
[audio_codec_1]
mime=PCMU
rate=8000
enabled={pcmu}
[audio_codec_2]
mime=PCMA
rate=8000
enabled={pcma}
[audio_codec_3]
mime=G722
rate=8000
enabled={g722}
[audio_codec_4]
mime=speex
rate=16000
enabled=0
[audio_codec_5]
mime=speex
rate=8000
enabled=0
[audio_codec_6]
mime=G729
rate=8000
enabled=0
"""

LINPHONE_ACCOUNT = """\
[proxy_0]
reg_proxy=<sip:{server}>
reg_identity=sip:{user}@{host}
reg_expires=300
reg_sendregister=1
publish=0
dial_escape_plus=0
[auth_info_0]
username={user}
passwd={secret}
realm={realm}
"""


class Linphone(Process):
    """A linphonec, driven by typing at it."""

    def __init__(self, rig, user, server=None, secret="secret", realm="", codecs=("pcmu",),
                 play=None, auto_answer=False, netns=None):
        self.user, self.sip_port, rtp_port = user, Ports.take(2), Ports.take(4)
        folder = rig.path(f"linphone-{user}-{self.sip_port}", "")
        # Without this folder it opens no SIP port and says nothing.
        os.makedirs(os.path.join(folder, ".local/share/linphone"))
        self.record = os.path.join(folder, "heard.wav")
        accounts = ""
        if server:
            accounts = LINPHONE_ACCOUNT.format(server=server, host=server, user=user,
                                               secret=secret, realm=realm or server.split(":")[0])
        with open(os.path.join(folder, "linphonerc"), "w") as file:
            file.write(LINPHONE_CONFIG.format(
                sip_port=self.sip_port, rtp_port=rtp_port, proxy=0 if server else -1,
                accounts=accounts, **{codec: int(codec in codecs) for codec in ear.RATES}))
        self.trace = os.path.join(folder, "linphone.trace")
        command = ["linphonec", "-c", os.path.join(folder, "linphonerc"), "-d", "5",
                   "-l", self.trace]
        super().__init__(rig, f"linphone-{user}-{self.sip_port}",
                         command + (["-a"] if auto_answer else []), netns=netns, folder=folder,
                         env={"HOME": folder}, stdin=subprocess.PIPE)
        self.type("soundcard use files")
        self.type(f"record {self.record}")
        if play:
            self.type(f"play {play}")

    def type(self, line):
        self.child.stdin.write(line.encode() + b"\n")
        self.child.stdin.flush()

    def wait_started(self):
        """Waits until its SIP port is open, which it does not say."""
        wait_until(lambda: not Ports.is_free(self.sip_port), 5, f"{self.name} opens its port", 0.1)

    def wait_registered(self, seconds=8):
        """By its trace: what it prints is folded by its line editor."""
        def look():
            with open(self.trace, errors="replace") as trace:
                return "LinphoneRegistrationOk" in trace.read()
        wait_until(lambda: os.path.exists(self.trace) and look(), seconds,
                   f"{self.name} is registered", 0.1)

    def call(self, target):
        self.type(f"call {target}")

    def wait_connected(self, seconds=5):
        self.wait_log("connected.", seconds)

    def answer(self):
        self.type("answer")

    def hangup(self):
        self.type("terminate")

    def stop(self, how=15, seconds=3):
        if self.is_running():
            try:
                self.type("quit")
                self.child.stdin.close()
                self.child.wait(2)
            except (OSError, ValueError, subprocess.TimeoutExpired):
                pass
        return super().stop(how, seconds)


class Sipp(Process):
    """One sipp scenario out of tests/interop/sipp; ends by itself after `calls` calls."""

    def __init__(self, rig, scenario, target=None, user="300", service="301", secret="secret",
                 calls=1, keys=None, address="127.0.0.1", netns=None, port=None, seconds=30,
                 transport="u1", echo=True, options=()):
        self.port = port or Ports.take(2)
        self.rtp_port = Ports.take(8)
        self.errors = rig.path(f"sipp-{scenario}-{self.port}.errors.log")
        xml = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sipp", scenario + ".xml")
        command = ["sipp", "-sf", xml, "-i", address, "-p", self.port, "-mp", self.rtp_port,
                   "-m", calls, "-s", service, "-au", user, "-ap", secret, "-nostdin",
                   "-t", transport, "-timeout", seconds, "-timeout_error", "-trace_err",
                   "-error_file", self.errors, "-key", "user", user]
        command += ["-rtp_echo"] if echo else []
        for key, value in (keys or {}).items():
            command += ["-key", key, value]
        command += options
        if target:
            command.append(target)
        super().__init__(rig, f"sipp-{scenario}-{self.port}", command, netns=netns,
                         env={"TERM": "dumb"})

    def wait_passed(self, seconds=30):
        code = self.wait_exit(seconds)
        if code != 0:
            why = ""
            if os.path.exists(self.errors):
                with open(self.errors, errors="replace") as file:
                    why = " ".join(file.read().split())[:300]
            raise Failure(f"{self.name}: exit code {code}: {why}")


def missing_programs():
    return [name for name in ("baresip", "linphonec", "sipp", "sox", "espeak-ng")
            if not shutil.which(name)]
