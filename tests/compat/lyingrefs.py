#!/usr/bin/env python3
"""Streams of references that claim of records what they are not: lyingrefs.py STORE-ID FOLDER.

good-N.dsr are the same records by value, which a store has to hold first (1), and by reference (2, 3). lie-*.dsr would pass if
claims were believed: chunks are those of good-1, block by block, but their blocks end where none may end."""
import os
import sys

sys.dont_write_bytecode = True
import badstreams  # noqa: E402
import dsr  # noqa: E402
from dsrcol import encode_chunk  # noqa: E402


def stream(schema, store, blocks):
    """blocks: (rows, claims of column 2, or None: by value)."""
    frames, state = [dsr.Frame(b"H", schema.json()), dsr.Frame(b"V", b"[]")], [0, 0]
    for rows, claims in blocks:
        chunks = [encode_chunk(c, [r[k] for r in rows]) for k, c in enumerate(schema.columns)]
        if claims is not None:
            chunks[2] = dsr.Refs(store, zip(map(len, dsr.cut_pieces(chunks[2])), dsr.piece_addresses(chunks[2])), claims)
        chunks.append(dsr.encode_origins(state, [[]] * len(rows)))
        frames += dsr.block_frames(len(rows), chunks)
    frames.append(dsr.end_frame(sum(len(rows) for rows, _ in blocks), len(blocks), 0))
    return dsr.serialise(frames)


def main():
    store, out = bytes.fromhex(sys.argv[1]), sys.argv[2]
    schema, noise = badstreams.refers()[0], badstreams.Noise("lies")
    rows = [[b"r%d" % i, i, noise.text(1 + noise.below(9))] for i in range(200)]
    parts, at = [], 0
    for n, _, _ in dsr.cut_blocks(schema, rows):
        parts.append(rows[at:at + n])
        at += n

    def true(part):
        return [dsr.claim(schema, row) for row in part]

    def lie(part):
        """It ends, and not before."""
        return [(1, h) for _, h in true(part)[:-1]] + [(schema.block[2], true(part)[-1][1] ^ 1)]

    def cuts(*parts):
        return [n for n, _, _ in dsr.cut_blocks(schema, sum(parts, []))]

    def put(name, blocks):
        with open(os.path.join(out, name + ".dsr"), "wb") as f:
            f.write(stream(schema, store, blocks))
    assert len(parts) > 3
    new = [[b"new", None, b"a word more"]]
    put("good-1", [(p, None) for p in parts])
    put("good-2", [(p, true(p)) for p in parts])
    put("good-3", [(parts[0], true(parts[0])), (parts[1], true(parts[1])), (new, None)])
    put("lie-last-first", [(parts[-1], lie(parts[-1])), (parts[0], lie(parts[0]))])
    a, b = next((a, b) for a in parts[:-1] for b in parts[:-1] if a is not b and cuts(a, b) != [len(a), len(b)])
    put("lie-other-order", [(a, lie(a)), (b, lie(b))])
    put("lie-window", [(parts[0], true(parts[0])), (parts[1], lie(parts[1])), (new, None)])


if __name__ == "__main__":
    main()
