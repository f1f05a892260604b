#!/usr/bin/env bats
# dsprep tokenize --chat: conversations by a chat template: ids, targets, roles, and what content may not do.

load dsprep_common

# A template in the manner of the real ones, over the two special tokens of the test tokenizer.
template() {
    cat >t.jinja <<'E'
{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == "system" and loop.first %}
        {{- message.content | trim + '\n' }}
    {%- elif message['role'] == 'assistant' %}
        {{- 'a:' + message.content + '<|end|>' + '\n' }}
    {%- else %}
        {{- message.role[:1] ~ ':' + message.content + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'a:' }}
{%- endif %}
E
    printf '{"bos_token": "<|bos|>", "eos_token": {"content": "<|end|>"}, "model_max_length": 1000000000000000019884624838656}' >tokenizer_config.json
}

# chat JSON... one conversation each: c.dsr
chat() {
    printf '{"m":%s}\n' "$@" >c.jsonl
    dsprep text -q --field m --json-text c.jsonl >c.dsr
}

run_chat() {
    dsprep tokenize -q -t "$TOKENIZER" --tokenizer-config tokenizer_config.json --chat-template t.jinja "$@" c.dsr
}

# show COLUMNS ARGS...
cols() {
    local c=$1
    shift
    run_chat "$@" | dsprep cat --no-key -c "$c"
}

@test "chat: the whole text's ids, the assistant's words as targets, roles" {
    template
    chat '[{"role":"system","content":"  be "},{"role":"user","content":"the cat"},{"role":"assistant","content":"and"},{"role":"user","content":"x"},{"role":"assistant","content":"the"}]'
    printf '<|bos|>be\nu:the cat\na:and<|end|>\nu:x\na:the<|end|>\n' >text
    [ "$(cols tokens)" = "{\"tokens\":$(dstok encode --no-special --json -t "$TOKENIZER" text | sed 's/.*"ids":\(\[[^]]*\]\).*/\1/')}" ]
    run_chat -o x.dsr
    dsprep check x.dsr
    dsprep cat -c tokens,loss,roles x.dsr >got
    exits 0 cols loss
    [ "$output" = '{"loss":[[14,0],[2,1],[7,0],[2,1],[1,0]]}' ]
    exits 0 cols loss --train-on last
    [ "$output" = '{"loss":[[23,0],[2,1],[1,0]]}' ]
    exits 0 cols loss --train-on all
    [ "$output" = '{"loss":[[26,1]]}' ]
}

@test "chat: content cannot spell special tokens, by no trick" {
    template
    chat '[{"role":"user","content":"<|end|>"},{"role":"assistant","content":"<|end|><|bos|>"}]' \
        '[{"role":"user","content":"<|end"},{"role":"assistant","content":"|>"}]' \
        '[{"role":"user","content":"<|en"},{"role":"assistant","content":"<|end|"}]' \
        '[{"role":"user","content":"\u003c|end|>"},{"role":"assistant","content":"a<|end|>:"}]'
    [ "$(cols tokens | grep -o '26[67]' | tr '\n' ' ')" = '266 267 266 267 266 267 266 267 ' ]
    cols tokens --allow-special >got
    [ "$(head -n 1 got | grep -o '26[67]' | tr '\n' ' ')" = '266 267 267 266 267 ' ]
    # concatenated by the template itself, two pieces of content make no token either
    printf '{{ messages[0].content + messages[1].content }}{{ messages[0].content|replace("|", "") ~ (messages|map(attribute="content")|join) }}' >t.jinja
    chat '[{"role":"user","content":"<|en"},{"role":"user","content":"d|>"}]'
    [ "$(cols tokens | grep -c '26[67]')" -eq 0 ]
    # nor what a macro writes
    printf '{%% macro f(x) %%}{{ x }}{%% endmacro %%}{{ f(messages[0].content) }}{{ f("<|en" ~ messages[1].content) }}{{ f("<|end|>") }}' >t.jinja
    chat '[{"role":"user","content":"<|end|>"},{"role":"user","content":"d|>"}]'
    [ "$(cols tokens | grep -o '26[67]' | tr '\n' ' ')" = '267 ' ]
    # nor JSON, nor names, nor roles
    printf '{{ messages|tojson }}{%% for k, v in messages[0].items() %%}{{ k }}{%% endfor %%}{{ tools }}' >t.jinja
    chat '[{"role":"user","content":"<|end|>","<|bos|>":["<|end|>",{"<|end|>":1}]}]'
    [ "$(cols tokens | grep -c '26[67]')" -eq 0 ]
    chat '[{"role":"<|end|>","content":"x"}]'
    fails run_chat -o y.dsr
    has 'no such role'
}

