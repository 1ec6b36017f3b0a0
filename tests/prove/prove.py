#!/usr/bin/env python3
"""Shows with z3 that rules that were read back from the kernel treat every
packet alike, or prints the packet that they do not.

Usage: prove.py CASES WITNESSES

CASES has one JSON object on each line: OSM's own rules as iptables-save printed
them, ours as `nft -j` did, what the evaluator behind `osm-cni explain` decides, and
the lists that all were made from. Shown are:

1. OSM's rules and ours send every packet to the same place (with IPv6 `reject`:
   ours reset what OSM's redirect).
2. No packet of an application leaves the pod around the proxy, unless a list,
   loopback or an inclusion list says so.
3. The rules of a list match what the list says, however it was compressed.
4. `explain` says of every packet where the kernel's rules send it.

It checks itself: without any one rule of a case that is `checked`, in the kernel or in
what `explain` follows, there is a difference. WITNESSES gets a packet for each way
through our rules, and where it ends, for the evaluator to be run with.
"""

import json
import sys

import z3

import explain
import iptables
import nft
from packet import DIRECT, RESET, Packet, interfaces


# The lists, whose they are, and the comment of their rules.
LISTS = [
    (name, author, f"{words}: {origin}")
    for name, words in [
        ("outbound_ports", "outbound ports"),
        ("inbound_ports", "inbound ports"),
        ("outbound_ranges", "outbound ranges"),
        ("included_ranges", "included ranges"),
        ("uids", "outbound uids"),
    ]
    for author, origin in [("mesh", "mesh config"), ("pod", "pod annotation")]
]


class Difference(Exception):
    """A packet that is treated otherwise."""


def main():
    cases, witnesses = sys.argv[1:]
    with open(cases, encoding="utf-8") as file:
        cases = [json.loads(line) for line in file]
    found, missed, paths, lists = 0, 0, [], 0
    for case in cases:
        try:
            for family in case["families"]:
                table = Table(case, family)
                table.prove_equal()
                table.prove_nothing_around_the_proxy()
                table.prove_explained()
                lists += table.prove_lists()
                paths += table.paths()
                if case["checked"]:
                    found += table.check_itself()
                    missed += table.check_explain()
        except Difference as difference:
            sys.exit(f"{case['name']}: {difference}\n{json.dumps(case['settings'])}")
    if cases and 0 in (found, missed):
        sys.exit("no rule was left out to see whether that is found")
    with open(witnesses, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(path) + "\n" for path in paths)
    print(
        f"{len(cases)} configurations: every packet is treated alike, and as explain says; {lists}"
        f" lists mean what they say; each of {found} rules, and of {missed} that explain follows, is"
        f" missed when it is left out; {len(paths)} packets to explain"
    )


