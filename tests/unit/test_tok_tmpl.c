/* The interpreter of chat templates: what each part of the subset renders, as jinja2 does; what is
 * refused, by line; and that no template runs on for ever. */
#include "unit.h"

#include "tok_tmpl.h"

typedef struct pair {
    const char *text, *want;
} pair;

static const char messages_json[] = "[{\"role\":\"user\",\"content\":\"Hi\",\"n\":1},"
                                    "{\"role\":\"assistant\",\"content\":\"Yo\",\"n\":2,\"calls\":["
                                    "{\"f\":\"g\",\"a\":{\"x\":1.5}}]},"
                                    "{\"role\":\"user\",\"content\":\" B\xc3\xa9\\n\",\"n\":3}]";

static json_t *messages;

static int load(void **state)
{
    (void)state;
    messages = json_loads(messages_json, 0, NULL);
    return messages ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    json_decref(messages);
    return 0;
}

/* 0, or the error of parsing or of rendering. */
static int render(const char *text, const json_t *list, ds_tmplout *out, ds_err *err)
{
    const ds_tmplvars vars = {.messages = list, .bos = "<s>", .eos = "</s>"};
    ds_tmpl *t = NULL;
    int rc = ds_tmpl_parse(&t, text, strlen(text), "t.jinja", err);
    if (rc == 0)
        rc = ds_tmpl_render(t, &vars, out, err);
    ds_tmpl_free(t);
    return rc;
}

static void render_all(const pair *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ds_tmplout out = {0};
        ds_err err = {0};
        int rc = render(p[i].text, messages, &out, &err);
        if (rc != 0)
            fail_msg("%s\ngives the error %s", p[i].text, err.msg);
        if (out.text.len != strlen(p[i].want) ||
            (out.text.len && memcmp(out.text.data, p[i].want, out.text.len) != 0))
            fail_msg("%s\nwant '%s'\ngot  '%s'", p[i].text, p[i].want, ds_buf_cstr(&out.text));
        ds_tmplout_fini(&out);
    }
}

/* Each fails with these words in its message, which names template and line. */
static void fail_all(const pair *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ds_tmplout out = {0};
        ds_err err = {0};
        int rc = render(p[i].text, messages, &out, &err);
        if (rc != DS_FAIL || !strstr(err.msg, p[i].want) || !strstr(err.msg, "t.jinja: line "))
            fail_msg("%s\nwant '%s', got %d '%s'", p[i].text, p[i].want, rc, err.msg);
        ds_tmplout_fini(&out);
    }
}

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void statements(void **state)
{
    (void)state;
    static const pair p[] = {
        {"", ""},
        {"plain { } %} text", "plain { } %} text"},
        {"{% if false %}a{% elif 1 %}b{% else %}c{% endif %}", "b"},
        {"{% if none %}a{% elif '' %}b{% else %}c{% endif %}", "c"},
        {"{% for m in messages %}{{ m.role }},{% endfor %}", "user,assistant,user,"},
        {"{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}", "a=1;b=2;"},
        {"{% for m in messages if m.n != 2 %}{{ loop.index }}{{ m.n }} {% endfor %}", "11 23 "},
        {"{% for x in [] %}a{% else %}none{% endfor %}", "none"},
        {"{% for x in [1] if x > 1 %}a{% else %}none{% endfor %}", "none"},
        {"{% for x in nothing %}a{% else %}none{% endfor %}", "none"},
        {"{% for x in range(9) %}{% if x == 3 %}{% break %}{% endif %}{{ x }}{% endfor %}", "012"},
        {"{% for x in range(5) %}{% if x % 2 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
         "024"},
        {"{% for c in 'a\xc3\xa9z' %}{{ c }}.{% endfor %}", "a.\xc3\xa9.z."},
        {"{% for k in {'a': 1, 'b': 2} %}{{ k }}{% endfor %}", "ab"},
        {"{% set x = 1 %}{{ x }}{% set x = x + 1 %}{{ x }}", "12"},
        {"{% set x %}a{{ 1 + 1 }}b{% endset %}[{{ x }}{{ x | length }}]", "[a2b3]"},
        {"{% set n = namespace(a=1) %}{% for i in [1, 2] %}{% set n.a = n.a + i %}{% endfor %}"
         "{{ n.a }}",
         "4"},
        {"{% set x = 1 %}{% for i in [5, 6] %}{% set x = i %}{{ x }}{% endfor %}{{ x }}", "561"},
        {"a{# no {{ x }} {% if #}b", "ab"},
        {"{% generation %}x{% endgeneration %}", "x"},
    };
    render_all(p, COUNT(p));
}