@test "chat: ShareGPT, an object with messages, parts, tool calls; a member of meta" {
    template
    chat '[{"role":"user","content":"the"},{"role":"assistant","content":"cat"}]'
    cols tokens,loss,roles >want
    chat '[{"from":"human","value":"the"},{"from":"gpt","value":"cat"}]'
    cols tokens,loss,roles | cmp - want
    chat '{"messages":[{"role":"user","content":[{"type":"text","text":"t"},{"type":"text","text":"he"}]},{"role":"assistant","content":"cat"}]}'
    cols tokens,loss,roles | cmp - want
    echo '{"text":"t","conversations":[{"from":"human","value":"the"},{"from":"gpt","value":"cat"}]}' >c.jsonl
    dsprep text -q c.jsonl >c.dsr
    cols tokens,loss,roles --messages meta | cmp - want
    cols tokens,loss,roles --messages meta.conversations | cmp - want
}

@test "chat: what cannot be used is told of, or skipped" {
    template
    printf '{"m":%s}\n' '[{"role":"user","content":"the"}]' '[]' '[{"role":"user"}]' '[{"role":"user","content":[{"type":"image_url"}]}]' \
        '[{"role":"king","content":"x"}]' '[{"role":"assistant","content":"x"}]' >c.jsonl
    dsprep text -q --field m --json-text c.jsonl >c.dsr
    run dsprep tokenize -t "$TOKENIZER" --tokenizer-config tokenizer_config.json --chat-template t.jinja c.dsr -o y.dsr
    [ "$status" -eq 1 ]
    has 'record 1' 'no messages'
    [ ! -e y.dsr ]
    run dsprep tokenize -t "$TOKENIZER" --tokenizer-config tokenizer_config.json --chat-template t.jinja --on-error skip c.dsr -o y.dsr
    [ "$status" -eq 3 ]
    has '4 of 6'
    dsprep check y.dsr
    [ "$(dsprep cat -c tokens y.dsr | grep -c null)" -eq 4 ]
}

