#!/usr/bin/env python3
"""Product texts made from a seed: JSON lines with id, text and label, the same for the same arguments.

usage: gen.py SEED NUMBER >products.jsonl

A text is a title and a few sentences. Most words are shared between the categories, some belong to
two of them, a few to one; every twentieth text is not a text but a filler of at most ten characters,
such as a catalogue has.
"""
import json
import random
import sys

GOODS = {
    "tools": ["hammer", "drill", "saw", "wrench", "clamp", "tape measure", "work lamp", "gloves", "storage box"],
    "garden": ["rake", "hose", "planter", "shears", "seed tray", "bird feeder", "gloves", "bench", "storage box"],
    "kitchen": ["pan", "kettle", "knife", "cutting board", "mixer", "baking tin", "jar", "shears", "towel"],
    "toys": ["puzzle", "kite", "train set", "doll", "building bricks", "board game", "drum", "kettle", "plush bear"],
    "sports": ["racket", "ball", "yoga mat", "helmet", "dumbbell", "skipping rope", "bottle", "towel", "bench"],
}
OWN = {
    "tools": ["Made for the workshop.", "Grips bolts of every size.", "For wood, metal and plaster."],
    "garden": ["Made for beds and borders.", "Stays outside all winter.", "For flowers, lawn and hedges."],
    "kitchen": ["Made for the stove.", "Goes into the dishwasher.", "For dough, soup and roasts."],
    "toys": ["Made for small hands.", "From three years on.", "For birthdays and rainy days."],
    "sports": ["Made for training.", "Light on long matches.", "For the gym, the pitch and the road."],
}
TWO = {
    ("tools", "garden"): ["Handle of ash wood.", "Steel that keeps its edge outdoors."],
    ("kitchen", "garden"): ["Good for herbs.", "Sharp blades, easy to clean."],
    ("toys", "sports"): ["Fun for the whole team.", "Packs small for the park."],
    ("kitchen", "sports"): ["Holds half a litre.", "Free of plasticisers."],
    ("tools", "toys"): ["All parts screw together.", "Batteries are included."],
}
SHARED = ["Two years of warranty.", "Ships within a day.", "Available in blue, green and grey.", "A gift that lasts.",
          "Tested by our customers.", "Returned free of charge.", "Recycled packaging.", "Our best price this year."]
BRANDS = ["Norvik", "Alderly", "Pexo", "Tamsin", "Brightwell", "Okuma", "Ferrand", "Lindqvist"]
KINDS = ["small", "large", "classic", "light", "solid", "compact", "premium", "everyday", "folding", "red", "steel"]
FILLERS = ["n/a", "ok", "see photo", "new", "tbd", "-", "item", "sold out"]


def product(r):
    label = r.choice(sorted(GOODS))
    if r.random() < 0.05:
        return r.choice(FILLERS), label
    said = [r.choice(SHARED)]
    if r.random() < 0.55:
        said.append(r.choice(OWN[label]))
    if r.random() < 0.45:
        said.append(r.choice([s for pair, some in sorted(TWO.items()) if label in pair for s in some]))
    if r.random() < 0.25:
        said.append("Often bought together with %s." % r.choice(sorted(GOODS)))
    r.shuffle(said)
    title = "%s %s %s." % (r.choice(BRANDS), r.choice(KINDS), r.choice(GOODS[label]))
    return " ".join([title] + said), label


def main():
    seed, number = int(sys.argv[1]), int(sys.argv[2])
    r = random.Random(seed)
    for i in range(number):
        text, label = product(r)
        print(json.dumps({"id": "p%06d" % i, "text": text, "label": label}))


if __name__ == "__main__":
    main()
