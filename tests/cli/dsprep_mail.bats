#!/usr/bin/env bats
# dsprep text: messages and boxes of mail into records of text.

load dsprep_common

# message ID [BODY]: a plain message.
message() { printf 'Message-ID: <%s>\nFrom: a@x\nSubject: s\n\n%s\n' "$1" "${2-text of $1}"; }
postmark() { printf 'From a@x Fri Mar  1 12:00:0%d 2024\n' "$1"; }

@test "mail: a message is what its reader sees, with header and attachments in meta" {
    cat >m.eml <<'END'
Received: by here
Message-ID: <1@x>
From: =?utf-8?q?M=C3=BCller=2C_J=C3=BCrgen?= <a@x>
To: b@y,
 =?iso-8859-1?q?Zo=EB?= <z@y>
Cc: c@z
Date: Fri, 1 Mar 2024 12:00:00 +0100
Subject: =?utf-8?b?QmVmdW5k?= of
 March
In-Reply-To: <0@x>
References: <r@x>
	<0@x>
Content-Type: multipart/mixed; boundary="b"

nobody sees this
--b
Content-Type: multipart/alternative; boundary=bb

--bb
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

caf=E9 =
soft
--bb
Content-Type: text/html

<p>the same
--bb--
--b
Content-Type: application/pdf; name=no.pdf
Content-Disposition: attachment; filename*0*=utf-8''Bef%C3%BC; filename*1=nd.pdf
Content-Transfer-Encoding: base64

AAEC
Aw==
--b
Content-Type: message/rfc822

From: c@d
Subject: =?utf-8?q?inn=C3=A9r?=
Content-Type: text/html; charset=utf-8

<p>inner<p>text
--b--
nor this
END
    cat >want <<'END'
{"key":"1@x","text":"café soft\n\nFrom: c@d\nSubject: innér\n\ninner\n\ntext","meta":{"from":"\"Müller, Jürgen\" <a@x>","to":"b@y, Zoë <z@y>","cc":"c@z","date":"2024-03-01T11:00:00Z","subject":"Befund of March","in_reply_to":"0@x","references":["r@x","0@x"],"attachments":[{"name":"Befünd.pdf","type":"application/pdf","bytes":4}]}}
END
    dsprep text -q m.eml | dsprep cat | cmp - want
    sed 's/$/\r/' m.eml >crlf.eml
    dsprep text -q crlf.eml | dsprep cat | cmp - want
    { printf '\357\273\277'; cat m.eml; } >bom.eml
    dsprep text -q bom.eml | dsprep cat | cmp - want
    # A folder of them, as a maildir is.
    mkdir -p box/cur box/new
    message 2@x >box/cur/1.host:2,S
    message 3@x >box/new/2.host
    dsprep text -q --format eml --no-meta box | dsprep cat >got
    printf '{"key":"%d@x","text":"text of %d@x\\n"}\n' 2 2 3 3 | cmp - got
}

@test "mail: a box, as mboxrd and mboxo quote it, and by Content-Length" {
    { echo; postmark 6; message 6@x; } >rest
    {
        postmark 1
        message 1@x "$(printf 'one\n\n>From here\n>>From there\n\nFrom now on\n\nend')"
        echo
        postmark 2
        printf 'Message-ID: <2@x>\nContent-Length: 50\n\n'
        printf 'a\n\nFrom b@x Fri Mar  1 12:00:00 2024\n>From kept\nb\n'
        echo
        postmark 3
        printf 'Message-ID: <3@x>\nContent-Length: 7000\n\nwrong length\n'
        echo
        postmark 4
        message 4@x
        echo
        postmark 5 # as long as it is with the next one
        printf 'Message-ID: <5@x>\nContent-Length: %d\n\nstale\n' "$((6 + $(wc -c <rest)))"
        cat rest
    } >m.mbox
    cat >want <<'END'
{"key":"1@x","text":"one\n\nFrom here\n>From there\n\nFrom now on\n\nend\n"}
{"key":"2@x","text":"a\n\nFrom b@x Fri Mar  1 12:00:00 2024\n>From kept\nb\n"}
{"key":"3@x","text":"wrong length\n"}
{"key":"4@x","text":"text of 4@x\n"}
{"key":"5@x","text":"stale\n"}
{"key":"6@x","text":"text of 6@x\n"}
END
    dsprep text -q --no-meta m.mbox | dsprep cat >got
    cmp got want
    # As large as blocks are made of: the same from a pipe and any number of threads.
    for i in $(seq 7 400); do echo; postmark 7; message "$i@x" "$(printf "x%.0s" $(seq 4000))"; done >>m.mbox
    dsprep text -q -j1 m.mbox | dsprep cat >one
    [ "$(wc -l <one)" -eq 400 ]
    for j in 1 3; do dsprep text -q -j$j --format mbox - <m.mbox | dsprep cat | cmp - one; done
    gzip -kn m.mbox
    dsprep text -q m.mbox.gz | dsprep cat | cmp - one
}

