"""The first packet of a new connection, as variables that z3 chooses."""

import ipaddress

import z3

# Outcomes are numbers: 1 to 65535 is the port that a connection is redirected to.
DIRECT = 0
RESET = 1 << 16


class Refused(Exception):
    """Something in a rule that this program does not know."""


class Packet:
    """Address, port, protocol, owner and interface of a packet in one family."""

    def __init__(self, ipv6, interfaces):
        self.ipv6 = ipv6
        self.bits = 128 if ipv6 else 32
        self.interfaces = sorted(interfaces)
        self.address = z3.BitVec("address", self.bits)
        self.port = z3.BitVec("port", 16)
        self.tcp = z3.Bool("tcp")
        self.owned = z3.Bool("owned")
        self.uid = z3.BitVec("uid", 32)
        self.interface = z3.Int("interface")
        self.targets = []

    def valid(self):
        """An interface is one of the names."""
        return z3.And(self.interface >= 0, self.interface < len(self.interfaces))

    def on(self, name):
        """Whether it goes by this interface; a last `+` stands for any ending."""
        if name.endswith("+"):
            fits = [other.startswith(name[:-1]) for other in self.interfaces]
        else:
            fits = [other == name for other in self.interfaces]
        return z3.Or([self.interface == at for at, fit in enumerate(fits) if fit])

    def to_port(self, first, last):
        return z3.And(z3.UGE(self.port, first), z3.ULE(self.port, last))

    def to_range(self, text):
        """Whether its address is in a range; host bits are ignored."""
        network = ipaddress.ip_network(text, strict=False)
        if (network.version == 6) != self.ipv6:
            return z3.BoolVal(False)
        mask = int(network.netmask)
        return self.address & mask == int(network.network_address)

    def by(self, uid):
        """Whether a process with this uid sends it."""
        return z3.And(self.owned, self.uid == uid)

    def to_address(self, text):
        """The outcome of a connection that is led to another address."""
        address = ipaddress.ip_address(text)
        if address not in self.targets:
            self.targets.append(address)
        return RESET + 1 + self.targets.index(address)

    def outcome(self, number):
        if number == DIRECT:
            return "direct"
        if number == RESET:
            return "reset"
        if number < RESET:
            return f"redirect to :{number}"
        return f"dnat to {self.targets[number - RESET - 1]}"

    def number(self, words):
        """The outcome of these words."""
        kind, _, value = words.rpartition(" ")
        if words == "direct":
            return DIRECT
        if words == "reset":
            return RESET
        if kind == "redirect to" and value.startswith(":"):
            return int(value[1:])
        if kind == "dnat to":
            return self.to_address(value)
        raise Refused(words)

    def described(self, model):
        """The packet that z3 found."""
        value = lambda variable: model.eval(variable, model_completion=True)
        number = lambda variable: value(variable).as_long()
        return {
            "address": str(ipaddress.ip_address(number(self.address).to_bytes(self.bits // 8, "big"))),
            "port": number(self.port),
            "tcp": z3.is_true(value(self.tcp)),
            "uid": number(self.uid) if z3.is_true(value(self.owned)) else None,
            "interface": self.interfaces[number(self.interface)],
        }


def interfaces(patterns):
    """Names that tell the patterns apart: each, and what is just beside it."""
    names = {"lo", "eth0", "net1"}
    for pattern in patterns:
        name = pattern.rstrip("+")
        names |= {name, name + "x", name + "0", name[:-1]}
    return {name for name in names if 0 < len(name) < 16}
