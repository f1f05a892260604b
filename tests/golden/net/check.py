"""dstrain against what transformers and peft computed for the same models (tests/parity/net_parity.py --write)."""
import glob
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import net_case as nc


def main():
    failed, n = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        data, sft = nc.make_data(folder), nc.make_sft(folder)
        for path in sorted(glob.glob(os.path.join(nc.HERE, "*.json"))):
            with open(path) as f:
                want = json.load(f)
            name = want["case"]
            model = nc.make_model(folder, name)
            got = nc.logits(folder, model, nc.IDS)
            worst = max(abs(x - got[int(i)][j]) for i, row in want["logits"].items() for j, x in enumerate(row))
            n += 1
            ok = worst < 1e-4
            failed += not ok
            print("%s %d - %s: logits within %.2g" % ("ok" if ok else "not ok", n, name, worst))
            runs = [(method, data, losses) for method, losses in sorted(want["losses"].items())]
            runs += [(method, sft, losses) for method, losses in sorted(want.get("sft", {}).items())]
            for method, what, losses in runs:
                losses = losses[:10]  # the others are compared where transformers is
                _, lines = nc.train(folder, model, what, method, "-".join((name, method, os.path.basename(what))), steps=len(losses),
                                    extra=["--schedule", "constant"])
                worst = max(abs(a["loss"] - b) / b for a, b in zip(lines, losses))
                ok = worst < 1e-3
                n += 1
                failed += not ok
                print("%s %d - %s, %s%s: losses of %d steps within %.2g" % ("ok" if ok else "not ok", n, name, method,
                                                                           ", loss mask" if what == sft else "", len(losses), worst))
    print("1..%d" % n)
    sys.exit(1 if failed or not n else 0)


main()