static void loops(void **state)
{
    (void)state;
    static const pair p[] = {
        {"{% for x in 'abc' %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}"
         "{{ loop.revindex0 }}{{ loop.length }} {% endfor %}",
         "10323 21213 32103 "},
        {"{% for x in [1, 2, 3] %}{{ loop.first }}{{ loop.last }} {% endfor %}",
         "TrueFalse FalseFalse FalseTrue "},
        {"{% for x in [1, 2, 3] %}{{ loop.previtem }}<{{ x }}<{{ loop.nextitem }} {% endfor %}",
         "<1<2 1<2<3 2<3< "},
        {"{% for x in [1, 2] %}{% for y in [1, 2, 3] %}{{ loop.index }}{% endfor %}"
         "{{ loop.index }};{% endfor %}",
         "1231;1232;"},
        {"{{ loop is defined }}{% for x in [1] %}{{ loop is defined }}{% endfor %}", "FalseTrue"},
    };
    render_all(p, COUNT(p));
}

static void white_space(void **state)
{
    (void)state;
    static const pair p[] = {
        {"a\n", "a"},
        {"a\n\n", "a\n"},
        {"{% if 1 %}\nx\n{% endif %}\ny", "x\ny"},
        {"  {% if 1 %}\n  x\n  {% endif %}\n  y", "  x\n  y"},
        {"a  {% if 1 %}b{% endif %}", "a  b"},
        {"  {{ 1 }}\n  {{ 2 }}\n", "  1\n  2"},
        {"a \n {{- 1 -}} \n b", "a1b"},
        {"a {%- if 1 -%} b {%- endif -%} c", "abc"},
        {"  {%+ if 1 +%}\nx{% endif %}", "  \nx"},
        {"  {# c #}\nx", "x"},
        {"a {#- c -#} b", "ab"},
        {"{{ '-' }}{{ 3 -1 }}", "-2"},
        {"{%- for m in messages -%}\n  {{ m.n }}\n{%- endfor -%}\n", "123"},
    };
    render_all(p, COUNT(p));
}

static void values(void **state)
{
    (void)state;
    static const pair p[] = {
        {"{{ 'a\\n\\t\\\\\\'\\\"' }}", "a\n\t\\'\""},
        {"{{ 'a' \"b\" }}", "ab"},
        {"{{ true }}{{ True }}{{ false }}{{ none }}{{ None }}", "TrueTrueFalseNoneNone"},
        {"{{ 7 }} {{ 2.50 }} {{ 1.0 }}", "7 2.5 1.0"},
        {"{{ nothing }}{{ messages[0].nothing }}", ""},
        {"{{ messages[1]['role'] }}{{ messages[-1].n }}{{ messages[9] }}", "assistant3"},
        {"{{ messages[1:] | length }}{{ messages[:-1] | length }}{{ messages[5:] | length }}",
         "220"},
        {"{% for m in messages[::-1] %}{{ m.n }}{% endfor %}", "321"},
        {"{{ 'h\xc3\xa9llo'[1:3] }}{{ 'h\xc3\xa9llo'[1] }}{{ 'abc'[-1] }}", "\xc3\xa9l\xc3\xa9"
                                                                            "c"},
        {"{{ [1, [2, 3]][1][0] }}{{ {'a': {'b': 5}}.a.b }}", "25"},
        {"{{ bos_token }}{{ eos_token }}{{ add_generation_prompt }}{{ tools }}{{ documents }}",
         "<s></s>FalseNoneNone"},
        {"{{ strftime_now is defined }}", "False"},
    };
    render_all(p, COUNT(p));
}

