"""Which way the voice between two types of sites has to take: what they are able to at best.

The types are those of netlab, "open" for a public host with IPv4 and an open TCP port, and "lan"
for a neighbour of the other one.
"""
CONES = {"open", "full", "address"}  # whoever was sent to from there may send back from any port
SYMMETRIC = {"symmetric"}  # the others are restricted to the port that was sent to
IPV6 = {"ipv6", "dual"}
TCP_ONLY = {"blocked", "web", "proxy"}
TYPES = ["open", "full", "address", "nat", "symmetric", "double", "blocked", "web", "proxy", "ipv6",
         "dual"]

BEST = {"udp": 2, "tcp": 1, "relay": 0}


def expected(one, other):
    """"udp" or "tcp" (both direct), or "relay"."""
    kinds = {one, other}
    if "lan" in kinds or kinds <= IPV6:
        return "udp"
    if "ipv6" in kinds:
        return "relay"
    if not kinds & TCP_ONLY and (kinds & CONES or not kinds & SYMMETRIC):
        return "udp"
    return "tcp" if "open" in kinds else "relay"


def is_as_expected(one, other, ways):
    """Nobody minds a better way than the expected one."""
    return all(BEST.get(way, -1) >= BEST[expected(one, other)] for way in ways)
