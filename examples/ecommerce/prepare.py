#!/usr/bin/env python3
"""Product texts into what is trained on: keeps texts of more than ten characters.

usage: prepare.py FOLDER TEST_SHARE <products.jsonl

Writes into FOLDER: base.jsonl, the texts alone, for the base model; train.jsonl, each text with its
category, for the adapter; test.jsonl, texts with the category as a member of their own; words.txt,
for the tokenizer. Which record is a test is a function of its place: one in TEST_SHARE. A text that
is in the test set already is not trained on.
"""
import json
import sys

MIN = 10


def main():
    folder, share = sys.argv[1], int(sys.argv[2])
    products = [json.loads(line) for line in sys.stdin]
    kept = [p for p in products if len(p["text"]) > MIN]
    test = kept[share - 1::share]
    held = {p["text"] for p in test}
    train = [p for i, p in enumerate(kept) if i % share != share - 1 and p["text"] not in held]
    with open(folder + "/base.jsonl", "w") as base, open(folder + "/train.jsonl", "w") as tuned, \
            open(folder + "/words.txt", "w") as words:
        for p in train:
            print(json.dumps({"id": p["id"], "text": p["text"]}), file=base)
            text = "%s Category: %s." % (p["text"], p["label"])
            print(json.dumps({"id": p["id"], "text": text, "label": p["label"]}), file=tuned)
            print(text, file=words)
    with open(folder + "/test.jsonl", "w") as out:
        for p in test:
            print(json.dumps(p), file=out)
    print("%d products: %d of at most %d characters left out, %d to train on, %d to test"
          % (len(products), len(products) - len(kept), MIN, len(train), len(test)))


if __name__ == "__main__":
    main()
