# Remotes in an object store that misbehaves, and a catalog over http.
load ../remote/remote_common

setup() {
    remote_setup
    s3_start
}
teardown() { remote_teardown; }

# A version with a pack that goes in two parts.
big() {
    local big=$BATS_FILE_TMPDIR/big.dsr
    [ -s "$big" ] || head -c 18000000 /dev/urandom | base64 -w 190 | dsprep text -q --split line - >"$big"
    (cd a && dsver commit -m big docs "$big" >/dev/null)
}

@test "a clone from an object store is what was pushed" {
    two
    exits 0 in_a push
    exits 0 clone_s3 b
    same b
    [ "$(count '^PUT .*\.pack 200')" = 2 ]
    exits 0 in_a push
    [ "$output" = "nothing new" ]
    [ "$(count '^PUT .*\.pack')" = 2 ]
}

@test "a clone keeps no pack that no version needs, whenever it began to come" {
    in_a push
    (cd a && seq 500 | dsprep text -q --split line - | dsver commit -m side -b side docs >/dev/null && dsver push -q)
    [ "$(ls s3/data/bucket/some/where/packs/*.pack | wc -l)" = 2 ]
    git -C cat.git update-ref -d refs/heads/docs/side
    exits 0 clone_s3 b
    same b
    [ "$(ls b/.dsver/packs/*.pack | wc -l)" = 1 ]
    [ -z "$(ls b/.dsver/tmp)" ]
    # nor one that is wanted, when the catalog cannot be had
    exits 13 dsver clone "$s3" --catalog "$PWD/nowhere.git" c
    [ -z "$(ls c/.dsver/packs c/.dsver/tmp | grep pack$)" ]
}

@test "a clone that failed goes on with the packs that came" {
    two
    in_a push
    [ "$(ls a/.dsver/packs/*.pack | wc -l)" = 2 ]
    small=$(ls -S a/.dsver/packs/*.pack | tail -n 1)
    faults "GET ${small##*/} 404 99"
    exits 12 clone_s3 b
    [ "$(ls b/.dsver/packs/*.pack | wc -l)" = 1 ]
    rm s3/faults
    before=$(count '^GET .*\.pack 206')
    exits 0 clone_s3 b
    same b
    [ "$(count '^GET .*\.pack 206')" = $((before + 1)) ]
}

@test "listings have pages" {
    touch s3/stop
    for i in 1 2 3; do
        { cat l1.txt; echo "$i"; } | dsprep text -q --split line - | (cd a && dsver commit -m "$i" docs >/dev/null)
    done
    rm -r s3 a/.dsver/config.lock 2>/dev/null || true
    (cd a && dsver remote remove origin)
    rm -rf cat.git
    PAGE=2 s3_start
    in_a push
    exits 0 clone_s3 b
    same b
    [ "$(count 'continuation-token')" -ge 3 ]
}

@test "500, dropped connections, cut and changed bodies are got over" {
    two
    faults 'PUT pack 500 1' 'PUT heads drop 1' 'GET list-type 503 2' 'HEAD format drop 1'
    exits 0 in_a push
    faults 'GET \.pack$ truncate 1' 'GET heads 500 1' 'GET \.pack$ flip 1' 'GET list-type drop 1' 'GET \.pack$ 429 1'
    exits 0 clone_s3 b
    same b
    (cd a && dsver tag docs third >/dev/null)
    faults 'GET list-type xml:<ListBucketResult><Contents></ListBucketResult> 1'
    exits 0 in_a push
}

@test "what stays wrong is named, and nothing is half done" {
    faults 'PUT pack 503 99'
    exits 13 in_a push
    [[ $output == *"gave up after 3 tries"*".pack"*"503 Fault503"* ]]
    [ -z "$(git -C cat.git for-each-ref)" ]
    rm s3/faults
    in_a push
    faults 'GET \.pack$ flip 99'
    exits 12 clone_s3 b
    [[ $output == *"packs/"*".pack: damaged at the remote"* ]]
    [ -z "$(git -C b/.dsver/catalog.git for-each-ref)" ]
    faults 'GET \.pack$ truncate 99'
    exits 13 clone_s3 b
    faults 'GET list-type xml:<ListBucketResult><Contents></ListBucketResult> 99'
    exits 12 clone_s3 b
    [[ $output == *"answer of the server"* ]]
    faults 'GET list-type 403 99'
    exits 1 clone_s3 b
    [[ $output == *"403 Fault403"* ]]
    rm s3/faults
    exits 0 clone_s3 b
    same b
}

@test "a server that says it stored and did not" {
    faults 'PUT pack lie 99'
    exits 13 in_a push
    [[ $output == *"although it was sent"* ]]
    [ -z "$(git -C cat.git for-each-ref)" ]
    faults 'PUT \.pack$ half 99'
    exits 13 in_a push
    [[ $output == *"bytes long, it should be"* ]]
    faults 'PUT pack lie 1' # what is not there in the end is sent again
    exits 0 in_a push
    rm s3/faults
    exits 0 clone_s3 b
    same b
}

