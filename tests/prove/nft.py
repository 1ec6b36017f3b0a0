"""Reads what `nft -j list table` prints. What it does not know is refused, never
passed over."""

import ipaddress
import json

import z3

from chains import ACCEPT, END, JUMP, RETURN, Rule, Rules
from packet import RESET, Refused

TYPES = {"ipv4_addr", "ipv6_addr", "inet_service", "uid"}


def objects(text):
    for item in json.loads(text)["nftables"]:
        [(kind, value)] = item.items()
        yield kind, value


def patterns(text):
    """The interfaces that rules name."""
    names = set()
    for kind, rule in objects(text):
        for expression in rule.get("expr", []) if kind == "rule" else []:
            match = expression.get("match", {})
            if match.get("left", {}).get("meta", {}).get("key") in ("iifname", "oifname"):
                names.add(match["right"].replace("*", "+"))
    return names


def read(text, packet):
    """The rules of a table."""
    rules, sets, bases = Rules(), {}, []
    for kind, value in objects(text):
        if kind in ("metainfo", "table"):
            continue
        if kind == "set":
            if value["type"] not in TYPES or set(value.get("flags", [])):
                raise Refused(value)
            sets[value["name"]] = value.get("elem", [])
        elif kind == "chain":
            rules.chains[value["name"]] = []
            if "hook" in value:
                if value["policy"] != "accept" or value["hook"] not in ("prerouting", "output"):
                    raise Refused(value)
                bases.append((value["prio"], value["hook"], value["name"]))
        elif kind == "rule":
            rules.chains[value["chain"]].append(read_rule(value, sets, packet))
        else:
            raise Refused(kind)
    for _, hook, name in sorted(bases):
        rules.hooks.setdefault(hook, []).append(name)
    return rules


def read_rule(rule, sets, packet):
    conditions, verdict, target = [], None, None
    for expression in rule["expr"]:
        if verdict is not None:
            raise Refused(rule)
        [(kind, value)] = expression.items()
        if kind == "match":
            conditions.append(read_match(value, sets, packet))
        elif kind == "counter":
            continue
        elif kind == "return":
            verdict = RETURN
        elif kind == "accept":
            verdict = ACCEPT
        elif kind == "jump":
            verdict, target = JUMP, value["target"]
        elif kind == "redirect" and set(value) == {"port"}:
            verdict, target = END, int(value["port"])
        elif kind == "dnat" and set(value) <= {"addr", "family"}:
            verdict, target = END, packet.to_address(value["addr"])
        elif kind == "reject" and value == {"type": "tcp reset"}:
            verdict, target = END, RESET
        else:
            raise Refused(expression)
    if verdict is None:
        raise Refused(rule)
    return Rule(z3.And(conditions), verdict, target, rule.get("comment"), json.dumps(rule["expr"]))


def read_match(match, sets, packet):
    left, right, op = match["left"], match["right"], match["op"]
    mask = None
    if set(left) == {"&"}:
        left, mask = left["&"]
    [(kind, field)] = left.items()
    if kind == "ct":
        # Every packet here is the first of its connection.
        if field != {"key": "state"} or op not in ("==", "in") or right not in ("new", ["new"]):
            raise Refused(match)
        return z3.BoolVal(True)
    values = sets[right[1:]] if isinstance(right, str) and right.startswith("@") else [right]
    if op not in ("==", "!="):
        raise Refused(match)
    if kind == "meta":
        condition, known = meta(field, mask, values, packet, match)
    elif kind == "payload":
        condition, known = payload(field, mask, values, packet, match)
    else:
        raise Refused(match)
    # `!=` holds for no packet that the field cannot be read of, as `==`.
    return condition if op == "==" else z3.And(known, z3.Not(condition))


def meta(field, mask, values, packet, match):
    """The condition, and of which packets the field can be read."""
    always, key = z3.BoolVal(True), field["key"]
    if mask is not None:
        raise Refused(match)
    if key == "l4proto" and values == ["tcp"]:
        return packet.tcp, always
    if key == "skuid":
        return z3.Or([packet.by(number(value)) for value in values]), packet.owned
    if key in ("iifname", "oifname"):
        return z3.Or([packet.on(value.replace("*", "+")) for value in values]), always
    raise Refused(match)


def payload(field, mask, values, packet, match):
    always, family = z3.BoolVal(True), "ip6" if packet.ipv6 else "ip"
    if field == {"protocol": "tcp", "field": "dport"}:
        # nft does not list the `meta l4proto tcp` before it.
        bits = packet.port if mask is None else packet.port & number(mask)
        found = z3.Or([bits == number(value) for value in values])
        return z3.And(packet.tcp, found), packet.tcp
    if field == {"protocol": family, "field": "daddr"}:
        if mask is None:
            return z3.Or([in_range(value, packet) for value in values]), always
        bits = packet.address & int(ipaddress.ip_address(mask))
        return z3.Or([bits == int(ipaddress.ip_address(value)) for value in values]), always
    raise Refused(match)


def in_range(value, packet):
    if isinstance(value, dict):
        prefix = value["prefix"]
        value = f"{prefix['addr']}/{prefix['len']}"
    return packet.to_range(value)


def number(value):
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(f"{value!r} is no number")
    return value
