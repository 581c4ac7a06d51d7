"""A node is revoked while it talks: one command at one supernode, and it is out within 5 s."""
import glob
import time

from node import SANITIZER_OPTIONS, Realm, Sallyport, binary, run_tool
from rig import Failure, Ports, Process, wait_until

SOON = 5  # seconds
WORDS = "its certificate was revoked"


def revoked_during_a_call(rig):
    """realm revoke and realm publish at one of two supernodes: the call ends at both ends with the
    reason, the node cannot come back, another call goes on, and all of them keep the list."""
    first, second = (f"127.0.0.1:{Ports.take(2)}" for _ in range(2))
    realm = Realm(rig, [first])
    roles = ("supernode", "relay")
    hubs = [Sallyport(rig, "hub1", realm.enrol("hub1", roles=roles), roles=roles, listen=first),
            Sallyport(rig, "hub2", realm.enrol("hub2", roles=roles), roles=roles, listen=second)]
    hubs[0].wait_ready()
    hubs[1].wait_ready(attached=2)
    realm.supernodes = [second]
    office = Sallyport(rig, "office", realm.enrol("office"), roles=("gateway",), phones=("201",),
                       routes={"echo": ("^echo$", "service:echo")}).wait_ready(attached=2)
    realm.supernodes = [first]
    thief = realm.enrol("thief", roles=("client",))
    enrolments = [realm.enrol(name, roles=("client",)) for name in ("honest", "operator")]
    hubs[0].wait_records(1)
    stolen = peer(rig, "stolen", thief)
    honest = peer(rig, "honest", enrolments[0])
    for caller in (stolen, honest):
        caller.wait_log("are talking")

    run_tool("realm", "revoke", "--realm", realm.folder, thief)
    since = time.monotonic()
    said = run_tool("realm", "publish", "--realm", realm.folder, "--enrolment", enrolments[1])
    published = time.monotonic() - since
    if "holds list number 1 with 1 certificate" not in said:
        raise Failure(f"publish says: {said}")
    wait_until(lambda: len(office.live_calls()) == 1, SOON - published, "the call is over")
    ended = time.monotonic() - since
    if WORDS not in str(office.last_call()):
        raise Failure(f"the call ended like this: {office.last_call()}")
    stolen.wait_exit(SOON)
    stolen.wait_log("our certificate was revoked", 1)
    for hub in hubs:
        hub.wait_log("revocation list number 1 is in force", SOON)

    # Not by another door, and not after all have started again.
    again = peer(rig, "again", thief)
    if again.wait_exit(20) == 0 or "revoked" not in again.log():
        raise Failure(f"the stolen enrolment is good still:\n{again.log()}")
    if honest.wait_exit(20) != 0 or len(office.live_calls()) != 0:
        raise Failure(f"the other call did not last:\n{honest.log()}")
    hubs[1].restart().wait_ready(attached=2)
    if "list number 1" not in run_tool("status", "-c", hubs[1].settings):
        raise Failure("hub2 has not read the list that it kept")
    if not glob.glob(rig.path("hub2.state", "revoked-*")):
        raise Failure("hub2 has not kept the list")
    return f"published after {published:.2f} s, cut off after {ended:.2f} s"


def peer(rig, name, enrolment):
    """A native peer with a state folder of its own, that calls the echo for 12 s."""
    settings = rig.write(f"{name}.conf", f'realm {{ enrolment = "{enrolment}" }}\n'
                         f'state_dir = "{rig.path(name + ".state", "")}"\n')
    return Process(rig, name, [binary(), "call", "--config", settings, "echo@office",
                               "--seconds", 12],
                   env=SANITIZER_OPTIONS)
