#!/usr/bin/env python3
# wgmma.py PTX - registers of products of warpgroups (kernels/cuda/wgmma.h) in what nvcc made of a file: along every path
# through a kernel, nothing reads or writes a register of a product between its wgmma.mma_async and the wait_group that ends
# it, and between the last wgmma.fence and a product nothing writes one of its registers. PTX ISA, "Asynchronous Warpgroup
# Level Matrix Multiply-Accumulate": either is undefined. The asm statements do not tell the compiler, so it may well move
# code there. Prints what is wrong, then how many kernels have such products.
import re
import sys

REGISTER = re.compile(r"%[a-z]+\d+")
JUMP = re.compile(r"(@!?%p\d+ )?(bra|ret|exit)\b[^$]*(\$\w+)?$")
MOST_GROUPS = 3


def blocks_of(body):
    """Basic blocks of statements, and the number of each label's."""
    blocks, labels = [[]], {}
    text = re.sub(r"//[^\n]*|(?<=\n)[{}]", "", body)
    for part in re.split(r"(\$\w+:)|;", text):
        words = " ".join((part or "").split())
        if words.startswith("$"):
            blocks.append([])
            labels[words[:-1]] = len(blocks) - 1
        elif words and not words.startswith("."):
            blocks[-1].append(words)
            if JUMP.match(words):
                blocks.append([])
    return blocks, labels


def operands(product):
    """Registers of the sums, and of a left operand that is in registers."""
    lists = re.findall(r"\{([^}]*)\}", product)
    return frozenset(REGISTER.findall(" ".join(lists)))


class Walk:
    """Of one kernel: what is known at the beginning of a block is (groups in flight, what is not committed), and for each of
    these the registers that may have been written since the last fence."""

    def __init__(self, body):
        self.blocks, self.labels = blocks_of(body)
        self.mine = set()
        for s in (s for b in self.blocks for s in b if s.startswith("wgmma.mma")):
            self.mine |= operands(s)
        self.known, self.todo, self.wrong = {}, [], {}

    def reach(self, block, state, written):
        before = self.known.get((block, state))
        if before is None or not written <= before:
            self.known[block, state] = written | (before or frozenset())
            self.todo.append((block, state))

    def step(self, s, state, written):
        groups, queued = state
        wait = re.match(r"wgmma\.wait_group\S* (\d+)", s)
        if s.startswith("wgmma.fence"):
            return state, frozenset()
        if s.startswith("wgmma.commit"):
            groups += (queued,)
            if len(groups) > MOST_GROUPS:  # nobody waits for them
                groups = (groups[0] | groups[1],) + groups[2:]
            return (groups, frozenset()), written
        if wait:
            left = int(wait.group(1))
            return (groups[max(len(groups) - left, 0):], queued), written
        if s.startswith("wgmma.mma"):
            if operands(s) & written:
                self.wrong[s[:70]] = "written between the fence and it: " + min(operands(s) & written)
            return (groups, queued | operands(s)), written
        named = set(REGISTER.findall(s)) & self.mine
        for r in named & queued.union(*groups):
            self.wrong[s[:70]] = "touched while a product has it: " + r
        return state, written | named

    def all(self):
        self.reach(0, ((), frozenset()), frozenset())
        while self.todo:
            block, state = self.todo.pop()
            written, falls = self.known[block, state], True
            for s in self.blocks[block]:
                jump = JUMP.match(s)
                if jump and jump.group(3):
                    self.reach(self.labels[jump.group(3)], state, written)
                if jump:
                    falls = jump.group(1) is not None
                else:
                    state, written = self.step(s, state, written)
            if falls and block + 1 < len(self.blocks):
                self.reach(block + 1, state, written)
            elif not falls and not jump.group(3) and state != ((), frozenset()):
                self.wrong[s] = "a thread ends before its products do"
        return self.wrong


with open(sys.argv[1], encoding="ascii") as f:
    kernels = f.read().split(".entry ")[1:]
seen = 0
for kernel in kernels:
    name, body = kernel.split("(", 1)[0], kernel.split("\n{", 1)[1]
    seen += "wgmma.mma" in body
    for statement, why in Walk(body).all().items():
        print(f"{name}: {statement}: {why}")
print(seen)
