#!/usr/bin/env python3
"""Makes the golden files of the tokenizer again: python module `tokenizers`, a built dstok, and, for the
ids of the real tokenizers, the folder shared/data/tokenizers.

    tests/golden/tok/gen.py PATH/TO/dstok [SHARED]

small.json is trained by dstok on mixed.txt; the other *.json are its vocabulary with other pipelines.
NAME.ids: what the reference makes of mixed.txt as one text, then of each of its lines.
"""
import copy
import json
import os
import random
import subprocess
import sys

from tokenizers import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))

PROSE = """The quick brown fox jumps over the lazy dog. She'll say it's fine; they've gone, we're here, I'd go, I'm in.
DON'T SHOUT: IT'S LATE, THEY'LL HEAR, WE'VE TIME. Mixed: He'Ll, '\u017fet, o'clock, rock'n'roll, 'tis.
Der Fuchs lief schnell über die Straße; Größe, Übermaß, naïve façade, Ærøskøbing, Łódź, Čeština.
Съешь же ещё этих мягких французских булок, да выпей чаю. Київ, Ђорђе, Ѐлиза.
Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία. Ἀριστοτέλης, ὕδωρ.
敏捷的棕色狐狸跳过懒狗。2024年3月15日，气温23.5℃，涨幅12.75%；用户：张三（男，45岁）。
日本語のテキスト、カタカナとひらがな。ガギグゲゴ・パピプペポー〜「引用」。東京都千代田区1-1-1。
한국어 문장입니다. 대한민국 서울특별시. \u1112\u1161\u11ab\u1100\u1173\u11af decomposed.
مرحبا بالعالم، كيف حالك؟ السَّلامُ عليكم ١٢٣٤٥٦٧.
שָׁלוֹם עוֹלָם, מה שלומך?
नमस्ते दुनिया, आप कैसे हैं? १२३४५ क़ ज़ ड़
สวัสดีชาวโลก วันนี้อากาศดี น้ำใจ ๑๒๓๔
Xin chào thế giới, tiếng Việt có dấu: ế ề ể ễ ệ, e\u0302\u0301 o\u031b\u0301.
Emoji: 🦙🚀👩\u200d🚀👨\u200d👩\u200d👧🇩🇪🏳️\u200d🌈 ☃️ ♥ ✅ ½ ⅷ ² ① Ⅻ.
for (int i = 0; i < n; i++) { sum += a[i] * b[i]; }   // dot product\t\tend
def f(x):\n    return {'a': x ** 2, "b": [1, 22, 333, 4444, 55555]}\n\n\n    # done
SELECT * FROM t WHERE id = 1234567890 AND name LIKE '%O''Brien%';
https://example.org/path?q=1&r=%20#frag user@example.com 192.168.0.1 0xDEADBEEF 1e-10 3.14159
2024-03-15T12:34:56.789Z ERROR [main] c.e.App - failed: code=-42 (retry 3/5)
<|endoftext|> <|endoftext|><|endoftext|> x<|endoftext|>y <|end <think> </think> <sep> <sep>a word<sep>
"""
ODD = ["   ", "\t\t", "a  b   c    d", "\r\n\r\n", "x\r\ry", " \n \n\n  z", "\u00a0\u00a0a", "\u2003\u2003", "\u3000\u3000全角",
       "\u0085a\u0085", "\u2028\u2029", "a\u0301\u0323\u0307 q\u0323\u0307", "\u0344 \u212b \u2126 \u1f71 \u0958 \u2adc",
       "\u0301\u0301 leading marks", "\u0001\u0002a\u0003 \u007f", "\u200b\u200bzero\ufeff", "\ue000\uf8ff\U000f0000",
       "\u180e mongolian \u180e", "１２３４５ ＡＢＣ！＂", "....,,,,!!!!\n\n", " .,!\r\n", "$€£¥ +-*/= <>|~^`", "___a__b_",
       "'s 't 're 've 'm 'll 'd 'S 'RE 'x '", "1 12 123 1234 12345 1234567", "a1b22c333", "中1文22字333", "・・カ・", "ー~",
       "가\u11a8 각 \u1100\u1161", "\ufb01 ﬀ ß ẞ ſ K", "\U0001d400\U0001d7ce \U0001f1e9", "end with space ", "aaaaaaaaaaaaaaaa" * 8,
       "  ".join("abc"), "\u0e33\u0e4d\u0e32", "\u0378\u0379 unassigned", "𝒳𝓎 𞤀𞤁", "no newline at end"]


