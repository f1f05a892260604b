#!/usr/bin/env bats
# dsprep decontaminate: records that share runs of words with evaluation sets, against an independent reckoning.

load dsprep_common

# words SEED N: N words of a small vocabulary.
words() { awk -v s="$1" -v n="$2" 'BEGIN { for (i = 0; i < n; i++) { s = (s * 16807 + 11) % 2147483647; printf "%sw%d", i ? " " : "", s % 5000 } }'; }

# eval.dsr: q0 .. q9 of 40 words, short (10 words), tiny (5). t.dsr: t0 .. t29 of 60 words; some hold parts of them.
sets() {
    local i
    for i in $(seq 0 9); do printf '{"id":"q%d","text":"%s"}\n' "$i" "$(words $((i + 100)) 40)"; done >eval.jsonl
    printf '{"id":"short","text":"%s"}\n{"id":"tiny","text":"%s"}\n' "$(words 300 10)" "$(words 301 5)" >>eval.jsonl
    for i in $(seq 0 29); do
        case $i in
        3) t="$(words 900 20) $(words 103 40) $(words 901 5)" ;;                                # all of q3
        7) t="$(words 902 30) $(words 105 40 | cut -d' ' -f5-17 | tr a-z A-Z | sed 's/ /, /g')." ;; # 13 words of q5, written otherwise
        8) t="$(words 903 30) $(words 105 40 | cut -d' ' -f5-16) $(words 904 9)" ;;               # 12 are too few
        9) t="$(words 905 9) $(words 300 10) $(words 906 9)" ;;                                  # the short one, whole
        10) t="$(words 907 9) $(words 300 9) $(words 908 9)" ;;                                  # not whole
        11) t="$(words 909 9) $(words 301 5) $(words 910 9)" ;;                                  # the tiny one
        12) t="$(words 106 20) $(words 911 5) $(words 107 40)" ;;                                # half of q6, all of q7
        *) t=$(words $((i + 2000)) 60) ;;
        esac
        printf '{"id":"t%d","text":"%s"}\n' "$i" "$t"
    done >t.jsonl
    dsprep text -q --key-field id eval.jsonl >eval.dsr
    dsprep text -q --key-field id t.jsonl >t.dsr
}

# What there is in common, reckoned without the program: "t q common of".
reckon() {
    jq -r '[.id, (.text | ascii_downcase | gsub("[^a-z0-9 ]"; ""))] | @tsv' eval.jsonl t.jsonl | awk -F'\t' -v n="$1" -v least="$2" '
        function run(w, i, l,   r, k) { r = l; for (k = 0; k < l; k++) r = r " " w[i + k]; return r }
        { c = split($2, w, / +/) }
        $1 !~ /^t[0-9]/ { l = c < n ? c : n; if (l < least) next
            lens[l] = 1; for (i = 1; i + l - 1 <= c; i++) { r = run(w, i, l); if (!((r, $1) in has)) { has[r, $1] = 1; who[r] = who[r] " " $1; of[$1]++ } } }
        $1 ~ /^t[0-9]/ { split("", seen); split("", hits)
            for (name in lens) for (i = 1 + 0 * (l = name + 0); i + l - 1 <= c; i++) { r = run(w, i, l); if ((r in who) && !(r in seen)) { seen[r] = 1
                m = split(who[r], q, " "); for (k = 1; k <= m; k++) hits[q[k]]++ } }
            for (q1 in hits) print $1, q1, hits[q1], of[q1] }' | sort
}