static void operators(void **state)
{
    (void)state;
    static const pair p[] = {
        {"{{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 1 / 2 }}",
         "7 9 3 -4 2 0.5"},
        {"{{ 'a' + 'b' ~ 1 ~ none }}", "ab1None"},
        {"{{ ([1] + [2, 3]) | length }}", "3"},
        {"{{ 1 == 1.0 }}{{ 'a' != 'b' }}{{ 1 < 2 }}{{ 2 <= 1 }}{{ 'b' > 'a' }}{{ 1 >= 2 }}",
         "TrueTrueTrueFalseTrueFalse"},
        {"{{ [1, {'a': [2]}] == [1, {'a': [2]}] }}{{ [1] == [2] }}{{ '1' == 1 }}",
         "TrueFalseFalse"},
        {"{{ 'b' in 'abc' }}{{ 2 in [1, 2] }}{{ 'x' not in {'x': 1} }}", "TrueTrueFalse"},
        {"{{ '' or 'x' }}{{ 0 and 1 }}{{ not none }}{{ not 1 == 2 }}", "x0TrueTrue"},
        {"{{ 'a' if 1 else 'b' }}{{ 'a' if 0 else 'b' }}{{ 'a' if 0 }}", "ab"},
        {"{{ true or nothing.at.all }}", "True"},
    };
    render_all(p, COUNT(p));
}

static void filters(void **state)
{
    (void)state;
    static const pair p[] = {
        {"{{ -3 | abs }}{{ (0 - 3) | abs }}", "33"},
        {"{{ [1, 2] | count }}{{ 'h\xc3\xa9' | length }}{{ {'a': 1} | length }}", "221"},
        {"{{ nothing | default('d') }}{{ '' | default('e') }}{{ '' | d('f', true) }}"
         "{{ '' | default('g', boolean=true) }}",
         "dfg"},
        {"{{ [4, 5] | first }}{{ [4, 5] | last }}[{{ [] | first }}]", "45[]"},
        {"{{ 3.9 | int }}{{ true | int }}", "31"},
        {"{% for k, v in {'a': 1} | items %}{{ k }}{{ v }}{% endfor %}", "a1"},
        {"{{ [1, 'a', 2] | join('-') }}{{ ['x', 'y'] | join }}{{ [1, 2] | join(d=',') }}",
         "1-a-2xy1,2"},
        {"{{ {'a': 1, 'b': 2} | list | join }}", "ab"},
        {"{{ 'aB' | lower }}{{ 'aB' | upper }}", "abAB"},
        {"{{ messages | map(attribute='n') | join(',') }}", "1,2,3"},
        {"{{ messages | selectattr('role', 'equalto', 'user') | list | length }}"
         "{{ messages | selectattr('role', '==', 'user') | list | length }}"
         "{{ messages | selectattr('calls', 'defined') | map(attribute='n') | first }}"
         "{{ messages | selectattr('calls') | list | length }}",
         "2221"},
        {"{{ messages | rejectattr('n', 'in', [1, 3]) | map(attribute='n') | join }}", "2"},
        {"{{ ['a', 'b', 'a'] | reject('equalto', 'a') | join }}"
         "{{ ['a', 'b'] | select('==', 'a') | join }}{{ [0, 1, '', 'x'] | select | join }}"
         "{{ [0, 1] | reject | join }}",
         "ba1x0"},
        {"{{ 'aXbX' | replace('X', '--') }}{{ 'a' | replace('b', 'c') }}", "a--b--a"},
        {"{{ [1, 2, 3] | reverse | join }}", "321"},
        {"{{ '<' | safe }}{{ 12 | string | length }}", "<2"},
        {"{{ {'a': [1, true, none, 'x\"\xc3\xa9<']} | tojson }}",
         "{\"a\": [1, true, null, \"x\\\"\xc3\xa9<\"]}"},
        {"{{ {'a': [1]} | tojson(indent=2) }}", "{\n  \"a\": [\n    1\n  ]\n}"},
        {"{{ [] | tojson(indent=2) }}{{ {} | tojson }}", "[]{}"},
        {"{{ messages[1].calls | tojson }}", "[{\"f\": \"g\", \"a\": {\"x\": 1.5}}]"},
        {"[{{ ' \\n a b\\t' | trim }}]{{ 'xxaxx' | trim('x') }}", "[a b]a"},
    };
    render_all(p, COUNT(p));
}