def text():
    rng = random.Random(20)
    words = PROSE.split(" ") + ODD
    mixed = " ".join(rng.choice(words) + rng.choice(["", "", " ", "\n", "\r\n", "  "]) for _ in range(600))
    return PROSE + "\n".join(ODD) + "\n" + mixed


def split(rx, **more):
    return dict(type="Split", pattern=dict(Regex=rx), **{"behavior": "Isolated", "invert": False, **more})


def byte_level(prefix=False, regex=False):
    return dict(type="ByteLevel", add_prefix_space=prefix, trim_offsets=True, use_regex=regex)


def added(content, **more):
    return dict(dict(id=None, content=content, single_word=False, lstrip=False, rstrip=False, normalized=False,
                     special=False), **more)


# The letters of DeepSeek-LLM's second split: first and last code points.
LETTERS = """41-5A 61-7A B5 C0-D6 D8-F6 F8-1BA 1BC-1BF 1C4-293 295-2AF 370-373 376 377 37B-37D 37F 386 388-38A 38C 38E-3A1 3A3-3F5
3F7-481 48A-52F 531-556 10A0-10C5 13A0-13F5 13F8-13FD 1C90-1CBA 1CBD-1CBF 1D00-1D2B 1D6B-1D77 1D79-1D9A 1E00-1F15 1F18-1F1D
1F20-1F45 1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D 1F5F-1F7D 1F80-1FB4 1FB6-1FBC 1FBE 1FC2-1FC4 1FC6-1FCC 1FD0-1FD3 1FD6-1FDB
1FE0-1FEC 1FF2-1FF4 1FF6-1FFC 2102 2107 210A-2113 2115 2119-211D 2124 2126 2128 212A-212D 212F-2134 2139 213C-213F 2145-2149
214E 2183 2184 2C00-2C7B 2C7E-2CE4 2CEB-2CEE 2CF2 2CF3 A640-A66D A680-A69B A722-A76F A771-A787 A78B-A78E AB70-ABBF FB00-FB06
FB13-FB17 FF21-FF3A FF41-FF5A 10400-1044F 104B0-104D3 104D8-104FB 10C80-10CB2 10CC0-10CF2 118A0-118DF 1E900-1E943"""


def letters():
    ends = ([int(x, 16) for x in r.split("-")] for r in LETTERS.split())
    return "[" + "".join("-".join(map(chr, e)) for e in ends) + "]+"