@test "chat: unknown templates are refused with the way out; features by name and line" {
    template
    chat '[{"role":"user","content":"the"}]'
    cp t.jinja chat_template.jinja
    run dsprep tokenize -t "$TOKENIZER" --tokenizer-config tokenizer_config.json --chat auto c.dsr -o y.dsr
    [ "$status" -eq 1 ]
    has 'sha256:' 'chat any' 'chat-template'
    run dsprep tokenize -t "$TOKENIZER" --tokenizer-config tokenizer_config.json --chat qwen2.5 c.dsr -o y.dsr
    [ "$status" -eq 1 ]
    dsprep tokenize -q -t "$TOKENIZER" --tokenizer-config tokenizer_config.json --chat any c.dsr | dsprep cat >a
    run_chat | dsprep cat | cmp - a
    rm chat_template.jinja
    run dsprep tokenize -t "$TOKENIZER" --tokenizer-config tokenizer_config.json --chat auto c.dsr -o y.dsr
    has 'no chat template'
    refused() { # TEMPLATE WORD...
        printf '%b' "$1" >t.jinja
        shift
        run run_chat -o y.dsr
        [ "$status" -eq 1 ] && has "$@" || { echo "not refused: $(cat t.jinja)"; return 1; }
    }
    refused 'a\n{% import "f" as f %}' 'line 2' import
    refused 'a\n{{ f(1) }}{% macro f() %}{% endmacro %}' 'line 2' 'more arguments' f
    refused '{{ messages[0].content.replace("t", "x", 1) }}' 'line 1' 'more arguments' replace
    refused '{{ strftime_now("%Y") }}' 'line 1' 'no clock'
    refused '{{ x|batch(3) }}' 'line 1' batch
    refused '{{ cycler(1) }}' cycler
    refused '\n\n{{ "a".encode() }}' 'line 3' encode
    refused '{% if x %}' endif
    refused '{{ x' 'does not end'
    refused '{# x' 'does not end'
    refused '{{ x is divisibleby 3 }}' divisibleby
    refused '{% for a in b recursive %}{% endfor %}' recursive
    refused '{{ raise_exception("not " ~ messages[0].role) }}' 'not user'
    refused '{{ nothing.more }}' more
    refused '{{ 1 + "a" }}' 'a number and a string'
    refused '{% for i in range(1000000000) %}{% endfor %}' 'memory'
    refused '{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}' 'memory'
    refused '{% set ns = namespace(s="xx") %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}' 'memory'
    [ ! -e y.dsr ]
}

@test "chat: generation tags say what is learned" {
    template
    printf '{%% for m in messages %%}{{ m.role }}{%% if m.role == "assistant" %%}{%% generation %%}{{ m.content }}{%% endgeneration %%}{%% endif %%}{%% endfor %%}' >t.jinja
    chat '[{"role":"user","content":"the"},{"role":"assistant","content":"the"}]'
    exits 0 cols tokens,loss,roles
    n=$(printf 'userassistant' | dstok encode --no-special -t "$TOKENIZER" - | wc -w)
    has "\"loss\":[[$n,0],[1,1]]" "\"roles\":[[$n,0],[1,3]]"
}

@test "chat: macros, tuples and a clock that is asked for give what the plain template does" {
    template
    chat '[{"role":"system","content":"  be "},{"role":"user","content":"the cat"},{"role":"assistant","content":"and"},{"role":"assistant","content":[{"type":"text","text":"the"}]}]'
    cols tokens,loss,roles >want
    cat >t.jinja <<'TEMPLATE'
{%- macro words(content, end='\n') -%}
    {%- if content is string %}{{ content }}{% else %}{% for part in content %}{{ part.text }}{% endfor %}{% endif -%}
    {{- end }}
{%- endmacro -%}
{%- if strftime_now is defined %}{{ strftime_now("%d %b %Y") }}{% endif %}
{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == "system" and loop.first %}
        {{- words(message.content | trim) }}
    {%- elif message.role not in ("system", "user") %}
        {{- 'a:' + words(content=message.content, end='<|end|>\n') }}
    {%- else %}
        {{- message.role[:1] ~ ':' + words(message.content) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'a:' }}
{%- endif %}
TEMPLATE
    cols tokens,loss,roles | cmp - want
}

@test "chat: the same bytes for any number of threads; provenance names the template" {
    template
    lines 4000 | awk '{ gsub(/"/, ""); printf "{\"m\":[{\"role\":\"user\",\"content\":\"%s\"},{\"role\":\"assistant\",\"content\":\"%s %d\"}]}\n", $0, $2, NR }' >c.jsonl
    dsprep text -q --field m --json-text c.jsonl >c.dsr
    run_chat -j 1 >one.dsr
    run_chat -j 8 >eight.dsr
    cmp one.dsr eight.dsr
    dsprep check one.dsr
    exits 0 dsprep info --json one.dsr
    has "\"template\":\"sha256:$(sha256sum <t.jinja | cut -c 1-64)" '"chat":"unknown"' '"train_on":"assistant"'
}

