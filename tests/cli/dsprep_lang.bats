#!/usr/bin/env bats
# dsprep lang: languages of texts that are plain to tell, what cannot be told, and what is kept.

load dsprep_common

texts() {
    cat >l.jsonl <<'END'
{"id":"en","text":"The bearing was replaced yesterday because it had become too hot during the night shift."}
{"id":"de","text":"Das Lager wurde gestern ausgetauscht, weil es während der Nachtschicht zu heiß geworden war."}
{"id":"fr","text":"Le roulement a été remplacé hier parce qu'il était devenu trop chaud pendant le quart de nuit."}
{"id":"es","text":"El rodamiento fue reemplazado ayer porque se había calentado demasiado durante el turno de noche."}
{"id":"ru","text":"Подшипник был заменён вчера, потому что он слишком нагрелся во время ночной смены."}
{"id":"zh","text":"昨天更换了轴承，因为它在夜班期间变得太热，技术人员检查后决定停机。"}
{"id":"ja","text":"夜勤中に軸受が過熱したため、昨日交換されました。担当者が確認しました。"}
{"id":"none","text":"4711 0x8f3a -- 99.7 %%"}
{"id":"empty","text":""}
END
    dsprep text -q --key-field id l.jsonl >l.dsr
}

@test "lang: plain texts, and what cannot be told" {
    texts
    run dsprep lang -o t.dsr l.dsr
    [[ $output == *"no language detector"* ]] && skip "libds-cld2.so is not built: libcld2-dev is not installed"
    [ "$status" -eq 0 ]
    has '9 input = 9 output'
    [ "$(dsprep cat t.dsr | jq -r '.key + "=" + .lang' | tr '\n' ' ')" = 'en=en de=de fr=fr es=es ru=ru zh=zh ja=ja none=und empty=und ' ]
    dsprep cat t.dsr | jq -e -s 'map(.lang_share) | (.[:7] | min) > 0.8 and (.[7:] | max) == 0'
    dsprep check t.dsr
    dsprep info --json t.dsr | jq -re '.provenance[-1].options.model' | grep -q '^CLD2 V'
    dsprep lang -q -j 4 <l.dsr | cmp - <(dsprep lang -q -j 1 l.dsr)
}

@test "lang: keeps by code and share; accounts add up; control characters and long texts" {
    texts
    run dsprep lang --keep zh,en --rejects r.dsr -o t.dsr l.dsr
    [[ $output == *"no language detector"* ]] && skip "libds-cld2.so is not built: libcld2-dev is not installed"
    [ "$status" -eq 0 ]
    has '9 input = 2 output + 7 held: 7 other'
    dsprep cat r.dsr | jq -r '.key + " " + .note' | grep -Eqx 'de de (0\.[89].|1\.00)'
    [ "$(dsprep info --json t.dsr | jq -c '[.records, .held]')" = '[2,{"lang: other":7}]' ]
    exits 2 dsprep lang --min-share 0.5 l.dsr
    exits 2 dsprep lang --column nothing -o u.dsr l.dsr
    {
        printf '{"id":"x","text":"%s"}\n' "$(for i in $(seq 4000); do printf 'The pump number %d was started again. ' "$i"; done)"
        printf '{"id":"y","text":"\\u0000\\u0001 The valve\\u0007 was opened by the operator \\u001f on duty\\uffff, who noted it down."}\n'
    } >h.jsonl
    dsprep text -q --key-field id h.jsonl | dsprep lang -q --max-text 1000 | dsprep cat | jq -r '.key + .lang' | tr '\n' ' ' | grep -qx 'xen yen '
}

@test "lang: codes that the detector never answers with are refused by name" {
    texts
    run dsprep lang --keep en,zz -o t.dsr l.dsr
    [[ $output == *"no language detector"* ]] && skip "libds-cld2.so is not built: libcld2-dev is not installed"
    [ "$status" -eq 2 ]
    has '--keep zz: the detector answers with af am ar az ' ' zh zh-Hant and und'
    [ ! -e t.dsr ]
    local c
    for c in iw eng EN e 'en,' ',en' zh-Hans-CN; do exits 2 dsprep lang --keep "$c" -o t.dsr l.dsr; done
    exits 2 dsprep lang --keep zh-CN -o t.dsr l.dsr
    has '--keep zh-CN: the detector does not tell it from zh'
    for c in und zh-Hant zh he,fil,jv,ro; do exits 0 dsprep lang -q --keep "$c" -o t.dsr l.dsr; done
    # What it does answer with is in the list.
    dsprep lang -q --best-effort l.dsr | dsprep cat | jq -r .lang | sort -u | paste -sd, >all
    exits 0 dsprep lang -q --keep "$(cat all)" -o t.dsr l.dsr
}