@test "decontaminate: what it finds is what an independent reckoning finds; accounts add up" {
    sets
    exits 0 dsprep decontaminate --against eval.dsr --report hits.jsonl --rejects r.dsr -o c.dsr t.dsr
    has '30 input = 26 output + 4 held: 4 overlap' '5 of 12 evaluation records' '1 of them have fewer than 8 words'
    jq -r '[.key, .record, .runs, .of] | join(" ")' hits.jsonl | sort >got
    reckon 13 8 | cmp - got
    [ "$(cut -d' ' -f1,2 got | tr '\n' ' ')" = 't12 q6 t12 q7 t3 q3 t7 q5 t9 short ' ]
    dsprep cat r.dsr | jq -r '.key + " " + .reason + " " + .note' >notes
    grep -qx 't3 overlap eval q3: 28 of 28' notes
    grep -qx 't12 overlap eval q7: 28 of 28' notes # the one it has most of
    [ "$(dsprep info --json c.dsr | jq -c '[.records, .held]')" = '[26,{"decontaminate: overlap":4}]' ]
    # The words in common, as they are written.
    [ "$(jq -r 'select(.key == "t7").text' hits.jsonl | tr 'A-Z' 'a-z' | tr -d ,)" = "$(words 105 40 | cut -d' ' -f5-17)" ]
    dsprep check r.dsr
    dsprep check c.dsr
    local n
    for n in 5 8 20; do
        dsprep decontaminate -q --ngram $n --against eval.dsr --report h.jsonl -o x.dsr t.dsr
        jq -r '[.key, .record, .runs, .of] | join(" ")' h.jsonl | sort | cmp - <(reckon $n $((n < 8 ? n : 8)))
    done
}

@test "decontaminate: shares, hits, marks, numbers, and runs that many share" {
    sets
    exits 0 dsprep decontaminate --against eval.dsr --share 0.5 -o c.dsr t.dsr
    has '3 overlap' # t3, t9, t12
    exits 0 dsprep decontaminate --against eval.dsr --hits 2 -o c.dsr t.dsr
    has '2 overlap' # t3, t12
    exits 0 dsprep decontaminate --against eval.dsr --mark -o m.dsr t.dsr
    has '30 output + 0 held'
    [ "$(dsprep cat m.dsr | jq -c 'select(.key == "t3").overlap')" = '{"set":"eval","record":"q3","runs":28,"of":28}' ]
    [ "$(dsprep cat m.dsr | jq -c 'select(.key == "t4").overlap')" = null ]
    printf '{"id":"a","text":"in 1984 the sum of 12 and 30 is 42 they say to all"}\n' >e.jsonl
    printf '{"id":"x","text":"In 2001 the sum of 99 and 1 is 100, they say to all!"}\n' >n.jsonl
    dsprep text -q --key-field id e.jsonl >e.dsr
    dsprep text -q --key-field id n.jsonl >n.dsr
    exits 0 dsprep decontaminate --against e.dsr -o c.dsr n.dsr
    has '1 output'
    exits 0 dsprep decontaminate --against e.dsr --numbers zero -o c.dsr n.dsr
    has '0 output'
    # The same question in two sets: what more than one record has is left out.
    exits 0 dsprep decontaminate --against eval.dsr --against eval.dsr -o c.dsr t.dsr
    has '4 overlap' '10 of 24'
    exits 0 dsprep decontaminate --against eval.dsr --against eval.dsr --max-records 1 -o c.dsr t.dsr
    has '30 output'
    # Chinese, character by character.
    printf '{"id":"z","text":"轴承温度过高时应当立即停机检查并更换"}\n' >z.jsonl
    printf '{"id":"y","text":"手册：轴承温度过高时，应当立即停机检查。"}\n' >y.jsonl
    dsprep text -q --key-field id z.jsonl >z.dsr
    dsprep text -q --key-field id y.jsonl >y.dsr
    exits 0 dsprep decontaminate --json --against z.dsr -o c.dsr y.dsr
    [ "$output" = '{"type":"summary","command":"dsprep decontaminate","input":1,"output":0,"held":{"overlap":1},"evaluation_records":1,"overlapped":1,"too_short":0}' ]
}