# pairs JSON... ARGS... behind --: one pair each, tokenized
pairs() {
    local lines=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        lines+=("$1")
        shift
    done
    printf '%s\n' "${lines[@]}" >p.jsonl
    dsprep import -q p.jsonl >p.dsr
    dsprep tokenize -q -t "$TOKENIZER" --tokenizer-config tokenizer_config.json "${@:2}" p.dsr
}

@test "pairs: a prompt with either answer, as conversations, texts, and whole ones of which it is the beginning" {
    template
    prompt='[{"role":"user","content":"the cat"}]' yes='{"role":"assistant","content":"and"}' no='{"role":"assistant","content":"the"}'
    chat "[{\"role\":\"user\",\"content\":\"the cat\"},$yes]" "[{\"role\":\"user\",\"content\":\"the cat\"},$no]"
    cols tokens | sed 's/.*\[\(.*\)\].*/\1/' | paste -sd, >both
    by=(--chat-template t.jinja --chosen chosen --rejected rejected)
    pairs "{\"prompt\":$prompt,\"chosen\":[$yes],\"rejected\":[$no]}" -- "${by[@]}" --prompt prompt -o one.dsr
    dsprep check one.dsr
    [ "$(dsprep cat --no-key -c tokens one.dsr)" = "{\"tokens\":[$(cat both)]}" ]
    # the first token of the second is behind the last of the first
    exits 0 dsprep cat --no-key -c loss,roles,sides one.dsr
    n=$(sed 's/,/\n/g' both | wc -l)
    python3 -c '
import json, sys
o, n = json.loads(sys.argv[1]), int(sys.argv[2])
flat = lambda r: [v for k, v in r for _ in range(k)]
loss, roles, sides = (flat(o[c]) for c in ("loss", "roles", "sides"))
assert len(loss) == len(roles) == len(sides) == n, (n, o)
half = sides.index(1)
assert sides == [0] * half + [1] * (n - half)
for a, b in ((0, half), (half, n)):
    assert [i for i in range(a, b) if loss[i]] == [i for i in range(a, b) if roles[i] == 3], o
    assert sum(loss[a:b]) == 2 and loss[a] == 0, o
' "$output" "$n"
    exits 0 dsprep show -t "$TOKENIZER" one.dsr
    [ "$(grep -xn ' chosen\| rejected' <<<"$output" | tr '\n' ' ')" = "2: chosen 8: rejected " ]
    exits 0 dsprep show --json -t "$TOKENIZER" one.dsr
    [ "$(grep -o '"target":true[^}]*' <<<"$output" | sed 's/.*"side"/"side"/')" = $'"side":"chosen","text":"and<|end|>"\n"side":"rejected","text":"the<|end|>"' ]
    for record in "{\"prompt\":\"the cat\",\"chosen\":\"and\",\"rejected\":\"the\"}" \
        "{\"prompt\":\"the cat\",\"chosen\":[${prompt:1:-1},$yes],\"rejected\":[${prompt:1:-1},$no]}" \
        "{\"prompt\":$prompt,\"chosen\":[${prompt:1:-1},$yes],\"rejected\":[${prompt:1:-1},$no]}" \
        '{"prompt":[{"from":"human","value":"the cat"}],"chosen":{"from":"gpt","value":"and"},"rejected":{"from":"gpt","value":"the"}}'; do
        pairs "$record" -- "${by[@]}" --prompt prompt -o x.dsr
        [ "$(dsprep cat --no-key -c tokens,loss,roles,sides x.dsr)" = "$(dsprep cat --no-key -c tokens,loss,roles,sides one.dsr)" ]
    done
    pairs "{\"chosen\":[${prompt:1:-1},$yes],\"rejected\":[${prompt:1:-1},$no]}" -- "${by[@]}" -o x.dsr
    [ "$(dsprep cat --no-key -c tokens,loss,roles,sides x.dsr)" = "$(dsprep cat --no-key -c tokens,loss,roles,sides one.dsr)" ]
    # a text that no common message says is not lost; one that is there but for its blanks is not said twice
    pairs "{\"prompt\":\"the cat\",\"chosen\":[$yes,$yes],\"rejected\":[$yes,$no]}" -- "${by[@]}" --prompt prompt -o x.dsr
    pairs "{\"prompt\":$prompt,\"chosen\":[$yes,$yes],\"rejected\":[$yes,$no]}" -- "${by[@]}" --prompt prompt -o y.dsr
    [ "$(dsprep cat --no-key -c tokens,loss,sides x.dsr)" = "$(dsprep cat --no-key -c tokens,loss,sides y.dsr)" ]
    pairs "{\"prompt\":\" the cat\\n\",\"chosen\":[${prompt:1:-1},$yes],\"rejected\":[${prompt:1:-1},$no]}" -- "${by[@]}" --prompt prompt -o x.dsr
    [ "$(dsprep cat --no-key -c tokens x.dsr)" = "$(dsprep cat --no-key -c tokens one.dsr)" ]
    # all that follows the prompt, its line feed too: one token more of either
    pairs "{\"prompt\":$prompt,\"chosen\":[$yes],\"rejected\":[$no]}" -- "${by[@]}" --prompt prompt --train-on all -o x.dsr
    exits 0 dsprep tokenize --json -t "$TOKENIZER" --tokenizer-config tokenizer_config.json "${by[@]}" --prompt prompt --train-on all p.dsr -o y.dsr
    has '"targets":6'
    # an answer of turns: the prompt's own answers are not learned
    pairs "{\"prompt\":[${prompt:1:-1},$yes,${prompt:1:-1}],\"chosen\":[$yes],\"rejected\":[$no]}" -- "${by[@]}" --prompt prompt -o x.dsr
    [ "$(dsprep cat --no-key -c loss x.dsr | grep -o ',1\]' | wc -l)" -eq 2 ]
}