static void tests(void **state)
{
    (void)state;
    static const pair p[] = {
        {"{{ x is defined }}{{ x is undefined }}{{ 1 is not defined }}", "FalseTrueFalse"},
        {"{{ true is boolean }}{{ 1 is boolean }}{{ true is true }}{{ false is false }}",
         "TrueFalseTrueTrue"},
        {"{{ 1 is eq 1 }}{{ 1 is equalto(2) }}{{ 1 is ne 2 }}{{ 1 is in([1]) }}",
         "TrueFalseTrueTrue"},
        {"{{ 1 is integer }}{{ 1.5 is integer }}{{ 1.5 is number }}{{ 'a' is number }}",
         "TrueFalseTrueFalse"},
        {"{{ 'a' is iterable }}{{ [1] is sequence }}{{ {} is mapping }}{{ [] is mapping }}",
         "TrueTrueTrueFalse"},
        {"{{ none is none }}{{ 0 is none }}{{ 'a' is string }}{{ 1 is not string }}",
         "TrueFalseTrueTrue"},
    };
    render_all(p, COUNT(p));
}

static void methods_and_functions(void **state)
{
    (void)state;
    static const pair p[] = {
        {"[{{ ' a '.strip() }}{{ ' a '.lstrip() }}{{ ' a '.rstrip() }}{{ 'xay'.strip('xy') }}]",
         "[aa  aa]"},
        {"{{ 'a,b,c'.split(',')[1] }}{{ 'a,b,c'.split(',', 1)[1] }}{{ ' a  b '.split() | join('+') "
         "}}",
         "bb,ca+b"},
        {"{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith('ab') }}{{ 'a'.startswith('abc') }}",
         "TrueFalseFalse"},
        {"{{ 'abc'.startswith('' | trim) }}{{ 'a'.endswith(x | default) }}", "TrueTrue"},
        {"{{ 'aB'.upper() }}{{ 'aB'.lower() }}{{ 'aXa'.replace('a', 'b') }}{{ '-'.join(['a', 'b']) "
         "}}",
         "ABabbXba-b"},
        {"{{ {'a': 1}.get('a') }}{{ {'a': 1}.get('b') }}{{ {'a': 1}.get('b', 2) }}", "1None2"},
        {"{{ {'a': 1}.keys() | join }}{{ {'a': 1}.values() | join }}", "a1"},
        {"{{ dict(a=1, b='x') | tojson }}", "{\"a\": 1, \"b\": \"x\"}"},
        {"{{ range(3) | join }}{{ range(2, 4) | join }}{{ range(5, 0, -2) | join }}"
         "{{ range(3, 1) | list | length }}",
         "012235310"},
    };
    render_all(p, COUNT(p));
}

static void macros_and_tuples(void **state)
{
    (void)state;
    static const pair p[] = {
        {"{% macro f(x, y='d', z=y) %}[{{ x }}{{ y }}{{ z }}]{% endmacro %}"
         "{{ f(1) }}{{ f(1, y=2) }}{{ f(z=3, x='a') }}{{ f() }}",
         "[1dd][122][ad3][dd]"},
        {"{% set a = 'P' %}{% macro g(n) %}{{ a }}{% if n > 0 %}{{ g(n - 1) }}{% endif %}{{ n }}"
         "{% set a = 'Q' %}{% endmacro %}{% macro h() %}{{ g(1) }}{{ x is defined }}{% endmacro %}"
         "{% for x in [1] %}{{ h() }}{% endfor %}{% set a = 'R' %}{{ g(0) | lower ~ 'z' }}",
         "PP01Falser0z"},
        {"{% macro f() -%}\n  a\n{%- endmacro %}{{ f() == 'a' }}{{ f is defined }}", "TrueTrue"},
        {"{% macro f() %}{% for x in [1, 2] %}{{ x }}{% break %}{% endfor %}{% endmacro %}"
         "{% for x in [1, 2] %}{{ f() }}{% endfor %}",
         "11"},
        {"{{ 'a' in ('a', 'b') }}{{ 'c' not in ('a',) }}{{ ('a') }}{{ ('a', 'b') | join }}",
         "TrueTrueaab"},
        {"{% for a, b in [('x', 1), ('y', 2)] %}{{ a }}{{ b }}{% endfor %}", "x1y2"},
        {"{{ 'abc'.startswith(('x', 'ab')) }}{{ 'abc'.endswith(('x', 'y')) }}", "TrueFalse"},
        {"{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% else %}2024{% endif %}",
         "2024"},
        {"{{ 'a-b'.split(sep='-', maxsplit=1) | join }}{{ [1] | tojson(ensure_ascii=false) }}",
         "ab[1]"},
    };
    render_all(p, COUNT(p));
}

