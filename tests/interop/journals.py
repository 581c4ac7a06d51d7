"""Stories about what `sallyport why` tells of a call: of a good one, and of those that fail."""
import re

from node import TwoSites, settle
from phones import Baresip, Sipp
from rig import Failure, Ports, wait_until


def expect(told, *texts):
    """Each text stands in what was told, in this order."""
    at = 0
    for text in texts:
        found = re.compile(text).search(told, at)
        if not found:
            raise Failure(f"not told (in this place): {text!r}; but:\n{told}")
        at = found.end()
    return told.strip().splitlines()[-1]


def call_of(node, caller, target, seconds=3):
    """Dials; the id of the call that comes of it, and when it was dialled."""
    since = caller.dial(target)
    return wait_until(node.live_calls, seconds, f"{node.node} has a call")[0]["id"], since


def uri(number, node):
    return f"sip:{number}@{node.server}"


def why_of_a_good_call(rig):
    """Both ends tell the story of one call under one id, while it lasts and afterwards."""
    sites = TwoSites(rig)
    caller = Baresip(rig, "201", sites.berlin.server, codecs=["pcma"])
    callee = Baresip(rig, "301", sites.paris.server, codecs=["pcmu"], auto_answer=True)
    caller.wait_registered()
    callee.wait_registered()
    call, since = call_of(sites.berlin, caller, uri("8301", sites.berlin))
    caller.wait_event("CALL_ESTABLISHED", 3, since)
    settle(3)
    live = expect(sites.berlin.why(), f"call {call}: 201 to 301@paris, .*, up",
                  "Good so far: direct over UDP")
    caller.hangup()
    caller.close_reason(2, since)
    sites.berlin.last_call()
    over = expect(
        sites.berlin.why(call[:6]), "sip .*INVITE from 127.0.0.1:[0-9]+ over UDP.*phone 201",
        "route .*201 dialled 8301: the overlay address 301@paris, by .paris.",
        "overlay .*asks the directory who serves paris", "overlay .*paris is served by",
        "overlay .*offered to paris through our home", "call .*301@paris rings",
        "call .*301@paris answers 201", "media .*201 speaks pcma, 301@paris speaks opus: transcoded",
        "call .*201 hangs up .Q.850 16", "call .*the call is over: normal", "media .*201: [0-9]+ packets came",
        "Good call: direct over UDP.*, no gap longer than [0-9]+ ms")
    told = sites.berlin.why(call)
    for text in ("first voice from 201", "first voice from 301@paris", "path .* udp [^ ]+ works",
                 "RTP of 201 comes from 127.0.0.1:[0-9]+, as its SDP says"):
        expect(told, text)
    sites.paris.last_call()
    expect(sites.paris.why(call), "overlay .*201@berlin calls 301, and offers opus",
           "route .*201@berlin dialled 301: phone 301", "sip .*INVITE goes to 127.0.0.1",
           "sip .*200 .*from 127.0.0.1", "201@berlin hangs up", "Good call: direct over UDP")
    again, since = call_of(sites.berlin, caller, uri("8301", sites.berlin))
    caller.wait_event("CALL_ESTABLISHED", 3, since)
    caller.hangup()
    caller.close_reason(2, since)
    expect(sites.berlin.why(again), "path .*the path of earlier calls is still there")
    return f"{live} | {over}"


def why_of_failures(rig):
    """A wrong password, a phone without RTP, a site that nobody serves, a number that nobody has."""
    sites = TwoSites(rig, sip_extra='digest = { "md5" }')
    stranger = Baresip(rig, "202", sites.berlin.server, secret="wrong", register=False)
    since = stranger.dial(uri("201", sites.berlin))
    stranger.close_reason(3, since)
    password = expect(sites.berlin.why(), "INVITE of .202. for 201 from 127.0.0.1.*its password",
                      "Refused: phone 202 sent a wrong password")

    caller = Baresip(rig, "201", sites.berlin.server, codecs=["pcmu"])
    caller.wait_registered()
    port = Ports.take(2)
    Sipp(rig, "register", sites.paris.server, user="301", port=port, seconds=5).wait_passed(6)
    mute = Sipp(rig, "uas", port=port, seconds=25, echo=False)
    settle(0.3)
    call, since = call_of(sites.berlin, caller, uri("8301", sites.berlin))
    caller.wait_event("CALL_ESTABLISHED", 5, since)
    settle(3)
    caller.hangup()
    mute.wait_passed(5)
    sites.paris.last_call()
    one_way = expect(sites.paris.why(call), "no packet came from 301",
                     "One-way audio: no RTP came from phone 301, which should send it from 127.0.0.1")
    expect(sites.berlin.why(call), "One-way audio: nothing came from 301@paris by udp")

    for number, text in (("8999", "Site paris has no such number"),
                         ("777", "No such number: no phone and no route matches 777"),
                         ("8302", "At site paris: Phone is not registered")):
        since = caller.dial(uri(number, sites.berlin))
        caller.close_reason(3, since)
        expect(sites.berlin.why(), text)
    Baresip(rig, "302", sites.paris.server, secret="wrong").wait_register_failed()
    caller.close_reason(3, caller.dial(uri("8302", sites.berlin)))
    expect(sites.paris.why(), "Phone 302 is not registered: it tried from 127.0.0.1.*password")
    return f"{password} | {one_way}"


JOURNALS = [why_of_a_good_call, why_of_failures]