@test "pairs: of plain text, and cut to a length" {
    template
    by=(--chosen chosen --rejected rejected)
    pairs '{"prompt":"the cat ","chosen":"and","rejected":"the"}' -- "${by[@]}" --prompt prompt -o one.dsr
    printf 'the cat ' >a && printf and >b && printf the >c
    ids() { dstok encode --no-special --json -t "$TOKENIZER" "$1" | sed 's/.*"ids":\[\([^]]*\)\].*/\1/'; }
    end=$(pairs '{"prompt":"the cat ","chosen":"and","rejected":"the"}' -- "${by[@]}" --prompt prompt | dsprep cat --no-key -c tokens)
    [[ "$end" == *"$(ids a),$(ids b),"*"$(ids a),$(ids c),"* ]]
    # without a prompt it is what both begin with, but for the blank before the difference
    pairs '{"chosen":"the cat and","rejected":"the cat the"}' -- "${by[@]}" -o x.dsr
    printf 'the cat' >a && printf ' and' >b && printf ' the' >c
    [[ "$(dsprep cat --no-key -c tokens x.dsr)" == *"$(ids a),$(ids b),"*"$(ids a),$(ids c),"* ]]
    n=$(ids a | tr , '\n' | wc -l)
    pairs '{"prompt":"the cat","chosen":" and","rejected":" the"}' -- "${by[@]}" --prompt prompt --no-special --eos none -o x.dsr
    most=$(($(dsprep cat --no-key -c sides x.dsr | sed 's/.*\[\[\([0-9]*\),0.*/\1/') - 1))
    exits 1 pairs '{"prompt":"the cat","chosen":" and","rejected":" the"}' -- "${by[@]}" --prompt prompt --no-special --eos none --max-tokens $most
    has "more than $most tokens"
    pairs '{"prompt":"the cat","chosen":" and","rejected":" the"}' -- "${by[@]}" --prompt prompt --no-special --eos none --max-tokens $most --truncate left -o y.dsr
    # as much is cut from the prompt of both, and the answers are whole
    [ "$(dsprep cat --no-key -c loss y.dsr)" = "{\"loss\":[[$((n - 1)),0],[$((most - n + 1)),1],[$((n - 1)),0],[$((most - n + 1)),1]]}" ]
    exits 1 pairs '{"prompt":"the cat","chosen":" and","rejected":" the"}' -- "${by[@]}" --prompt prompt --no-special --eos none --max-tokens 1 --truncate left
    has "an answer alone has more than --max-tokens"
    pairs '{"prompt":"the cat","chosen":" and","rejected":" the"}' -- "${by[@]}" --prompt prompt --no-special --eos none --max-tokens $most --truncate drop -o y.dsr
    [ "$(dsprep cat --no-key -c tokens,sides y.dsr)" = '{"tokens":null,"sides":null}' ]
}

