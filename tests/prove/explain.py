"""Reads what the evaluator behind `osm-cni explain` decides about packets. What it
does not know is refused, never passed over."""

import z3

from packet import Refused


def read(decided, hook, packet):
    """Where a packet ends that enters at this hook."""
    tree = decided[hook]
    conditions = [condition(of, hook, packet) for of in tree["conditions"]]
    nodes = []
    for node in tree["nodes"]:
        if isinstance(node, str):
            nodes.append(z3.IntVal(packet.number(node)))
        else:
            at, yes, no = node
            nodes.append(z3.If(conditions[at], nodes[yes], nodes[no]))
    return nodes[-1]


def condition(of, hook, packet):
    field = of["field"]
    if field == "always":
        return z3.BoolVal(True)
    if field == "interface":
        if of["hook"] != hook:
            raise Refused(f"{of} at {hook}")
        return packet.on(of["pattern"])
    values = [int(value) for value in of["values"]]
    if field == "port":
        found = z3.Or([packet.port & of["mask"] == value for value in values])
    elif field == "address":
        found = z3.Or([packet.address & int(of["mask"]) == value for value in values])
    elif field == "uid":
        found = z3.Or([packet.uid == value for value in values])
        return z3.And(packet.owned, found if of["equal"] else z3.Not(found))
    else:
        raise Refused(of)
    return found if of["equal"] else z3.Not(found)