def variants(small):
    space = r"\s*[\r\n]+|\s+(?!\S)|\s+"
    contraction = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
    llama = contraction + r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + space
    qwen = contraction + r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + space
    cjk = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
    third = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
             " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")
    words = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
             r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
             r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    seq = lambda *parts: dict(type="Sequence", pretokenizers=list(parts))
    template = dict(type="TemplateProcessing",
                    single=[dict(SpecialToken=dict(id="<s>", type_id=0)), dict(Sequence=dict(id="A", type_id=0)),
                            dict(SpecialToken=dict(id="</s>", type_id=0))],
                    pair=[dict(Sequence=dict(id="A", type_id=0)), dict(Sequence=dict(id="B", type_id=1))])
    tags = [added("<s>", special=True), added("</s>", special=True), added("<think>"), added("</think>"),
            added("<sep>", lstrip=True, rstrip=True, normalized=True), added("word", single_word=True, normalized=True),
            added("\u00e9\u00e9", normalized=True), added("<|end", normalized=True), added("  ", normalized=True)]
    yield "qwen2", dict(pre=seq(split(qwen), byte_level()), norm=dict(type="NFC"), tags=tags)
    yield "deepseek", dict(pre=seq(split(r"\p{N}{1,3}"), split(cjk), split(third), byte_level()),
                           norm=dict(type="Sequence", normalizers=[]), tags=tags, post=template, pairs=True)
    yield "gpt2", dict(pre=byte_level(True, True), tags=tags[:2])
    yield "words", dict(pre=seq(split(words, behavior="Removed", invert=True), byte_level()), tags=tags[:5], post=template,
                        ignore=True)
    yield "lines", dict(pre=seq(split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(cjk),
                                dict(type="Digits", individual_digits=True), byte_level()), tags=[])
    wide = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
    yield "llm", dict(pre=seq(split("[\r\n]"), split(r"\s?" + letters()),
                              split("\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"), split(r"\s+$"),
                              split(wide), dict(type="Digits", individual_digits=True), byte_level()), tags=tags[:4])
    yield "coder", dict(pre=seq(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(wide), split(r"\p{N}"),
                                byte_level()), tags=tags[:4])
    norm = lambda *types: dict(type="Sequence", normalizers=[dict(type=t) for t in types])
    rx = lambda a, b: dict(type="Replace", pattern=dict(Regex=a), content=b)
    yield "folded", dict(pre=seq(dict(type="BertPreTokenizer"), byte_level()), tags=tags,
                         norm=norm("Nmt", "NFKC", "Lowercase", "NFD", "StripAccents"))
    forms = norm("NFD", "NFKD")
    forms["normalizers"] += [rx(r"\s{2,}", " "), rx(r"\p{M}+", "")]
    yield "forms", dict(pre=seq(dict(type="Punctuation", behavior="Contiguous"), dict(type="Digits", individual_digits=False),
                                dict(type="CharDelimiterSplit", delimiter="_"), byte_level()), norm=forms)


def variant(small, pre, norm=None, tags=(), post=None, ignore=False, pairs=False):
    j = copy.deepcopy(small)
    j["pre_tokenizer"], j["normalizer"] = pre, norm
    j["model"]["ignore_merges"] = ignore
    for t in tags:
        t = dict(t, id=max([len(j["model"]["vocab"]) - 1] + [a["id"] for a in j["added_tokens"]]) + 1)
        j["added_tokens"].append(t)
    if post:
        ids = {a["content"]: a["id"] for a in j["added_tokens"]}
        j["post_processor"] = dict(post, special_tokens={s: dict(id=s, ids=[ids[s]], tokens=[s]) for s in ("<s>", "</s>")})
    if pairs:
        j["model"]["merges"] = [m.split(" ") for m in j["model"]["merges"]]
    return j


def ids_of(path, whole, lines):
    tok = Tokenizer.from_file(path)
    return "".join(" ".join(map(str, e.ids)) + "\n" for e in tok.encode_batch([whole] + lines))


def main():
    dstok = sys.argv[1]
    at = lambda name: os.path.join(HERE, name)
    whole = text()
    with open(at("mixed.txt"), "w", encoding="utf-8", newline="") as f:
        f.write(whole)
    subprocess.run([dstok, "train", "--vocab-size", "1200", "-o", at("small.json"), at("mixed.txt")], check=True)
    small = json.load(open(at("small.json"), encoding="utf-8"))
    lines = whole.split("\n")
    names = ["small"]
    for name, how in variants(small):
        with open(at(name + ".json"), "w", encoding="utf-8") as f:
            json.dump(variant(small, **how), f, ensure_ascii=False, separators=(",", ":"))
            f.write("\n")
        names.append(name)
    for name in names:
        with open(at(name + ".ids"), "w") as f:
            f.write(ids_of(at(name + ".json"), whole, lines))
    for name in ("deepseek-v3", "qwen2.5", "llama-3"):
        path = os.path.join(sys.argv[2] if len(sys.argv) > 2 else "", "data/tokenizers", name, "tokenizer.json")
        if os.path.exists(path):
            with open(at(name + ".ids"), "w") as f:
                f.write(ids_of(path, whole, lines))


if __name__ == "__main__":
    main()
