"""The stories that tests/interop/run plays: each starts what it needs, lets phones call each other
and judges what was heard and told. A story returns a line of figures or raises Failure.
"""
import glob
import os
import re
import socket
import subprocess
import time

import ear
from journals import JOURNALS
from node import NativePeer, Realm, Sallyport, TwoSites, settle
from phones import Baresip, Linphone, Sipp
from revoked import revoked_during_a_call
from rig import Failure, Ports, Process, wait_until
from scripted import early_media_behind_a_nat, hold_in_every_order

CODECS = ("pcmu", "pcma", "g722", "opus")
MD5_ONLY = 'digest = { "md5" }'  # sipp gives up when it sees any other
TALK = 5  # seconds of tone in most stories
HERE = os.path.dirname(os.path.abspath(__file__))


# -- what most stories do ------------------------------------------------------------------------

def phone(rig, user, node, freq=440, codec="pcmu", **more):
    """A registered baresip that plays a tone."""
    play = more.pop("play", None) or ear.make_tone(rig, freq, ear.RATES[codec])
    return Baresip(rig, user, node.server, codecs=[codec], play=play, **more)


def uri(number, node, transport="udp"):
    return f"sip:{number}@{node.server};transport={transport}"


HANDSET = 0.3  # seconds until it is lifted; phones that answer by themselves are other stories


def connect(caller, callee, target, ring_seconds=3):
    """Calls and answers; returns (time of dialling, ms to 180, time of the answer)."""
    since = caller.dial(target)
    rang, _ = callee.wait_event("CALL_INCOMING", ring_seconds, since)
    caller.wait_event("CALL_RINGING", 2, since)
    settle(HANDSET)
    answered = callee.answer()
    callee.wait_event("CALL_ESTABLISHED", 3, since)
    caller.wait_event("CALL_ESTABLISHED", 3, since)
    return since, 1000 * (rang - since), answered


def end(caller, callee, since):
    """The caller hangs up; both must hear of it."""
    caller.hangup()
    callee.close_reason(2, since)
    caller.close_reason(2, since)


def judge_tones(caller, callee, caller_freq, callee_freq):
    """Both ends heard the other's tone in whole; how much was sent is what each recorded of it."""
    there = ear.judge_tone(callee.user, callee.heard(), caller_freq, ear.seconds_of(caller.sent()))
    back = ear.judge_tone(caller.user, caller.heard(), callee_freq, ear.seconds_of(callee.sent()))
    return f"{there} | {back}"


def refused(caller, target, status, within, since=None, text=""):
    """The call must end with this status and phrase within so many seconds."""
    since = since or caller.dial(target)
    at, event = caller.wait_event("CALL_CLOSED", within + 3, since)
    reason, took = event.get("param", ""), at - since
    if not reason.startswith(str(status)):
        raise Failure(f"{target}: ended with {reason!r} instead of {status}")
    if took > within:
        raise Failure(f"{target}: {reason!r} only after {took:.2f} s")
    if text and text.lower() not in reason.lower():
        raise Failure(f"{target}: the phone shows {reason!r}, which does not say {text!r}")
    return f"{reason!r} after {1000 * took:.0f} ms"