@test "decontaminate: any threads, a pipe or a file; what cannot be is refused by name" {
    sets
    lines 3000 | awk '{ printf "{\"id\":\"l%d\",\"text\":\"%s\"}\n", NR, $0 }' >l.jsonl
    cat t.jsonl >>l.jsonl
    dsprep text -q --key-field id l.jsonl >l.dsr
    dsprep decontaminate -q -j 1 --against eval.dsr --report one.jsonl l.dsr >one.dsr
    dsprep decontaminate -q -j 6 --against eval.dsr --report six.jsonl <l.dsr >six.dsr
    cmp one.dsr six.dsr
    cmp one.jsonl six.jsonl
    [ "$(wc -l <one.jsonl)" = 5 ]
    exits 2 dsprep decontaminate l.dsr
    has '--against'
    exits 2 dsprep decontaminate --against eval.dsr --against-column question -o c.dsr t.dsr
    has 'eval.dsr' "'question'"
    exits 1 dsprep decontaminate --against nowhere -o c.dsr t.dsr
    has 'nowhere'
    exits 1 dsprep decontaminate --memory 64K --against l.dsr -o c.dsr t.dsr
    has '--memory'
    head -c -40 eval.dsr >cut.dsr
    exits 12 dsprep decontaminate --against cut.dsr --report h.jsonl -o c.dsr t.dsr
    [ ! -e c.dsr ]
    [ ! -e h.jsonl ]
    head -c -40 t.dsr >cut.dsr
    exits 12 dsprep decontaminate --against eval.dsr --report h.jsonl -o c.dsr cut.dsr
    [ ! -e c.dsr ]
    [ ! -e h.jsonl ]
}

@test "decontaminate: against versions, which dsver rebuild finds again" {
    command -v dsver >/dev/null || skip "no dsver beside dsprep"
    export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@e GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@e HOME=$PWD
    sets
    dsver init
    dsver commit -m one bench <eval.dsr
    dsprep text -q --key-field id t.jsonl | dsprep decontaminate -q --against bench@main | dsver commit clean
    dsprep info --json <(dsver cat clean) | jq -ce '.provenance[-1].options.against[0].version | startswith("bench@")'
    exits 0 dsver rebuild clean --source t.jsonl
    has 'rebuilt: root'
    # The store that --store names is where its steps look, too.
    mkdir -p elsewhere
    (cd elsewhere && dsver rebuild --store .. clean --source ../t.jsonl) >out
    grep -q 'rebuilt: root' out
    exits 0 env -C elsewhere DSVER_STORE=/nowhere dsver rebuild --store "$PWD" clean --source "$PWD/t.jsonl"
    has 'rebuilt: root'
    dsprep text -q --key-field id t.jsonl | dsprep decontaminate -q --against eval.dsr | dsver commit other
    exits 1 dsver rebuild other --source t.jsonl
    has 'dsprep decontaminate' 'whose content is not recorded' '--file against=FILE'
}

@test "decontaminate: composed or decomposed, capitals of any alphabet, soft hyphens and full width hide nothing" {
    local t='Za\u017c\u00f3\u0142\u0107 g\u0119\u015bl\u0105 ja\u017a\u0144 \u0139atwo pr\u00e9f\u00e9r\u00e9 na\u00efve \u041c\u0456\u0441\u0442\u043e \u1e9e office'
    echo "{\"id\":\"q\",\"text\":\"$t\"}" >e.jsonl
    python3 - "$(jq -r .text e.jsonl)" >t.jsonl <<'END'
import json, sys, unicodedata as u
t = sys.argv[1]
for k, v in (("nfd", u.normalize("NFD", t)), ("upper", t.upper()), ("shy", "\u00ad".join(t).replace("\u00ad \u00ad", " ")),
             ("wide", "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t)), ("ligature", t.replace("ffi", "\ufb03")),
             ("joined", t.replace(" ", "\u200b"))):
    print(json.dumps({"id": k, "text": v}))
END
    dsprep text -q --key-field id e.jsonl >e.dsr
    dsprep text -q --key-field id t.jsonl >t.dsr
    dsprep decontaminate -q --ngram 8 --against e.dsr --mark t.dsr | dsprep cat | jq -r 'select(.overlap).key' >got
    [ "$(tr '\n' ' ' <got)" = 'nfd upper shy wide ligature ' ]
    [ "$(dsprep dedup -q --near --against e.dsr t.dsr | dsprep cat | jq -r .key)" = joined ]
}