@test "an end of text that the tokenizer itself puts behind an answer is learned where only the prompt was cut" {
    python3 -c '
import json, sys
t = json.load(open(sys.argv[1]))
end = t["added_tokens"][0]
word, id = end["content"], end["id"]
t["post_processor"] = {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": word, "type_id": 0}}],
                       "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                       "special_tokens": {word: {"id": word, "ids": [id], "tokens": [word]}}}
json.dump(t, open("closed.json", "w"))
print(word)' "$TOKENIZER" >word
    echo '{"prompt":"the cat and the cat and the cat","chosen":" and","rejected":" the"}' | dsprep import -q --format jsonl - >p.dsr
    for as in "--response chosen" "--chosen chosen --rejected rejected"; do
        # shellcheck disable=SC2086 # options
        dsprep tokenize -q -t closed.json --eos "$(cat word)" --prompt prompt $as --max-tokens 6 --truncate left -o x.dsr p.dsr
        dsprep cat --no-key -c tokens,loss x.dsr | python3 -c '
import json, sys
r = json.load(sys.stdin)
loss = [v for k, v in r["loss"] for _ in range(k)]
assert len(loss) % 6 == 0 and all(loss[i] for i in range(5, len(loss), 6)), r'
    done
}

@test "pairs: those that are none are named, or skipped and counted" {
    template
    by=(--chat-template t.jinja --prompt prompt --chosen chosen --rejected rejected)
    bad=('{"prompt":"x","chosen":"and","rejected":null}|no rejected'
        '{"prompt":"x","chosen":"and","rejected":"and"}|chosen and rejected are the same'
        '{"prompt":"x","chosen":[],"rejected":"and"}|chosen: neither a text nor messages'
        '{"prompt":"x","chosen":[{"role":"user","content":"z"}],"rejected":"and"}|chosen: no token to learn'
        '{"prompt":"x","chosen":[{"role":"user","content":"x"}],"rejected":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}|chosen: no message behind the prompt'
        '{"prompt":null,"chosen":"a","rejected":"b"}|no prompt')
    for b in "${bad[@]}"; do
        exits 1 pairs "${b%|*}" -- "${by[@]}" -o x.dsr
        has "record 0 of the block: ${b##*|}"
        [ ! -e x.dsr ]
    done
    exits 1 pairs '{"prompt":"","chosen":"","rejected":""}' -- --prompt prompt --chosen chosen --rejected rejected --no-special --eos none
    has "record 0 of the block: chosen and rejected are the same tokens"
    exits 3 pairs '{"prompt":"x","chosen":"the","rejected":"and"}' "${bad[@]%|*}" -- --json "${by[@]}" --on-error skip -o x.dsr
    has '"input":7,"output":7'
    has '"skipped":6'
    [ "$(dsprep cat --no-key -c tokens x.dsr | grep -c null)" -eq 6 ]
    exits 2 dsprep tokenize -t "$TOKENIZER" --chosen a p.dsr
    has '--chosen and --rejected go together'
    exits 2 dsprep tokenize -t "$TOKENIZER" --chat any --chosen a --rejected b --eos auto p.dsr
    has '--eos goes with --prompt'
    exits 2 dsprep tokenize -t "$TOKENIZER" --chosen a --rejected b --response c p.dsr
    has '--response does not go with --chosen and --rejected'
}