@test "another's pack of the same name, and conflicts" {
    two
    in_a push
    rm s3/data/bucket/some/where/packs/*.heads
    exits 0 in_a push --all
    faults 'PUT pack 412 99' 'PUT heads 409 99'
    echo more | cat l1.txt - | dsprep text -q --split line - | (cd a && dsver commit -m m docs >/dev/null)
    exits 13 in_a push
    [[ $output == *"does not hold piece"* ]]
    rm s3/faults
    exits 0 in_a push
}

@test "large packs go in parts, and what fails is aborted" {
    big
    size=$(du -sb a/.dsver/packs | cut -f1)
    [ "$size" -gt 17000000 ]
    faults 'PUT partNumber=2 500 1' 'PUT partNumber=1 drop 1'
    exits 0 in_a push
    [ "$(count '^POST .*uploadId.* 200')" = 1 ]
    exits 0 clone_s3 b
    same b
    rm s3/data/bucket/some/where/packs/*
    git -C cat.git update-ref -d refs/heads/docs/main
    faults 'PUT partNumber=2 400 1'
    exits 1 in_a push
    [ "$(count '^DELETE .*uploadId.* 204')" = 1 ]
    faults 'POST uploadId xml:<Error><Code>InternalError</Code><Message>late</Message></Error> 1'
    exits 13 in_a push
    [[ $output == *"not completed: InternalError late"* ]]
    exits 0 in_a push
    exits 0 clone_s3 c
    same c
}

@test "the answer to the end of an upload is lost: what is stored is taken for that, what is not is not" {
    big
    faults 'POST uploadId lost 1'
    exits 0 in_a push
    [ "$(count '^POST .*uploadId.* lost')" = 1 ]
    [ "$(count '^POST .*uploadId.* 404')" = 1 ]
    [ "$(count '^PUT .*partNumber=1&.* 200')" = 1 ]
    exits 0 clone_s3 b
    same b
    # the upload is not known, and nothing, or something shorter, lies there
    rm s3/data/bucket/some/where/packs/*
    git -C cat.git update-ref -d refs/heads/docs/main
    faults 'POST uploadId 404 2'
    exits 1 in_a push
    has '404 Fault404'
    [ -z "$(find s3/data/bucket/some/where/packs -size +15000k)" ]
    faults 'POST uploadId 404 2 0 again' 'PUT partNumber=2 hold:held 1'
    (cd a && dsver push >../push.out 2>&1 || echo $? >../push.rc) 3>&- &
    await s3/held
    pack=$(ls -S a/.dsver/packs/*.pack | head -n 1)
    echo other >"s3/data/bucket/some/where/packs/${pack##*/}"
    rm s3/held
    await push.rc
    [ "$(cat push.rc)" = 1 ]
    grep -q '404 Fault404' push.out
    faults 'POST uploadId 409 1' # somebody else completes it at the same time
    exits 0 in_a push
    exits 0 clone_s3 c
    same c
}

@test "a push goes on with the parts that one before left; gc of the remote ends those that nobody goes on with" {
    big
    faults 'PUT partNumber=2 hold:held 1'
    (cd a && exec dsver push) 3>&- &
    await s3/held
    kill -9 $!
    rm s3/held s3/faults
    exits 0 in_a gc --remote origin --json
    has '"uploads":0,"uploads_open":1}'
    exits 0 in_a gc --remote origin
    has '1 upload not completed: still in grace'
    exits 0 in_a gc --remote origin --grace 0s -n --json
    has '"uploads":1,"uploads_open":0}'
    faults 'DELETE uploadId 403 1'
    exits 0 in_a gc --remote origin --json --grace 0s
    [[ $output == *"uploads that died are left: "*403* && $output == *'"uploads":0,"uploads_open":0}'* ]]
    exits 0 in_a gc --remote origin --json --grace 0s
    has '"uploads":1,"uploads_open":0}'
    [ "$(count '^DELETE .*packs/.*uploadId.* 204')" = 1 ]
    # another's bytes are sent again, what is right is not
    faults 'PUT partNumber=1 flip 1' 'PUT partNumber=2 503 3'
    exits 13 in_a push
    faults 'PUT partNumber=2 503 3 0 again'
    exits 13 in_a push
    [ "$(count '^PUT .*partNumber=1&.* 200')" = 3 ]
    # who may not list them begins anew, and collects all the same
    faults 'GET uploads 403 2'
    exits 0 in_a gc --remote origin --grace 1h
    [[ $output == *"uploads that died are left: "*403* ]]
    rm s3/faults
    exits 0 in_a push
    [ "$(count '^PUT .*partNumber=1&.* 200')" = 3 ]
    [ "$(count '^POST .*uploads= 200')" = 2 ]
    exits 0 in_a gc --remote origin --json --grace 0s
    has '"uploads":0,"uploads_open":0}'
    exits 0 clone_s3 b
    same b
}

