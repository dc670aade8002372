"""Dynamo reads its tables of torch's functions once: also when that is while torch is patched."""

import subprocess
import sys

PROGRAM = '''
import sys
import torch
from torch.nn import functional as F
from relume.observe.compiled import CompiledRegions
from relume.observe.intercept import Interception, Switch
from relume.observe.naming import Names
from relume.observe.tap import ArmedTap
from relume.observe.unobserved import Unobserved

def every_kind(z):
    x = torch.relu(z) + z.relu() + torch.Tensor.relu(z) + F.relu(z) + torch._C._nn.gelu(z)
    x = x + F.softplus(z) + z.clamp(min=0) + torch.relu_(z * 2) + F.leaky_relu(z, 0.1)
    return F.cross_entropy(x, torch.zeros(5).long()) + F.mse_loss(x, z) + F.l1_loss(x, z)

def targets():
    """The functions of the one graph that Dynamo makes of it."""
    torch._dynamo.reset()
    graphs = []
    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward
    z = torch.randn(5, 3)
    assert torch.equal(torch.compile(every_kind, backend=backend, fullgraph=True)(z), every_kind(z))
    (graph,) = graphs
    return [node.target for node in graph.graph.nodes if node.op == "call_function"]

assert "torch._dynamo" not in sys.modules
seen = []
for number in range(2):
    unobserved, names = Unobserved(), Names()
    interception = Interception(Switch())
    regions = CompiledRegions(ArmedTap(names, unobserved), names, unobserved)
    interception.install()
    regions.install()
    seen.append(targets())
    regions.remove()
    interception.remove()
    seen.append(targets())
assert torch.relu in seen[0] and torch._C._nn.gelu in seen[0] and F.mse_loss in seen[0]
assert all(each == seen[0] for each in seen)
from torch._dynamo import trace_rules
assert not [each for each in trace_rules.get_torch_obj_rule_map()
            if hasattr(each, "__code__") and "relume" in each.__code__.co_filename]
assert torch.Tensor.relu in trace_rules.get_tensor_method()
print("as ever")
'''


def test_what_dynamo_first_reads_while_patched_is_torch_itself():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("as ever\n", "")
