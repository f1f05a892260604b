#!/usr/bin/env bats
# dsprep redact: known answers, what looks like one and is none, pseudonyms, JSON, the report.

load dsprep_common

@test "redact: full width, digits of other scripts and unseen characters hide nothing" {
    printf '%s\n' '{"id":"zwsp","text":"mail john\u200b.doe@exam\u00adple.com, tel 138\u200b1234\u20605678\u200b, 4111\u200b1111\u200b1111\u200b1111 end"}' \
        '{"id":"wide","text":"电话：１３８１２３４５６７８，邮箱：ｊｏｈｎ＠ｅｘａｍｐｌｅ．ｃｏｍ。john＠example.com、"}' \
        '{"id":"digits","text":"\u0664\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661 \u202a+49 30 12345678\u202c"}' \
        '{"id":"two","text":"13812345678\u200b13912345678"}' \
        '{"id":"between","text":"13812345678\u200b13912345678 john＠example.com"}' '{"id":"none","text":"Ａ，１２ \u200b x\u00ady ２０２６年"}' \
        '{"id":"meta","text":"x","m":{"to":"a＠example.com","ｂ＠example.com":"\u200b"}}' >w.jsonl
    dsprep text -q --key-field id w.jsonl >w.dsr
    exits 0 dsprep redact --report rep.json -o o.dsr w.dsr
    [ "$(dsprep cat -c text,meta o.dsr | jq -ac '[.text, .meta.m // empty]')" = '["mail [EMAIL], tel [PHONE]\u200b, [CARD] end"]
["\u7535\u8bdd\uff1a[PHONE]\uff0c\u90ae\u7bb1\uff1a[EMAIL]\u3002[EMAIL]\u3001"]
["[CARD] \u202a[PHONE]\u202c"]
["[PHONE]\u200b[PHONE]"]
["[PHONE]\u200b[PHONE] [EMAIL]"]
["\uff21\uff0c\uff11\uff12 \u200b x\u00ady \uff12\uff10\uff12\uff16\u5e74"]
["x",{"to":"[EMAIL]","\uff42\uff20example.com":"\u200b"}]' ]
    jq -e '.. | .email? // empty' rep.json >/dev/null
    # One person has one pseudonym, however it is written.
    head -c 32 /dev/zero | tr '\0' k >key && chmod 600 key
    printf '{"text":"%s"}\n' 'john＠example.com' 'jo\u200bhn@example.com' 'john@example.com' >p.jsonl
    [ "$(dsprep text -q p.jsonl | dsprep redact -q --key-file key | dsprep cat --no-key -c text | sort -u | wc -l)" -eq 1 ]
}

# Each line: text|what must come out. Numbers are the published examples of their schemes.
known() {
    sed 's/\\u00a0/\xc2\xa0/g; s/\\u202f/\xe2\x80\xaf/g' <<'END'
Write to Jane.Doe+news@mail.example.co.uk, please.|Write to [EMAIL], please.
<a@b.io>;c_d@e-f.org|<[EMAIL]>;[EMAIL]
card 4111 1111 1111 1111 exp 12/27|card [CARD] exp 12/27
5555-5555-5555-4444 or 378282246310005|[CARD] or [CARD]
3782 822463 10005|[CARD]
IBAN DE89 3704 0044 0532 0130 00.|IBAN [IBAN].
GB82WEST12345698765432|[IBAN]
FR14 2004 1010 0505 0001 3M02 606 ok|[IBAN] ok
身份证11010519491231002X。|身份证[CN_ID]。
440524188001010014|[CN_ID]
110105200002291235 of a leap day|[CN_ID] of a leap day
2720990000000007 and 38520000023237|[CARD] and [CARD]
SSN 123-45-6789,|SSN [US_SSN],
DNI 12345678Z y X1234567L|DNI [ES_DNI] y [ES_DNI]
IdNr 86 095 742 719 / 47036892816|IdNr [DE_TAX] / [DE_TAX]
NIR 1 84 12 76 451 089 46|NIR [FR_NIR]
NHS number: 943 476 5919|NHS number: [UK_NHS]
NHS 9434765919|NHS [UK_NHS]
from 8.8.8.8 port 22|from [IP] port 22
[2001:4860:4860::8888]:443|[[IP]]:443
call +49 (0)30 901820 or +86 138 0013 8000|call [PHONE] or [PHONE]
手机13800138000，|手机[PHONE]，
(212) 555-0123 7 and 212-555-0123|[PHONE] 7 and [PHONE]
tel 01 42 68 53 00; 030/1234567|tel [PHONE]; [PHONE]
key=AKIAIOSFODNN7EXAMPLE;|key=[SECRET];
token ghp_0123456789abcdefghijABCDEFGHIJ012345.|token [SECRET].
eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U!|[SECRET]!
7,4111111111111111,12/27,13800138000|7,[CARD],12/27,[PHONE]
4111111111111111,4012888888881881;5555555555554444-1227|[CARD],[CARD];[CARD]-1227
/v2/4111111111111111/x 10:4111111111111111|/v2/[CARD]/x 10:[CARD]
4111 1111 1111 1111 4111–1111–1111–1111 +49 30 901820|[CARD] [CARD] [PHONE]
de89370400440532013000 DE89-3704-0044-0532-0130-00 gb29 nwbk 6016 1331 9268 19|[IBAN] [IBAN] [IBAN]
8.8.8.1-8.8.8.9 8.8.8.8,8.8.4.4 if0/8.8.8.8|[IP]-[IP] [IP],[IP] if0/[IP]
2001:4860:4860::8888,2001:4860:4860::8844|[IP],[IP]
jürgen@müller.de иван@пример.рф ünal@a.io 联系user@example.com谢谢|[EMAIL] [EMAIL] [EMAIL] 联系[EMAIL]谢谢
user=john@a.io /u/john@a.io/x a*john@a.io*b {john@a.io}|user=[EMAIL] /u/[EMAIL]/x a*[EMAIL]*b {[EMAIL]}
GET /x?email=o%2Bx%40a.io&y=1 bounce+john=a.io@list.org %40a.io 1%40|GET /x?email=[EMAIL]&y=1 [EMAIL] %40a.io 1%40
?c%3D4111111111111111&m=%22o%40a.io%22 a\n4111111111111111\tAKIAIOSFODNN7EXAMPLE|?c%3D[CARD]&m=%22[EMAIL]%22 a\n[CARD]\t[SECRET]
o@a.io-x o@b.com- o@xn--e1afmkfd.xn--p1ai o@a.b1|[EMAIL]-x [EMAIL]- [EMAIL] o@a.b1
aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY|aws_secret_access_key = [SECRET]
-----BEGIN RSA PRIVATE KEY-----MIIEowIBAAKCAQEAwJalrXUtnFEMIK7MDENGbPxRfiCY cut off|[SECRET] cut off
4111 1111 1111 1111 2027-01 SSN 123-45-6789 12 30|[CARD] 2027-01 SSN [US_SSN] 12 30
user_4111111111111111 card4111-1111-1111-1111 tel13800138000 ssn_123-45-6789|user_[CARD] card[CARD] tel[PHONE] ssn_[US_SSN]
tel+49 30 901820 call_+4930901820 tel01 42 68 53 00 acct_DE89370400440532013000|tel[PHONE] call_[PHONE] tel[PHONE] acct_[IBAN]
0049 30 901820, 0049 (0)30/901820 und 0044-20-7946-0958; 00493012345678|[PHONE], [PHONE] und [PHONE]; [PHONE]
13800138000 200 0.5; 212-555-0123 12 30 and 030/1234567 2024|[PHONE] 200 0.5; [PHONE] 12 30 and [PHONE] 2024
-----BEGIN PGP PRIVATE KEY BLOCK-----abc-----END PGP PRIVATE KEY BLOCK-----.|[SECRET].
END
}

# What looks like something and is nothing of it.
harmless() {
    printf 'ghp_%s\n' "$(printf 'a1%.0s' {1..128})" # longer than any
    cat <<'END'
8.8.8.08 and 8.8.08.8, 172.31.0.1, 198.19.0.1, 000 000 0000, +1234567890123456, 2bad::f00d, eyJab.eyJcd.ef AIzaa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
4111 1111 1111 1112 and 1234567812345678
DE88 3704 0044 0532 0130 00
110105194912310021 110105194913310021 990105194912310021
000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000
12345678A X1234567A
86095742710 12345678901
2026-03-01T10:00:00.123456789Z 10:20:30 01/02/2026 2026-03-01
127.0.0.1 10.1.2.3 192.168.0.1 192.0.2.7 256.1.1.1 1.2.3.4.5 1.2.3
std::string a::b fe80::1 ::1 2001:db8::1 de:ad:be:ef:00:01
v8.8.8.8 x@y user@localhost @mention a@b. @ foo@bar
943 476 5918 9434765919
order 1234567890 id 20260301100000 0.123456789012345 1e100000000
ISBN 978-3-16-148410-0 12345678901234567890123456789012
AKIAIOSFODNN7EXAMPL ghp_short sk-short eyJhbGciOi.abc
3.14159265358979 -13800138000 123,456,789,012
550e8400-e29b-41d4-a716-446655440000
d41d8cd98f00b204e9800998ecf8427e
da39a3ee5e6b4b0d3255bfef95601890afd80709 wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
1.2.3.4-5 0.4111111111111111 gb29nwbk60161331926819 10:05:13800138000
a1b4111111111111111 sha4f_8_4111111111111112 id_12345678Z abc1234567 rev_10.20.30.40 x_8.8.8.8 andy0808/5342434
0011.2233.4455 000049301234567 001234567890 0049301 2026-0049 30 901820123456789 1+49301234567
begins with -----BEGIN RSA PRIVATE KEY----- and so on, 3×5@a ÷@b.io
END
}

@test "redact: known answers" {
    known | cut -d'|' -f1 >in.txt
    known | cut -d'|' -f2- >want.txt
    dsprep text -q --split line in.txt | dsprep redact -q >r.dsr
    dsprep check r.dsr
    dsprep cat -c text r.dsr | jq -r .text >got.txt
    diff want.txt got.txt
}

@test "redact: what only looks like it stays" {
    harmless >in.txt
    dsprep text -q --split line in.txt | dsprep redact -q | dsprep cat -c text | jq -r .text >got.txt
    diff in.txt got.txt
}

@test "redact: kinds, private addresses, private keys, names" {
    printf 'Ann Lee met Ann, and 王小明said mail a@b.io from 10.1.2.3. Annie Lee-Smith, JoséAnn\n' >in.txt
    printf '\xef\xbb\xbfAnn Lee\r\n# staff\n \tAnn\t\n王小明\n\n' >names # as editors leave it
    dsprep text -q --split line in.txt >s.dsr
    one() { dsprep redact -q "$@" s.dsr | dsprep cat --no-key -c text; }
    [ "$(one --names names)" = '{"text":"[NAME] met [NAME], and [NAME]said mail [EMAIL] from 10.1.2.3. Annie Lee-Smith, JoséAnn"}' ]
    [ "$(one --kinds ip --all-ips)" = '{"text":"Ann Lee met Ann, and 王小明said mail a@b.io from [IP]. Annie Lee-Smith, JoséAnn"}' ]
    [ "$(one --names names --kinds name | grep -c a@b.io)" -eq 1 ]
    exits 2 dsprep redact --kinds email,nosuch s.dsr
    has "'nosuch' is none of email, phone, card" "secret, name"
    exits 2 dsprep redact --kinds name s.dsr
    printf -- '-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----\nnext' >k.txt
    [ "$(dsprep text -q --format text k.txt | dsprep redact -q | dsprep cat --no-key -c text)" = '{"text":"[SECRET]\nnext"}' ]
}

@test "redact: pseudonyms are the same for the same, under one key" {
    printf 'JANE@example.com\njane@Example.com\njohn@example.com\n4111-1111-1111-1111\n4111111111111111\n' >in.txt
    dsprep text -q --split line in.txt >s.dsr
    head -c 32 /dev/zero >key
    chmod 644 key
    exits 1 dsprep redact --key-file key s.dsr
    has 'others may read it'
    chmod 600 key
    dsprep redact -q --key-file key s.dsr | dsprep cat --no-key -c text >a
    dsprep redact -q --key-file key s.dsr | dsprep cat --no-key -c text | cmp - a
    [ "$(sed -n 1p a)" = "$(sed -n 2p a)" ]
    [ "$(sed -n 1p a)" != "$(sed -n 3p a)" ]
    [ "$(sed -n 4p a)" = "$(sed -n 5p a)" ]
    printf '%s\n' jane@example.com to=jane@example.com /jane%40EXAMPLE.com '|jane@example.com|' >alike.txt
    dsprep text -q --split line alike.txt | dsprep redact -q --key-file key | dsprep cat -c text |
        grep -oE 'EMAIL_[0-9a-f]{12}' >alike
    [ "$(wc -l <alike)" -eq 4 ]
    [ "$(sort -u alike | wc -l)" -eq 1 ]
    [ "$(sed -n 1p a)" = "{\"text\":\"$(sed -n 1p alike)\"}" ]
    [ "$(sed -n 1p a)" = "{\"text\":\"EMAIL_$(printf 'email\0jane@example.com' | openssl dgst -sha256 -mac hmac -macopt hexkey:"$(od -v -An -tx1 key | tr -d ' \n')" | sed 's/.*= //' | cut -c1-12)\"}" ]
    head -c 32 /dev/zero | tr '\0' x >key2
    chmod 600 key2
    dsprep redact -q --key-file key2 s.dsr | dsprep cat --no-key -c text >b
    [ "$(sed -n 1p a)" != "$(sed -n 1p b)" ]
    printf short >key2
    exits 1 dsprep redact --key-file key2 s.dsr
}

@test "redact: JSON stays JSON" {
    cat >j.jsonl <<'END'
{"id":"a","text":"x","from":"a\u0040b.io","n":13800138000,"under":-13800138000,"m":12.5,"big":123456789012345,"l":["say \"8.8.8.8\"",{"a@b.io":null}],"e":"tab\there"}
END
    dsprep text -q --key-field id j.jsonl | dsprep redact -q --mark >r.dsr
    dsprep check r.dsr
    [ "$(dsprep cat r.dsr)" = '{"key":"a","text":"x","meta":{"from":"[EMAIL]","n":"[PHONE]","under":-13800138000,"m":12.5,"big":123456789012345,"l":["say \"[IP]\"",{"a@b.io":null}],"e":"tab\there"},"redacted":{"email":1,"phone":1,"ip":1}}' ]
    exits 0 bash -c 'dsprep text -q --key-field id j.jsonl | dsprep redact -c text --report rep.json >r.dsr'
    has 'dsprep redact: 0 found in 0 of 1 record'
    [ "$(cat rep.json)" = '{"records":1,"changed":0,"found":{},"columns":{"text":{}},"left":{},"open_keys":0}' ]
}

@test "redact: keys that would give it away" {
    printf '{"id":"a@b.io","text":"x"}\n' >j.jsonl
    dsprep text -q --key-field id j.jsonl >s.dsr
    exits 1 dsprep redact -o r.dsr s.dsr
    has 'its key holds' email
    [ ! -e r.dsr ]
    exits 0 dsprep redact -q --keys=ignore -o r.dsr s.dsr
    exits 2 dsprep redact -c key s.dsr
}

@test "redact: the same bytes for any number of threads; the report adds up" {
    { lines 3000 && known && harmless && lines 3000; } | cut -d'|' -f1 >in.txt
    dsprep text -q --split line in.txt >s.dsr
    dsprep redact -q -j 1 --report r1.json s.dsr >one.dsr
    dsprep redact -q -j 8 --report r8.json <s.dsr >eight.dsr
    cmp one.dsr eight.dsr
    cmp r1.json r8.json
    dsprep check one.dsr
    [ "$(jq '.found | add' r1.json)" -eq "$(dsprep cat --no-key -c text one.dsr | grep -oE '\[[A-Z_]+\]' | wc -l)" ]
    [ "$(jq .changed r1.json)" -eq "$(known | wc -l)" ]
    dsprep cat --origin --no-key s.dsr | grep -o '"origin".*' >a
    dsprep cat --origin --no-key one.dsr | grep -o '"origin".*' | cmp - a
}

@test "redact: what stays in columns that are not changed is told of" {
    printf '%s\n' '{"key":"a","text":"a@b.io","card":4111111111111111,"n":7}' \
        '{"key":"b","text":"x","card":-4111111111111111,"n":99999999}' >n.jsonl
    dsprep import -q n.jsonl >n.dsr
    exits 0 dsprep redact --report rep.json -o r.dsr n.dsr
    has "column 'card' (i64) holds 1 that were found (card) and stay"
    has 'dsprep map --cast makes text of it'
    [ "$(jq -c .left rep.json)" = '{"card":{"card":1},"n":{}}' ]
    [ "$(jq -c .found rep.json)" = '{"email":1}' ]
    printf '%s\n' '{"text":"x","m":{"a\u0040b.io":{"c@d.io":1},"e":"f@g.io"}}' >m.jsonl
    dsprep import -q m.jsonl >m.dsr
    exits 0 dsprep redact --report rep.json -o r.dsr m.dsr
    has "column 'm' (json) holds 2 that were found (email) and stay: in names of members"
    [ "$(jq -c '[.columns.m, .left]' rep.json)" = '[{"email":1},{"m":{"email":2}}]' ]
    dsprep cat -c m r.dsr | grep -F '{"a\u0040b.io":{"c@d.io":1},"e":"[EMAIL]"}'
    exits 0 dsprep redact -c text -o r.dsr n.dsr
    [[ $output != *'and stay'* ]]
    printf -- 'x\n-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBwJalrXUtnFEMI\n-----END EC PRIVATE KEY-----\n-----BEGIN PUBLIC KEY-----\n' >k.txt
    exits 0 bash -c 'dsprep text -q --split line k.txt | dsprep redact --report rep.json -o r.dsr'
    has '1 text ends where a private key begins'
    [ "$(jq .open_keys rep.json)" -eq 1 ]
    dsprep map -q --cast card=utf8 n.dsr | dsprep redact -q | dsprep cat -c card >got
    [ "$(sed -n 1p got)" = '{"key":"a","card":"[CARD]"}' ]
    printf '%s' '{"columns":[{"name":"text","type":"utf8"},{"name":"l","type":"list","item":"utf8"},{"name":"m","type":"list","item":"i64"}],"key":"derived","keyed":["text"],"primary":["text"],"block":[65536,262144,1048576]}' |
        sed 's/^/{"dsr_schema":/; s/$/}/' >l.json
    printf '%s\n' '{"text":"x","l":["a@b.io","c"],"m":[1,13800138000]}' >l.jsonl
    exits 0 bash -c 'dsprep import -q --schema l.json l.jsonl | dsprep redact -o r.dsr'
    has "column 'l' (list) holds 1 that were found (email)"
    has "column 'm' (list) holds 1 that were found (phone)"
}

@test "redact: as many columns as there can be" {
    awk 'BEGIN { printf "{\"key\":\"a\""; for (i = 0; i < 250; i++) printf ",\"c%d\":\"a%d@b.io\"", i, i; print "}" }' >w.jsonl
    dsprep import -q w.jsonl | dsprep redact -q --mark >r.dsr
    [ "$(dsprep cat r.dsr | grep -o '\[EMAIL\]' | wc -l)" -eq 250 ]
    dsprep cat -c redacted r.dsr | grep -F '"redacted":{"email":250}'
}