@test "an upload that is ended while one goes on with it begins anew" {
    big
    faults 'PUT partNumber=2 503 3'
    exits 13 in_a push
    faults 'GET uploads 403 1' 'PUT partNumber=2 404 1'
    exits 0 in_a push
    [ "$(count '^PUT .*partNumber=1&.* 200')" = 3 ]
    [ "$(count '^POST .*uploads= 200')" = 3 ]
    exits 0 clone_s3 b
    same b
}

@test "a clock that is wrong is put right" {
    touch s3/stop
    rm -r s3 cat.git
    (cd a && dsver remote remove origin)
    SKEW=86400 s3_start
    exits 0 in_a push
    [[ $output =~ clock\ differs.*\ 86[34][0-9][0-9]\ seconds ]]
    exits 0 clone_s3 b
    same b
}

@test "credentials: from a file, from a profile, and never shown" {
    unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    exits 1 in_a push
    [[ $output == *"no credentials"* ]]
    mkdir .aws
    printf '[default]\naws_access_key_id=AK\naws_secret_access_key=SK\n[no]\naws_access_key_id=AK\naws_secret_access_key=hushhush\n' >.aws/credentials
    exits 0 in_a push
    AWS_PROFILE=no exits 1 in_a fetch --all
    [[ $output == *SignatureDoesNotMatch* ]]
    [[ $output != *hushhush* ]]
    mv .aws/credentials cred
    (cd a && dsver remote remove origin && dsver remote add origin "$s3" --catalog ../cat.git --credentials ../cred)
    exits 0 in_a fetch
    AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=y exits 0 in_a fetch --all
    grep -rq hushhush a && false
    grep -q hush s3/log && false
    true
}

@test "a bucket that is not there, a server that is not there" {
    p=$(cat s3/port)
    (cd a && dsver remote add none "s3://nobucket/x?endpoint=http://127.0.0.1:$p" --catalog ../cat.git &&
        dsver remote add dead "s3://bucket/x?endpoint=http://127.0.0.1:1" --catalog ../cat.git)
    exits 1 in_a push none
    [[ $output == *NoSuchBucket* ]]
    exits 13 in_a push dead
    [[ $output == *"gave up after 3 tries"* ]]
}

@test "a certificate of an authority of one's own" {
    local names
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=here -addext subjectAltName=IP:127.0.0.1 \
        -keyout key.pem -out own.pem 2>/dev/null
    cat key.pem own.pem >both.pem
    mkdir -p tls/data/bucket by-hash
    python3 "$DS_ROOT/tests/remote/fakes3.py" tls both.pem 3>&- >tls.out 2>&1 &
    await tls/port
    s3="s3://bucket/x?endpoint=https://127.0.0.1:$(cat tls/port)"
    (cd a && dsver remote add tls "$s3" --catalog ../cat.git)
    unset AWS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR
    exits 13 in_a push tls
    [[ $output == *certificate* ]]
    AWS_CA_BUNDLE=$PWD/own.pem exits 0 in_a push tls
    for names in CURL_CA_BUNDLE SSL_CERT_FILE; do
        exits 0 env $names="$PWD/own.pem" dsver clone "$s3" --catalog "$PWD/cat.git" "of-$names"
    done
    cp own.pem "by-hash/$(openssl x509 -in own.pem -noout -hash).0"
    SSL_CERT_DIR=$PWD/by-hash exits 0 clone_s3 of-folder
    same of-CURL_CA_BUNDLE of-folder
    AWS_CA_BUNDLE=$PWD/nothing.pem exits 13 in_a push tls
    [[ $output == *nothing.pem* ]]
}

@test "a push that the server's death cut short goes on" {
    two
    faults 'PUT heads die 1'
    exits 13 in_a push
    [ -z "$(git -C cat.git for-each-ref)" ]
    rm s3/faults s3/port
    python3 "$DS_ROOT/tests/remote/fakes3.py" s3 3>&- >s3.out 2>&1 &
    await s3/port
    s3="s3://bucket/some/where?endpoint=http://127.0.0.1:$(cat s3/port)"
    (cd a && dsver remote remove origin && dsver remote add origin "$s3" --catalog ../cat.git)
    exits 0 in_a push
    exits 0 clone_s3 b
    same b
}

@test "the catalog over http" {
    mkdir www www.state
    git init -q --bare www/cat.git
    git -C www/cat.git config http.receivepack true
    python3 "$DS_ROOT/tests/remote/githttp.py" www www.state 3>&- >www.out 2>&1 &
    await www.state/port
    url=http://127.0.0.1:$(cat www.state/port)/cat.git
    (cd a && dsver remote add web "$s3" --catalog "$url" && dsver tag docs v1)
    exits 0 in_a push web
    two
    exits 0 in_a push web
    exits 0 dsver clone "$s3" --catalog "$url" b
    same b
    exits 0 in_b show docs@v1
    git -C www/cat.git config http.receivepack false
    (cd a && dsver tag docs v2)
    exits 13 in_a push web
    [[ $output == *"git cannot push to http"* ]]
}
