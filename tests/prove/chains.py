"""Chains of rules as one formula: where a packet ends."""

from dataclasses import dataclass, field

import z3

from packet import DIRECT

RETURN, ACCEPT, JUMP, END = "return", "accept", "jump", "end"


@dataclass
class Rule:
    """A condition, what happens then, and the words it was read from."""

    condition: z3.BoolRef
    verdict: str
    # The chain of a jump, the outcome of an end.
    target: object = None
    comment: str = None
    text: str = ""


@dataclass
class Rules:
    """The chains of a table, and the base chains of each hook in their order."""

    chains: dict = field(default_factory=dict)
    hooks: dict = field(default_factory=dict)

    def without(self, chain, index):
        """The same without one rule."""
        chains = dict(self.chains)
        chains[chain] = chains[chain][:index] + chains[chain][index + 1:]
        return Rules(chains, self.hooks)

    def ends(self, hook, leaf=lambda chain, index, outcome: outcome):
        """Where a packet ends that enters at this hook. `leaf` may say something
        else of the rule that decides, or of a chain's end (index None)."""
        number = z3.IntVal

        def run(chain, after, depth):
            if depth > 16:
                raise RecursionError(f"chain {chain} is entered too deep")
            end = after
            for index in reversed(range(len(self.chains[chain]))):
                rule = self.chains[chain][index]
                if rule.verdict == JUMP:
                    then = run(rule.target, end, depth + 1)
                elif rule.verdict == RETURN:
                    then = after
                elif rule.verdict == ACCEPT:
                    then = number(leaf(chain, index, DIRECT))
                else:
                    then = number(leaf(chain, index, rule.target))
                end = z3.If(rule.condition, then, end)
            return end

        end = number(leaf(None, None, DIRECT))
        for chain in reversed(self.hooks.get(hook, [])):
            end = run(chain, end, 0)
        return end