@test "mail: what is odd in a message is read as mail programs do, or named" {
    printf 'Message-ID: <1@x>\nContent-Type: multipart/mixed; boundary=x\n\nno parts\n' >1.eml
    printf 'Message-ID: <2@x>\nContent-Type: nonsense\nDate: soon\n\nplain\n' >2.eml
    printf 'Message-ID: <3@x>\nContent-Type: multipart/signed; boundary=x\n\n--x\n\nsigned\n--x\nContent-Type: application/pgp-signature\n\nsig' >3.eml
    printf 'Message-ID: <4@x>\nContent-Type: multipart/encrypted; boundary=x\n\n--x\nContent-Type: application/octet-stream\n\nsecret\n--x--\n' >4.eml
    printf 'Message-ID: <5@x>\nContent-Type: multipart/related; boundary=x\n\n--x\nContent-Type: text/html\n\n<b>b</b>\n--x\nContent-Type: image/png\n\nP\n--x--\n' >5.eml
    printf 'Message-ID: <6@x>\nContent-Type: multipart/digest; boundary=x\n\n--x\n\nSubject: d\n\none\n--x--\n' >6.eml
    printf 'Message-ID: <7@x>\nSubject: only a header\n' >7.eml
    dsprep text -q ?.eml | dsprep cat >got
    cat >want <<'END'
{"key":"1@x","text":"no parts\n","meta":null}
{"key":"2@x","text":"plain\n","meta":{"date_said":"soon"}}
{"key":"3@x","text":"signed","meta":{"attachments":[{"type":"application/pgp-signature","bytes":3}]}}
{"key":"4@x","text":"","meta":{"attachments":[{"type":"application/octet-stream","bytes":6}],"encrypted":true}}
{"key":"5@x","text":"b","meta":{"attachments":[{"type":"image/png","bytes":1}]}}
{"key":"6@x","text":"Subject: d\n\none","meta":null}
{"key":"7@x","text":"","meta":{"subject":"only a header"}}
END
    cmp got want
    printf 'Subject: no id\n\nx\n' >n.eml
    exits 1 dsprep text -q -o out n.eml
    has 'nothing that it can be keyed by (--key-field, --keys derived)'
    [ "$(dsprep text -q --keys derived --no-meta n.eml | dsprep cat | sed 's/"key":"[^"]*",//')" = '{"text":"x\n"}' ]
    printf 'Message-ID: <8@x>\nContent-Type: text/plain; charset=utf-8\n\ncaf\351\n' >b.eml
    exits 1 dsprep text -q -o out b.eml
    has 'b.eml: offset 0: byte 3 of its text is not valid UTF-8'
    sed 's/; charset=utf-8//' b.eml >c.eml
    [ "$(dsprep text -q --no-meta --encoding latin1 c.eml | dsprep cat)" = '{"key":"8@x","text":"café\n"}' ]
    echo 'no header here' >t.txt
    exits 1 dsprep text -q -o out --format eml t.txt
    has 'it does not begin with a header field'
    exits 1 dsprep text -q -o out --format mbox t.txt
    has 'it does not begin with "From "'
    # A box goes on behind a message that is none, and one that is too long.
    { postmark 1; message 1@x; echo; postmark 2; printf 'no header\n\n'; postmark 3; message 3@x "$(seq 3000)"; echo; postmark 4; message 4@x; } >m.mbox
    dsprep text --no-meta --max-record 2k --on-error skip m.mbox 2>err | dsprep cat >got
    printf '{"key":"%d@x","text":"text of %d@x\\n"}\n' 1 1 4 4 | cmp - got
    grep -q '4 input = 2 output + 2 held + 0 failed$' err
    # What a first input without meta does to it is said once; standard input has no name.
    mkdir mix
    printf 'a' >mix/0.txt
    for i in 1 2; do message "$i@x" >mix/$i.eml; done
    dsprep text mix 2>err | dsprep cat >got
    [ "$(grep -c 'what its records say of themselves is left out' err)" -eq 1 ]
    [ "$(wc -l <got)" -eq 3 ]
    dsprep text --no-meta mix 2>err | dsprep cat | cmp - got
    [ "$(wc -l <err)" -eq 1 ]
    dsprep text - <m.mbox 2>err >/dev/null
    grep -q 'looks like a box of mail (--format mbox)' err
    # Parts within parts, without end.
    { printf 'Message-ID: <9@x>\n'; for i in $(seq 60); do printf 'Content-Type: message/rfc822\n\n'; done; } >deep.eml
    exits 1 dsprep text -q -o out deep.eml
    has 'its parts are nested more than 50 deep'
}

@test "mail: a version of a box is made again; redact reaches its header, and ids that are addresses" {
    mkdir src
    { postmark 1; message 1@mail.example.org 'mail to b@example.org'; } |
        sed 's/^Subject: s/Subject: of c@example.org/' >src/m.mbox
    dsver init >/dev/null
    (cd src && dsprep text -q m.mbox) | dsver commit box >/dev/null
    exits 0 dsver rebuild box --source src
    dsprep text -q src/m.mbox >m.dsr
    exits 1 dsprep redact -q -o n.dsr m.dsr
    dsprep text -q --keys derived src/m.mbox | dsprep redact -q | dsprep cat | sed 's/"key":"[^"]*",//' >got
    echo '{"text":"mail to [EMAIL]\n","meta":{"message_id":"[EMAIL]","from":"a@x","subject":"of [EMAIL]"}}' | cmp - got
}
