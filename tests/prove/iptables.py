"""Reads what iptables-save prints of a nat table. What it does not know is
refused, never passed over."""

import shlex

import z3

from chains import ACCEPT, END, JUMP, RETURN, Rule, Rules
from packet import Refused


def patterns(text):
    """The interfaces that rules name."""
    words = text.split()
    return {words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-i", "-o")}


def read(text, packet):
    """The rules of a dump."""
    rules = Rules(hooks={"prerouting": ["PREROUTING"], "output": ["OUTPUT"]})
    for line in text.splitlines():
        if line.startswith("#") or line in ("*nat", "COMMIT", ""):
            continue
        if line.startswith(":"):
            name, policy = line[1:].split()[:2]
            if policy not in ("ACCEPT", "-"):
                raise Refused(line)
            rules.chains.setdefault(name, [])
        elif line.startswith("-A "):
            chain, rule = read_rule(line, packet)
            rules.chains[chain].append(rule)
        else:
            raise Refused(line)
    for chain in ("INPUT", "POSTROUTING"):
        if rules.chains.get(chain):
            raise Refused(f"a rule in {chain}")
    return rules


def read_rule(line, packet):
    words = shlex.split(line)
    chain, words = words[1], words[2:]
    conditions, comment, verdict, target = [], None, None, None
    negated = False

    def add(condition):
        nonlocal negated
        conditions.append(z3.Not(condition) if negated else condition)
        negated = False

    while words:
        word = words.pop(0)
        if word == "!":
            negated = True
        elif word == "-p":
            if words.pop(0) != "tcp" or negated:
                raise Refused(line)
            add(packet.tcp)
        elif word == "-m":
            if words.pop(0) not in ("tcp", "multiport", "owner", "comment"):
                raise Refused(line)
        elif word == "--dport":
            add(to_ports(words.pop(0), packet))
        elif word == "--dports":
            add(z3.Or([to_ports(ports, packet) for ports in words.pop(0).split(",")]))
        elif word == "-d":
            add(packet.to_range(words.pop(0)))
        elif word in ("-i", "-o"):
            add(packet.on(words.pop(0)))
        elif word == "--uid-owner":
            # With `!` it matches a packet without an owner as well.
            add(packet.by(int(words.pop(0))))
        elif word == "--comment":
            comment = words.pop(0)
        elif word == "-j":
            verdict, target = read_target(words.pop(0), words, packet, line)
        else:
            raise Refused(line)
    if verdict is None or negated:
        raise Refused(line)
    return chain, Rule(z3.And(conditions), verdict, target, comment, line)


def read_target(name, words, packet, line):
    if name == "RETURN":
        return RETURN, None
    if name == "ACCEPT":
        return ACCEPT, None
    if name == "REDIRECT" and words[:1] == ["--to-ports"]:
        words.pop(0)
        return END, int(words.pop(0))
    if name == "DNAT" and words[:1] == ["--to-destination"]:
        words.pop(0)
        return END, packet.to_address(words.pop(0))
    if name.isupper() and "PROXY_" in name:
        return JUMP, name
    raise Refused(line)


def to_ports(text, packet):
    first, _, last = text.partition(":")
    return packet.to_port(int(first), int(last or first))