static void refused(void **state)
{
    (void)state;
    static const pair p[] = {
        {"a\n{{ x | nosuch }}", "line 2: no such filter here: 'nosuch'"},
        {"\n\n{{ x is nosuch }}", "line 3: no such test here: 'nosuch'"},
        {"{{ 'a'.nosuch() }}", "line 1: no such method here: 'nosuch'"},
        {"{{ nosuch() }}", "no such function here: 'nosuch'"},
        {"{% macro f() %}{% macro g() %}{% endmacro %}{% endmacro %}", "a macro in a macro"},
        {"{% macro f() %}{% endmacro %}{% macro f() %}{% endmacro %}", "there twice: 'f'"},
        {"{% macro f() %}{% generation %}{% endgeneration %}{% endmacro %}", "cannot be marked"},
        {"{% macro range(a) %}{% endmacro %}", "called as a function is: 'range'"},
        {"{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "more arguments than it takes here: 'f'"},
        {"a\n{{ f(b=1) }}{% macro f(a) %}{% endmacro %}", "line 2: no such argument here: 'b'"},
        {"{% macro f() %}{{ caller() }}{% endmacro %}{{ f() }}", "no such function here: 'caller'"},
        {"{% macro f() %}", "the template ends before 'endmacro'"},
        {"{{ 'aa'.replace('a', 'b', 1) }}", "more arguments than it takes here: 'replace'"},
        {"{{ 'aa' | replace('a', 'b', 1) }}", "more arguments than it takes here: 'replace'"},
        {"{{ 'a'.startswith('a', 1) }}", "more arguments than it takes here: 'startswith'"},
        {"{{ [1] | tojson(4) }}", "more arguments than it takes here: 'tojson'"},
        {"{{ [1] | tojson(separators=(',', ':')) }}", "no such argument here: 'separators'"},
        {"{{ x | map(attribute='a', default=1) }}", "no such argument here: 'default'"},
        {"{{ x | join(',', attribute='a') }}", "no such argument here: 'attribute'"},
        {"{{ x is defined(1) }}", "more arguments than it takes here: 'defined'"},
        {"{{ range(stop=1) }}", "no such argument here: 'stop'"},
        {"{% include 'x' %}", "no such statement here: 'include'"},
        {"{{ 1 < 2 < 3 }}", "chained comparisons"},
        {"{{ f(1)(2) }}", "calling a value"},
        {"{{ x.a(1) }}", "no such method here: 'a'"},
        {"{{ x[0](1) }}", "calling a value"},
        {"{{ dict(*x) }}", "not supported: '*'"},
        {"{{ 2 ** 3 }}", "not understood: '**'"},
        {"{% set a, b = 1 %}", "several names"},
        {"{% for x in y recursive %}{% endfor %}", "not supported: 'recursive'"},
        {"{{ '\\x41' }}", "escape"},
        {"{{ x[1:2:3:4] }}", "three parts"},
        {"{{ x.0 }}", "index after a dot"},
        {"{{ 1 not 2 }}", "'not' without 'in'"},
        {"{{ 1111111111111111111111 }}", "too long"},
        {"{% if 1 %}a", "the template ends before 'endif'"},
        {"{% for x in y %}{% endif %}", "no such statement here: 'endif'"},
        {"{{ 'abc }}", "a string that does not end"},
        {"a\nb\n{{ 1", "line 3: a tag that does not end"},
        {"{# abc", "a comment that does not end"},
        {"{{ }}", "an expression is missing"},
        {"{{ 1 2 }}", "not understood"},
        {"{{ x[ }}", "line 1"},
        {"{{ @ }}", "not understood: '@'"},
    };
    fail_all(p, COUNT(p));
}

static void errors_while_rendering(void **state)
{
    (void)state;
    static const pair p[] = {
        {"{{ (1, 2) }}", "a list cannot be written as text"},
        {"{{ f() }}{% macro f() %}{% endmacro %}", "'f' is called before its macro"},
        {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested too deeply"},
        {"{% for a in [1] %}{% macro f() %}{% endmacro %}{% endfor %}", "a macro in a loop"},
        {"\n{{ strftime_now('%Y') }}", "line 2: there is no clock here"},
        {"{{ 'a' | tojson(ensure_ascii=true) }}", "ensure_ascii is not supported"},
        {"{{ 'a' | tojson(indent='x') }}", "indent is a number"},
        {"{{ 'a'.startswith(1) }}", "take a string"},
        {"\n\n{{ raise_exception('roles must alternate') }}",
         "line 3: the template says: roles must alternate"},
        {"a\n{{ x.y.z }}", "line 2: 'y' of something undefined"},
        {"{{ x[0][1] }}", "an item of something undefined"},
        {"{{ 1 + 'a' }}", "no such operation between a number and a string"},
        {"{{ 'a' < 1 }}", "no such operation"},
        {"{{ 1 // 0 }}", "division by 0"},
        {"{{ 999999999999999999 * 999999999999999999 }}", "beyond 64 bits"},
        {"{{ [1, 2, 3][::2] | join }}", "slices with steps"},
        {"{{ [1] }}", "a list cannot be written as text"},
        {"{% for a, b in [1] %}{% endfor %}", "not a pair"},
        {"{% for a in 5 %}{% endfor %}", "a loop over a number"},
        {"{% set x = {} %}{% set x.a = 1 %}", "only attributes of a namespace"},
        {"{{ '\xc3\xa9' | upper }}", "ASCII"},
        {"{{ 'a' | replace('', 'b') }}", "replace takes"},
        {"{{ 'a'.split('') }}", "an empty separator"},
        {"{{ range(1, 2, 0) }}", "range"},
        {"{{ 5 | first }}", "first does not take a number"},
        {"{{ x | tojson }}", "tojson: undefined"},
        {"{{ 1 in 'a' }}", "no such operation"},
        {"{{ messages | map('upper') }}", "map: only by the name"},
    };
    fail_all(p, COUNT(p));
}

/* Templates that would take for ever, or all memory. */
static void limits(void **state)
{
    (void)state;
    static const pair p[] = {
        {"{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}x"
         "{% endfor %}{% endfor %}{% endfor %}",
         "memory"},
        {"{{ range(1000000000) }}", "memory"},
        {"{% set n = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(40) %}"
         "{% set n.s = n.s + n.s %}{% endfor %}",
         "memory"},
        {"{% set s = 'x' | replace('x', 'yyyyyyyyyyyyyyyy') %}{{ s | upper | nosuch }}",
         "no such filter"},
        /* lists that hold each other twice: 2^60 comparisons */
        {"{% set n = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}"
         "{% set n.b = [n.b, n.b] %}{% endfor %}{{ n.a == n.b }}",
         "more than 16777216 steps"},
        {"{% set l = range(1000000) %}{% for i in range(10000) %}{{ -1 in l }}{% endfor %}",
         "more than 16777216 steps"},
        {"{% set n = namespace(a=[]) %}{% for i in range(300) %}{% set n.a = [n.a] %}{% endfor %}"
         "{{ n.a | tojson }}",
         "tojson"},
    };
    fail_all(p, COUNT(p));
}

/* Bytes repeated n times around a middle. */
static void nested(const char *open, const char *middle, const char *close, size_t n,
                   const char *want)
{
    ds_buf b = {0};
    for (size_t i = 0; i < n; i++)
        assert_int_equal(ds_buf_puts(&b, open), 0);
    assert_int_equal(ds_buf_puts(&b, middle), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(ds_buf_puts(&b, close), 0);
    const pair p = {ds_buf_cstr(&b), want};
    fail_all(&p, 1);
    ds_buf_fini(&b);
}

static void nesting(void **state)
{
    (void)state;
    nested("{% if 1 %}", "x", "{% endif %}", 100000, "nested too deeply");
    nested("{% for x in y %}", "x", "{% endfor %}", 100000, "nested too deeply");
    nested("{% set x %}", "x", "{% endset %}", 100000, "nested too deeply");
    nested("{{ ", "1", " }}", 100000, "line 1");
    nested("(", "{{ 1", ")", 1, "not understood");
    nested("{{ ((((((((((", "1", "))))))))))", 1, "a tag that does not end");
    nested("{{ not ", "", "", 1, "an expression is missing");
}

/* Every byte of the output knows who wrote it, and in which message's round. */
static void sources(void **state)
{
    (void)state;
    static const char text[] = "{% for m in messages %}<{{ m.role }}>{{ (m.content | trim) ~ '.' }}"
                               "{% endfor %}{% generation %}!{% endgeneration %}";
    static const struct {
        size_t end;
        uint32_t source, turn;
        bool generation;
    } want[] = {{6, 0, 1, false},  {8, 1, 1, false},  {9, 0, 1, false},  {20, 0, 2, false},
                {22, 2, 2, false}, {23, 0, 2, false}, {29, 0, 3, false}, {32, 3, 3, false},
                {33, 0, 3, false}, {34, 0, 0, true}};
    ds_tmplout out = {0};
    ds_err err = {0};
    assert_int_equal(render(text, messages, &out, &err), 0);
    assert_string_equal(ds_buf_cstr(&out.text), "<user>Hi.<assistant>Yo.<user>B\xc3\xa9.!");
    assert_true(out.generation);
    const ds_tmplrun *r = (const void *)out.runs.data;
    size_t n = out.runs.len / sizeof *r, k = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t from = i ? r[i - 1].end : 0; from < r[i].end; from++) {
            while (want[k].end <= from)
                k++;
            if (r[i].source != want[k].source || r[i].turn != want[k].turn ||
                r[i].generation != want[k].generation)
                fail_msg("byte %zu: source %u, turn %u", from, r[i].source, r[i].turn);
        }
    assert_int_equal(r[n - 1].end, out.text.len);
    ds_tmplout_fini(&out);
}

/* Content stays a message's through every operation on strings. */
static void sources_stay(void **state)
{
    (void)state;
    static const char *const ways[] = {"m.content",
                                       "m.content | trim",
                                       "m.content | upper",
                                       "m.content | lower",
                                       "m.content.replace('x','y')",
                                       "m.content.split('x')[0]",
                                       "m.content[0:2]",
                                       "m.content[0] + m.content[1]",
                                       "[m.content] | join",
                                       "m.content.strip()",
                                       "m.content | string",
                                       "'' ~ m.content"};
    json_t *list = json_loads("[{\"role\":\"user\",\"content\":\"<|\"}]", 0, NULL);
    for (size_t i = 0; i < COUNT(ways); i++) {
        ds_buf b = {0};
        ds_tmplout out = {0};
        ds_err err = {0};
        assert_int_equal(ds_buf_printf(&b, "{%% set m = messages[0] %%}{{ %s }}", ways[i]), 0);
        if (render(ds_buf_cstr(&b), list, &out, &err) != 0)
            fail_msg("%s: %s", ways[i], err.msg);
        assert_string_equal(ds_buf_cstr(&out.text), "<|");
        const ds_tmplrun *r = (const void *)out.runs.data;
        for (size_t k = 0; k < out.runs.len / sizeof *r; k++)
            if (r[k].source != 1)
                fail_msg("%s: source %u", ways[i], r[k].source);
        ds_tmplout_fini(&out);
        ds_buf_fini(&b);
    }
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(statements),
        cmocka_unit_test(loops),
        cmocka_unit_test(white_space),
        cmocka_unit_test(values),
        cmocka_unit_test(operators),
        cmocka_unit_test(filters),
        cmocka_unit_test(tests),
        cmocka_unit_test(methods_and_functions),
        cmocka_unit_test(macros_and_tuples),
        cmocka_unit_test(refused),
        cmocka_unit_test(errors_while_rendering),
        cmocka_unit_test(limits),
        cmocka_unit_test(nesting),
        cmocka_unit_test(sources),
        cmocka_unit_test(sources_stay),
    };
    return cmocka_run_group_tests(all, load, unload);
}