def passes(program):
    """Runs a test program that stands beside this file; returns what it says."""
    done = subprocess.run([os.path.join(HERE, program)], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(done.stdout + done.stderr)
    return done.stdout.strip()


def the_ear(rig):
    """Damaged sound is recognised: else nothing below means anything."""
    del rig
    return passes("test_sound")


def the_commands(rig):
    """Every command says what it should, used rightly and wrongly."""
    del rig
    return passes("test_commands")


# -- sound between sites ---------------------------------------------------------------------------

def all_codec_pairs(rig):
    """baresip to baresip through two gateways and a supernode, every codec on either side."""
    sites = TwoSites(rig, berlin=("201", "202", "203", "204"), paris=("301", "302", "303", "304"))
    callers, callees = [], []
    # Opus, a codec for voice, does badly on some lone tones: 660 Hz out of A-law, when it gets it from
    # the very beginning, comes out 7 dB too loud for as long as it lasts. These it does well.
    tones = (680, 760, 700, 740)
    for i, codec in enumerate(CODECS):
        # Every phone has a tone of its own, so that a crossed connection would be heard.
        callers.append(phone(rig, f"20{i + 1}", sites.berlin, 400 + 40 * i, codec))
        callees.append(phone(rig, f"30{i + 1}", sites.paris, tones[i], codec))
    for each in callers + callees:
        each.wait_registered()
    lines, failures = [], []
    for turn in range(len(CODECS)):
        calls = []
        for i in range(len(CODECS)):
            j = (i + turn) % len(CODECS)
            target = uri(f"830{j + 1}", sites.berlin)
            calls.append((i, j, connect(callers[i], callees[j], target)))
        settle(TALK)
        for i, j, (since, ring_ms, _) in calls:
            end(callers[i], callees[j], since)
            pair = f"{CODECS[i]:>4} -> {CODECS[j]:<4}"
            try:
                sound = judge_tones(callers[i], callees[j], 400 + 40 * i, tones[j])
                lines.append(f"{pair} rang after {ring_ms:.0f} ms: {sound}")
            except Failure as failure:
                failures.append(f"{pair}: {failure}")
        settle(1)  # recordings carry the second in their names
    if failures:
        raise Failure("; ".join(failures))
    return "\n".join(["16 of 16 pairs", *lines])


def speech(rig):
    """Speech from Berlin, judged in Paris, for two pairs of codecs."""
    sites = TwoSites(rig, berlin=("201", "202"), paris=("301", "302"))
    results = []
    for user, (here, there) in enumerate((("pcma", "opus"), ("g722", "g722")), 1):
        played, spoken, seconds = ear.make_speech(rig, ear.RATES[here])
        caller = phone(rig, f"20{user}", sites.berlin, codec=here, play=played)
        callee = phone(rig, f"30{user}", sites.paris, 620, there)
        caller.wait_registered()
        callee.wait_registered()
        since, _, _ = connect(caller, callee, uri(f"830{user}", sites.berlin))
        results.append((caller, callee, since, spoken, f"{here} -> {there}"))
    settle(seconds + 0.5)
    texts = []
    for caller, callee, since, spoken, pair in results:
        end(caller, callee, since)
        texts.append(f"{pair}: {ear.judge_speech(callee.user, spoken, callee.heard())}")
    return "; ".join(texts)


def inside_a_site(rig):
    """201 calls 202 at the same gateway."""
    gateway = Sallyport(rig, "alone", phones=("201", "202")).wait_ready()
    caller = phone(rig, "201", gateway, 440, "opus")
    callee = phone(rig, "202", gateway, 620, "pcma")
    caller.wait_registered()
    callee.wait_registered()
    since, ring_ms, _ = connect(caller, callee, uri("202", gateway))
    settle(TALK)
    end(caller, callee, since)
    return f"rang after {ring_ms:.0f} ms, {judge_tones(caller, callee, 440, 620)}"


def tcp_phone(rig):
    """A phone over TCP is called and calls."""
    sites = TwoSites(rig)
    berlin = phone(rig, "201", sites.berlin, 440, transport="tcp")
    paris = phone(rig, "301", sites.paris, 620, "g722")
    berlin.wait_registered()
    paris.wait_registered()
    texts = []
    for caller, callee, target, freqs in (
            (paris, berlin, uri("8201", sites.paris), (620, 440)),
            (berlin, paris, uri("8301", sites.berlin, "tcp"), (440, 620))):
        since, _, _ = connect(caller, callee, target)
        settle(3)
        end(caller, callee, since)
        texts.append(judge_tones(caller, callee, *freqs))
        settle(1)
    return "called: " + texts[0] + "; calls: " + texts[1]


def linphone_to_baresip(rig):
    """A linphone in Berlin calls a baresip in Paris."""
    sites = TwoSites(rig)
    caller = Linphone(rig, "201", sites.berlin.server, realm="berlin.example",
                      play=ear.make_tone(rig, 440, 8000))
    callee = phone(rig, "301", sites.paris, 620, "opus")
    caller.wait_registered()
    callee.wait_registered()
    since = time.monotonic()
    caller.call(f"sip:8301@{sites.berlin.server}")
    callee.wait_event("CALL_INCOMING", 4, since)
    callee.answer()
    callee.wait_event("CALL_ESTABLISHED", 3, since)
    caller.wait_connected()
    settle(TALK)
    caller.hangup()
    callee.close_reason(3, since)
    caller.stop()
    there = ear.judge_tone("baresip", callee.heard(), 440, TALK)
    back = ear.judge_tone("linphone", caller.record, 620, TALK)
    return f"{there} | {back}"


def sipp_calls(rig):
    """sipp calls a baresip at the other site, which hears its own tone back; also without SDP in
    the INVITE."""
    sites = TwoSites(rig, sip_extra=MD5_ONLY)
    callee = phone(rig, "301", sites.paris, 620, "opus", auto_answer=True)
    callee.wait_registered()
    texts = []
    for scenario in ("uac", "uac_offerless"):
        since = time.monotonic()
        sipp = Sipp(rig, scenario, sites.berlin.server, user="201", service="8301", seconds=15)
        callee.wait_event("CALL_ESTABLISHED", 5, since)
        sipp.wait_passed(15)
        callee.close_reason(3, since)
        heard = ear.judge_tone("301", callee.heard(), 620, ear.seconds_of(callee.sent()))
        texts.append(f"{scenario}: {heard}")
        settle(1)
    return "; ".join(texts)


def sipp_is_called(rig):
    """sipp registers and is called: with an answer, and with early media before it."""
    sites = TwoSites(rig, paris=("301", "302"), sip_extra=MD5_ONLY)
    caller = phone(rig, "201", sites.berlin, 440, "g722")
    caller.wait_registered()
    texts = []
    for user, scenario in (("301", "uas"), ("302", "uas_early")):
        port = Ports.take(2)
        Sipp(rig, "register", sites.paris.server, user=user, port=port,
             seconds=5).wait_passed(6)
        sipp = Sipp(rig, scenario, port=port, seconds=25)
        settle(0.3)
        since = caller.dial(uri("8" + user, sites.berlin))
        caller.wait_event("CALL_ESTABLISHED", 8, since)
        settle(TALK)
        caller.hangup()
        sipp.wait_passed(5)
        caller.close_reason(2, since)
        heard = ear.judge_tone("201", caller.heard(), 440, ear.seconds_of(caller.sent()))
        texts.append(f"{scenario}: {heard}")
        settle(1)
    return "; ".join(texts)


def echo_service(rig):
    """600 sends back what it hears."""
    gateway = Sallyport(rig, "alone", phones=("201",),
                        routes={"echo": ("^600$", "service:echo")}).wait_ready()
    caller = phone(rig, "201", gateway, 440, "pcma")
    caller.wait_registered()
    since = caller.dial(uri("600", gateway))
    caller.wait_event("CALL_ESTABLISHED", 3, since)
    settle(TALK)
    caller.hangup()
    caller.close_reason(2, since)
    return ear.judge_tone("201", caller.heard(), 440, ear.seconds_of(caller.sent()))


def native_peer_calls(rig):
    """`sallyport call` calls a phone, plays and records."""
    sites = TwoSites(rig)
    callee = phone(rig, "201", sites.berlin, 620, "pcmu", auto_answer=True)
    callee.wait_registered()
    record = rig.path("native-heard.wav")
    peer = NativePeer(rig, "native", sites.realm.enrol("laptop", roles=("client",)), "201@berlin",
                      play=ear.make_tone(rig, 440, 48000, TALK + 2), record=record, seconds=TALK)
    callee.wait_event("CALL_ESTABLISHED", 8)
    code = peer.wait_exit(TALK + 10)
    if code != 0:
        raise Failure(f"sallyport call ended with {code}")
    callee.close_reason(3)
    there = ear.judge_tone("201", callee.heard(), 440, TALK)
    return f"{there} | {ear.judge_tone('the native peer', record, 620, TALK)}"


def native_peer_answers(rig):
    """A phone calls a native peer that echoes: the echo crosses the overlay twice."""
    rig_routes = {"test": ("^700$", "overlay:echo@bench")}
    address = f"127.0.0.1:{Ports.take(2)}"
    realm = Realm(rig, [address])
    Sallyport(rig, "hub", realm.enrol("hub", roles=("supernode", "relay")),
              roles=("supernode", "relay"), listen=address).wait_ready()
    berlin = Sallyport(rig, "berlin", realm.enrol("berlin"), roles=("gateway",), phones=("201",),
                       routes=rig_routes).wait_ready(attached=1)
    NativePeer(rig, "native", realm.enrol("bench", roles=("client",)), answer=True, echo=True)
    caller = phone(rig, "201", berlin, 440, "g722")
    caller.wait_registered()

    def connected():
        since = caller.dial(uri("700", berlin))
        try:
            caller.wait_event("CALL_ESTABLISHED", 2, since)
            return since
        except Failure:
            caller.hangup()
            return None
    since = wait_until(connected, 10, "the native peer answers", 0.3)
    settle(TALK)
    caller.hangup()
    caller.close_reason(2, since)
    return ear.judge_tone("201", caller.heard(), 440, ear.seconds_of(caller.sent()))


# -- the network of nodes --------------------------------------------------------------------------

def supernodes_die(rig):
    """Each site was told of one of two supernodes; both die during a call, one comes back."""
    first, second = (f"127.0.0.1:{Ports.take(2)}" for _ in range(2))
    realm = Realm(rig, [first])
    roles = ("supernode", "relay")
    hub1 = Sallyport(rig, "hub1", realm.enrol("hub1", roles=roles), roles=roles, listen=first)
    hub2 = Sallyport(rig, "hub2", realm.enrol("hub2", roles=roles), roles=roles, listen=second)
    hub1.wait_ready()
    hub2.wait_ready(attached=1)
    berlin = Sallyport(rig, "berlin", realm.enrol("berlin"), roles=("gateway",), phones=("201",),
                       routes={"paris": ("^8([0-9]+)$", "overlay:\\1@paris")})
    realm.supernodes = [second]
    paris = Sallyport(rig, "paris", realm.enrol("paris"), roles=("gateway",), phones=("301",))
    berlin.wait_ready(attached=2)
    paris.wait_ready(attached=2)
    caller, callee = phone(rig, "201", berlin, 440, "g722"), phone(rig, "301", paris, 620, "pcma")
    caller.wait_registered()
    callee.wait_registered()
    since, ring_ms, _ = connect(caller, callee, uri("8301", berlin))
    settle(1)
    hub1.kill()
    settle(1)
    if not berlin.ask("status")["overlay"]["attached"]:
        raise Failure("the standby did not hold the site")
    hub2.kill()
    settle(2)
    end(caller, callee, since)
    # The hang-up goes by the media's path, and a second later: that much more was sent from Paris.
    talked = ear.seconds_of(caller.sent())
    sound = (ear.judge_tone("301", callee.heard(), 440, talked) + " | " +
             ear.judge_tone("201", caller.heard(), 620, talked))
    gone = refused(caller, uri("8301", berlin), 503, 2)
    hub2.start_again()
    wait_until(lambda: berlin.attached() and paris.attached(), 15, "the sites find hub2 again")
    again, ring_again_ms, _ = connect(caller, callee, uri("8301", berlin))
    end(caller, callee, again)
    return (f"rang after {ring_ms:.0f} ms; both killed: {sound}; then {gone}; "
            f"one back: rang after {ring_again_ms:.0f} ms")


def through_a_proxy(rig):
    """Both sites get out by an HTTP CONNECT proxy (tinyproxy) only: the call goes all the same."""
    port = Ports.take(2)
    settings = rig.write("tinyproxy.conf", f"Port {port}\nListen 127.0.0.1\nTimeout 600\n"
                         "Allow 127.0.0.1\nLogLevel Connect\n")
    proxy = Process(rig, "tinyproxy", ["tinyproxy", "-d", "-c", settings])
    sites = TwoSites(rig, udp=False, overlay_extra=f'proxy = "127.0.0.1:{port}"')
    caller = phone(rig, "201", sites.berlin, 440, "g722")
    callee = phone(rig, "301", sites.paris, 620, "pcma")
    caller.wait_registered()
    callee.wait_registered()
    since, _, _ = connect(caller, callee, uri("8301", sites.berlin))
    settle(TALK)
    end(caller, callee, since)
    if proxy.log().count("CONNECT") < 4:  # two links and two ways to the relay
        raise Failure(f"the proxy was hardly used:\n{proxy.log()[-500:]}")
    return f"{sites.berlin.last_call()['path']}: {judge_tones(caller, callee, 440, 620)}"


# -- what can happen in a call ---------------------------------------------------------------------

def hold_and_resume(rig):
    """The phone in Berlin holds: silence in Paris; resumes: sound again. The one in Paris is a
    linphone, because baresip's recording ends at the first hold."""
    sites = TwoSites(rig)
    holder = phone(rig, "201", sites.berlin, 440, "pcma")
    held = Linphone(rig, "301", sites.paris.server, realm="paris.example", auto_answer=True,
                    play=ear.make_tone(rig, 620, 8000))
    holder.wait_registered()
    held.wait_registered()
    since = holder.dial(uri("8301", sites.berlin))
    holder.wait_event("CALL_ESTABLISHED", 5, since)
    settle(2.5)
    holder.hold()
    settle(3)
    holder.resume()
    settle(2.5)
    holder.hangup()
    holder.close_reason(2, since)
    settle(0.5)
    held.stop()
    got = ear.figures("measure", held.record, "440")
    # Its recording stands still for a part of the pause, so the pause itself cannot be measured;
    # without a hold there would be 8 s of tone.
    text = f"{got['heard_ms'] / 1000:.1f} s of tone, {got['longest_gap_ms']:.0f} ms of silence"
    if not 4500 <= got["heard_ms"] <= 5600 or got["longest_gap_ms"] < 500:
        raise Failure(f"linphone heard {text}, not 5 s with a pause")
    return text


def digits(rig):
    """Digits dialled in a call arrive as RFC 4733 events at the other site, transcoded or not."""
    sites = TwoSites(rig)
    texts = []
    callee = phone(rig, "301", sites.paris, 620, "pcmu", auto_answer=True)
    callee.wait_registered()
    for user, codec in (("201", "pcmu"), ("202", "opus")):
        caller = phone(rig, user, sites.berlin, 440, codec)
        caller.wait_registered()
        since = caller.dial(uri("8301", sites.berlin))
        caller.wait_event("CALL_ESTABLISHED", 5, since)
        settle(0.5)
        caller.send_digits("0159*#")
        settle(0.5)
        end(caller, callee, since)
        got = "".join(event.get("param", "") for at, kind, event in callee.events
                      if kind == "CALL_DTMF_START" and at > since)
        if got != "0159*#":
            raise Failure(f"from {codec}: sent 0159*#, arrived {got!r}")
        texts.append(f"{codec}: {got}")
    return "; ".join(texts)


def cancel(rig):
    """The caller gives up while it rings: the other phone stops ringing at once."""
    sites = TwoSites(rig)
    caller, callee = phone(rig, "201", sites.berlin), phone(rig, "301", sites.paris)
    caller.wait_registered()
    callee.wait_registered()
    since = caller.dial(uri("8301", sites.berlin))
    callee.wait_event("CALL_INCOMING", 3, since)
    caller.wait_event("CALL_RINGING", 2, since)
    gave_up = time.monotonic()
    caller.hangup()
    at, _ = callee.wait_event("CALL_CLOSED", 3, since)
    if at - gave_up > 1:
        raise Failure(f"it rang on for {at - gave_up:.1f} s")
    wait_until(lambda: not sites.berlin.live_calls() and not sites.paris.live_calls(), 3,
               "no call is left")
    return f"rang on for {1000 * (at - gave_up):.0f} ms"


def busy_and_declined(rig):
    """486 stays 486 on its way through both gateways."""
    sites = TwoSites(rig, sip_extra=MD5_ONLY)
    caller, callee = phone(rig, "201", sites.berlin), phone(rig, "301", sites.paris)
    caller.wait_registered()
    callee.wait_registered()
    since = caller.dial(uri("8301", sites.berlin))
    callee.wait_event("CALL_INCOMING", 3, since)
    callee.hangup()  # baresip declines with 486
    declined = refused(caller, "8301", 486, 2, since)
    port = Ports.take(2)
    Sipp(rig, "register", sites.paris.server, user="302", port=port, seconds=5).wait_passed(6)
    sipp = Sipp(rig, "uas_busy", port=port, seconds=10)
    settle(0.3)
    busy = refused(caller, uri("8302", sites.berlin), 486, 2)
    sipp.wait_passed(5)
    return f"declined: {declined}; busy: {busy}"


def restart_keeps_registrations(rig):
    """The gateway is restarted; a call reaches the phone before it registers anew."""
    sites = TwoSites(rig)
    berlin, paris = phone(rig, "201", sites.berlin, 440), phone(rig, "301", sites.paris, 620)
    berlin.wait_registered()
    paris.wait_registered()
    restarted = time.monotonic()
    sites.berlin.restart().wait_ready(attached=1)
    sites.supernode.wait_records(4)
    back = time.monotonic()
    since, _, _ = connect(paris, berlin, uri("8201", sites.paris))
    if any(kind == "REGISTER_OK" and at > restarted for at, kind, _ in berlin.events):
        raise Failure("the phone registered anew, so this proves nothing")
    settle(4)
    end(paris, berlin, since)
    return f"attached again after {back - restarted:.2f} s; {judge_tones(paris, berlin, 620, 440)}"


# -- what must be refused --------------------------------------------------------------------------

def wrong_secret(rig):
    """A phone with a wrong secret cannot register, nor call."""
    gateway = Sallyport(rig, "alone", phones=("201", "202")).wait_ready()
    good = phone(rig, "202", gateway)
    good.wait_registered()
    bad = phone(rig, "201", gateway, secret="not-the-secret")
    registration = bad.wait_register_failed()
    refusal = refused(bad, uri("202", gateway), 40, 3)
    if good.events and any(kind == "CALL_INCOMING" for _, kind, _ in good.events):
        raise Failure("the call of an unknown caller rang")
    return f"registration: {registration}; call: {refusal}"


def unknown_number(rig):
    """404 at once: a number that nobody has here, and one that nobody has over there."""
    sites = TwoSites(rig)
    caller = phone(rig, "201", sites.berlin)
    caller.wait_registered()
    here = refused(caller, uri("299", sites.berlin), 404, 0.5)
    there = refused(caller, uri("8399", sites.berlin), 404, 1)
    return f"here: {here}; there: {there}"


def phone_not_registered(rig):
    """480 at once for a phone that exists but is not registered."""
    sites = TwoSites(rig)
    caller = phone(rig, "201", sites.berlin)
    caller.wait_registered()
    return refused(caller, uri("8302", sites.berlin), 480, 1)


def far_site_offline(rig):
    """480 within 2 s, with words for the display: the far gateway lost its power."""
    sites = TwoSites(rig)
    caller = phone(rig, "201", sites.berlin)
    caller.wait_registered()
    sites.paris.kill()
    killed = refused(caller, uri("8301", sites.berlin), 480, 2, text="paris")
    settle(0.5)
    again = refused(caller, uri("8301", sites.berlin), 480, 2, text="paris")
    return f"just now: {killed}; a little later: {again}"


def far_site_stopped(rig):
    """The same when the far gateway was stopped in order: the site is known, it is only away."""
    sites = TwoSites(rig)
    caller = phone(rig, "201", sites.berlin)
    caller.wait_registered()
    sites.paris.stop()
    return refused(caller, uri("8301", sites.berlin), 480, 2, text="paris")


def no_common_codec(rig):
    """488 when the gateway may only speak what the phone does not."""
    gateway = Sallyport(rig, "alone", phones=("201", "202"), codecs=("pcmu",)).wait_ready()
    caller, callee = phone(rig, "201", gateway, codec="opus"), phone(rig, "202", gateway)
    caller.wait_registered()
    callee.wait_registered()
    from_here = refused(caller, uri("202", gateway), 488, 1)
    to_here = refused(callee, uri("201", gateway), 488, 1)
    return f"caller: {from_here}; callee: {to_here}"


def no_supernode(rig):
    """Without a supernode overlay calls fail at once with 503; calls inside the site go on; when
    the supernode comes up the node finds it."""
    address = f"127.0.0.1:{Ports.take(2)}"
    realm = Realm(rig, [address])
    hub = realm.enrol("hub", roles=("supernode", "relay"))
    berlin = Sallyport(rig, "berlin", realm.enrol("berlin"), roles=("gateway",),
                       phones=("201", "202"),
                       routes={"paris": ("^8([0-9]+)$", "overlay:\\1@paris")}).wait_ready()
    caller, callee = phone(rig, "201", berlin, 440), phone(rig, "202", berlin, 620)
    caller.wait_registered()
    callee.wait_registered()
    refusal = refused(caller, uri("8301", berlin), 503, 0.5)
    since, _, _ = connect(caller, callee, uri("202", berlin))
    settle(4)
    end(caller, callee, since)
    sound = judge_tones(caller, callee, 440, 620)
    up = time.monotonic()
    Sallyport(rig, "hub", hub, roles=("supernode", "relay"), listen=address).wait_ready()
    berlin.wait_ready(attached=1, seconds=30)
    return f"{refusal}; inside: {sound}; found after {time.monotonic() - up:.1f} s"


# -- what arrives from strangers -------------------------------------------------------------------

# Media lines that never let a well-known parser return.
MALFORMED_MEDIA = ("m=image 4000 udptl \t", "m=audio 4000 udptl , ;", "m=message 4000 foo \x01",
                   "m=audio 4000 RTP/AVP 0 \t", "m=audio 99999 RTP/AVP 0", "m=audio -1 RTP/AVP",
                   "m=audio 4000/4294967296 RTP/AVP 0", "m=", "m=audio", "m= 4000 RTP/AVP 0")

INVITE = """\
INVITE sip:202@{host} SIP/2.0\r
Via: SIP/2.0/{transport} 127.0.0.1:{port};branch=z9hG4bK{n};rport\r
From: <sip:201@{host}>;tag=m{n}\r
To: <sip:202@{host}>\r
Call-ID: malformed-{n}@127.0.0.1\r
CSeq: 1 INVITE\r
Contact: <sip:201@127.0.0.1:{port}>\r
Max-Forwards: 70\r
Content-Type: application/sdp\r
Content-Length: {length}\r
\r
{body}"""


def torture_messages():
    """(name, bytes) of the RFC 4475 and RFC 5118 messages."""
    files = sorted(glob.glob(os.path.join(HERE, "corpora", "**", "*.dat"), recursive=True))
    if len(files) < 40:
        raise Failure(f"only {len(files)} messages in {HERE}/corpora")
    messages = []
    for path in files:
        with open(path, "rb") as file:
            messages.append((os.path.basename(path), file.read()))
    return messages


def malformed_invites(host, transport, port):
    for n, line in enumerate(MALFORMED_MEDIA):
        body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" \
               f"{line}\r\na=rtpmap:0 PCMU/8000\r\n"
        yield line, INVITE.format(host=host, transport=transport, port=port, n=f"{transport}{n}",
                                  length=len(body), body=body).encode()


def send_all(node):
    """Sends everything over UDP, and over TCP with a connection for each message."""
    host, port = node.address, node.sip_port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((host, 0))
        own = udp.getsockname()[1]
        messages = torture_messages()
        for _, message in messages + list(malformed_invites(node.server, "UDP", own)):
            udp.sendto(message, (host, port))
            settle(0.02)
    count = 0
    for _, message in messages + list(malformed_invites(node.server, "TCP", own)):
        count += 1
        try:
            with socket.create_connection((host, port), 2) as tcp:
                tcp.sendall(message)
                tcp.settimeout(0.03)
                tcp.recv(4096)
        except OSError:
            pass  # to be hung up on is a fair answer
    return 2 * count


def torture(rig):
    """All of RFC 4475, RFC 5118 and malformed media lines arrive while two phones talk; a build
    with sanitizers takes them. The talk stays whole and the gateway ends cleanly."""
    sites = TwoSites(rig)
    caller = phone(rig, "201", sites.berlin, 440, "g722")
    callee = phone(rig, "301", sites.paris, 620)
    caller.wait_registered()
    callee.wait_registered()
    since, _, _ = connect(caller, callee, uri("8301", sites.berlin))
    settle(1)
    count = send_all(sites.berlin)
    settle(1)
    if not sites.berlin.is_running():
        raise Failure("the gateway is dead")
    end(caller, callee, since)
    sound = judge_tones(caller, callee, 440, 620)
    since, ring_ms, _ = connect(caller, callee, uri("8301", sites.berlin))
    end(caller, callee, since)
    return f"{count} messages; {sound}; the next call rang after {ring_ms:.0f} ms"


def scanner(rig):
    """A stranger who tries names learns nothing: answers are alike, and no phone rings."""
    gateway = Sallyport(rig, "alone", phones=("201",)).wait_ready()
    callee = phone(rig, "201", gateway)
    callee.wait_registered()
    kinds = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((gateway.address, 0))
        udp.settimeout(1)
        for n, user in enumerate(("201", "999", "admin")):
            for method in ("REGISTER", "INVITE"):
                udp.sendto((f"{method} sip:{user}@{gateway.server} SIP/2.0\r\n"
                            f"Via: SIP/2.0/UDP 127.0.0.1:{udp.getsockname()[1]};rport;"
                            f"branch=z9hG4bKs{n}{method}\r\n"
                            f"From: <sip:{user}@{gateway.server}>;tag=s{n}\r\n"
                            f"To: <sip:{user}@{gateway.server}>\r\nCall-ID: scan{n}{method}\r\n"
                            f"CSeq: 1 {method}\r\nContact: <sip:x@127.0.0.1>\r\n"
                            "Content-Length: 0\r\n\r\n").encode(),
                           (gateway.address, gateway.sip_port))
                try:
                    answer = udp.recv(4096).decode(errors="replace")
                    while answer.startswith("SIP/2.0 100"):
                        answer = udp.recv(4096).decode(errors="replace")
                    kinds.add((method, re.split(r"\r\n", answer)[0]))
                except TimeoutError:
                    kinds.add((method, "silence"))
    if any(kind == "CALL_INCOMING" for _, kind, _ in callee.events):
        raise Failure("a stranger's call rang")
    if len(kinds) != 2:
        raise Failure(f"known and unknown names are told apart: {sorted(kinds)}")
    return ", ".join(f"{method}: {answer}" for method, answer in sorted(kinds))


STORIES = [
    the_ear, the_commands, all_codec_pairs, speech, inside_a_site, tcp_phone,
    linphone_to_baresip, sipp_calls, sipp_is_called, echo_service, native_peer_calls,
    native_peer_answers, supernodes_die, revoked_during_a_call, through_a_proxy, hold_and_resume,
    hold_in_every_order, early_media_behind_a_nat, digits, cancel,
    busy_and_declined, restart_keeps_registrations, wrong_secret, unknown_number,
    phone_not_registered, far_site_offline, far_site_stopped, no_common_codec, no_supernode,
    torture, scanner, *JOURNALS,
]
