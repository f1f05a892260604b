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