class Table:
    """One family of a case."""

    def __init__(self, case, family):
        self.case, self.family = case, family
        theirs, ours = family["theirs"], family["ours"]
        names = interfaces(
            iptables.patterns(theirs) | nft.patterns(ours) | set(case["lists"]["interfaces"])
        )
        self.packet = Packet(family["ipv6"], names)
        self.theirs = iptables.read(theirs, self.packet)
        self.ours = nft.read(ours, self.packet)
        self.explained, self.without = family["explained"], family["explained_without"]
        self.reject = family["ipv6"] and case["ipv6"] == "reject"

    def world(self, hook):
        """The packets that there are at a hook."""
        packet, limits = self.packet, [self.packet.valid()]
        if hook == "prerouting":
            # Nothing that arrives has an owner. What is sent inside, OUTPUT saw, and nat
            # chains see a connection once; `reject` has filter chains, which see it again.
            limits.append(z3.Not(packet.owned))
            if not self.reject:
                limits.append(z3.Not(packet.on("lo")))
        elif not packet.ipv6:
            # The one rule that OSM's do not have.
            probe = z3.And(packet.tcp, packet.to_range("127.0.2.1"), packet.port == 15099)
            limits.append(z3.Not(probe))
        return limits

    def find(self, *conditions):
        solver = z3.Solver()
        solver.add(*conditions)
        answer = solver.check()
        if answer == z3.unknown:
            raise Difference(f"z3 does not know: {solver.reason_unknown()}")
        return solver.model() if answer == z3.sat else None

    def difference(self, ours, hook):
        """A packet that ours treat otherwise than theirs."""
        theirs, ours = self.theirs.ends(hook), ours.ends(hook)
        if self.reject:
            # PodIP's own rule leads to the application, not to the proxy.
            redirected = z3.And(theirs != DIRECT, theirs < RESET)
            if hook == "prerouting":
                redirected = z3.And(redirected, z3.Not(self.packet.on("lo")))
            theirs = z3.If(redirected, z3.IntVal(RESET), z3.IntVal(DIRECT))
        model = self.find(*self.world(hook), theirs != ours)
        if model is None:
            return None
        end = lambda formula: self.packet.outcome(model.eval(formula).as_long())
        packet = self.packet.described(model)
        return f"at {hook}, {packet}: OSM's rules {end(theirs)}, ours {end(ours)}"

    def prove_equal(self):
        for hook in ("output", "prerouting"):
            difference = self.difference(self.ours, hook)
            if difference:
                raise Difference(difference)

    def around(self, ours):
        """A packet of an application that leaves the pod around the proxy."""
        packet, lists, proxy = self.packet, self.case["lists"], self.case["proxy"]
        passes = [
            packet.by(proxy["uid"]),
            packet.on("lo"),
            packet.to_range("::1" if packet.ipv6 else "127.0.0.1"),
            self.listed("outbound_ports"),
            self.listed("outbound_ranges"),
            self.listed("uids"),
            z3.Or([packet.on(name) for name in lists["interfaces"]]),
        ]
        if any(lists[author]["included_ranges"] for author in ("mesh", "pod")):
            passes.append(z3.Not(self.listed("included_ranges")))
        stopped = RESET if self.reject else proxy["outbound_port"]
        end = ours.ends("output")
        model = self.find(*self.world("output"), packet.tcp, z3.Not(z3.Or(passes)), end != stopped)
        return packet.described(model) if model is not None else None

    def prove_nothing_around_the_proxy(self):
        packet = self.around(self.ours)
        if packet:
            raise Difference(f"{packet} leaves the pod around the proxy")

    def explained_otherwise(self, decided, hook):
        """A packet that `explain` sends elsewhere than the kernel's rules do."""
        packet = self.packet
        world = [packet.valid(), packet.tcp]
        if hook == "prerouting":
            world.append(z3.Not(packet.owned))
        ours, explained = self.ours.ends(hook), explain.read(decided, hook, packet)
        model = self.find(*world, ours != explained)
        if model is None:
            return None
        end = lambda formula: packet.outcome(model.eval(formula, model_completion=True).as_long())
        return (
            f"at {hook}, {packet.described(model)}: our rules {end(ours)}, explain {end(explained)}"
        )

    def prove_explained(self):
        for hook in ("output", "prerouting"):
            difference = self.explained_otherwise(self.explained, hook)
            if difference:
                raise Difference(difference)

    def listed(self, name, author=None):
        """Whether a packet is in a list, as the list says it."""
        packet = self.packet
        authors = [author] if author else ["mesh", "pod"]
        items = [item for author in authors for item in self.case["lists"][author][name]]
        if name.endswith("_ports"):
            return z3.And(packet.tcp, z3.Or([packet.to_port(first, last) for first, last in items]))
        if name.endswith("_ranges"):
            return z3.Or([packet.to_range(text) for text in items])
        return z3.Or([packet.by(uid) for uid in items])

    def wrong_lists(self, ours):
        """Lists whose rules match something else, each with a packet."""
        rules = [rule for chain in ours.chains.values() for rule in chain]
        for name, author, comment in LISTS:
            matched = z3.Or([rule.condition for rule in rules if rule.comment == comment])
            model = self.find(self.packet.valid(), matched != self.listed(name, author))
            if model is not None:
                yield f"the rules of {comment} are wrong about {self.packet.described(model)}"

    def prove_lists(self):
        """How many lists there were."""
        for wrong in self.wrong_lists(self.ours):
            raise Difference(wrong)
        return sum(bool(self.case["lists"][author][name]) for name, author, _ in LISTS)

    def paths(self):
        """For each rule that can decide, a packet that it decides about."""
        found = []
        for hook in ("output", "prerouting"):
            leaves = {}

            def leaf(chain, index, outcome):
                return leaves.setdefault((chain, index), (len(leaves), outcome))[0]

            decided = self.ours.ends(hook, leaf)
            end = self.ours.ends(hook)
            # every way to the end of the chains, and not only one
            for chain, rules in self.ours.chains.items():
                for index, rule in enumerate(rules):
                    model = self.find(*self.world(hook), self.packet.tcp, rule.condition)
                    if model is not None:
                        found.append(self.path(hook, model, end))
            for number, _ in leaves.values():
                model = self.find(*self.world(hook), self.packet.tcp, decided == number)
                if model is not None:
                    found.append(self.path(hook, model, end))
        return found

    def path(self, hook, model, end):
        end = model.eval(end, model_completion=True).as_long()
        return {
            "case": self.case["name"],
            "hook": hook,
            **self.packet.described(model),
            "end": self.packet.outcome(end),
        }

    def check_itself(self):
        """How many rules were left out; each must be missed, by each law that it serves."""
        count, stopping, listed = 0, 0, {comment for _, _, comment in LISTS}
        for chain, rules in self.ours.chains.items():
            for index, rule in enumerate(rules):
                # redundant, in OSM's own rules too: the accept behind a redirect of all, and
                # a return at a chain's end; and the probe's rule, where all is redirected
                end = rule.verdict == "return" and index == len(rules) - 1
                if end or rule.verdict == "accept" or rule.comment == "validate":
                    continue
                less = self.ours.without(chain, index)
                if not any(self.difference(less, hook) for hook in ("output", "prerouting")):
                    raise Difference(f"rule {index + 1} of {chain} was left out, and nothing found")
                if rule.comment in listed and not any(self.wrong_lists(less)):
                    raise Difference(f"rule {index + 1} of {chain} is in no list")
                stopping += self.around(less) is not None
                count += 1
        if stopping == 0:
            raise Difference("no rule keeps packets from leaving the pod around the proxy")
        return count

    def check_explain(self):
        """How many rules `explain` did not have; each must be missed."""
        for less in self.without:
            hooks = ("output", "prerouting")
            if not any(self.explained_otherwise(less["decisions"], hook) for hook in hooks):
                raise Difference(f"explain without {less['without']}, and nothing found")
        return len(self.without)


if __name__ == "__main__":
    main()
