/* The visible text of pages. */
#include "unit.h"

#include "html.h"

static void check(const char *in, const char *want)
{
    ds_buf out = {0}, title = {0};
    size_t len = strlen(in);
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, in, len);
    assert_int_equal(ds_html_text(&out, &title, copy, len), 0);
    assert_string_equal(ds_buf_cstr(&out), want);
    free(copy);
    ds_buf_fini(&out);
    ds_buf_fini(&title);
}

static void blocks(void **state)
{
    (void)state;
    check("", "");
    check("  plain   text\n here ", "plain text here");
    check("<p>one<p>two", "one\n\ntwo");
    check("<div>a</div><div>b</div>", "a\nb");
    check("a<br>b<br/><br>c", "a\nb\n\nc");
    check("<h1> Title </h1>text <b>bold</b><i>it</i>", "Title\n\ntext boldit");
    check("<ul><li>x</li><li>y</li></ul>z", "x\ny\n\nz");
    check("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "1\t2\n3");
    check("x<pre>\n  keep\n    this</pre>y", "x\n\n  keep\n    this\n\ny");
    check("<P CLASS='a>b'>q</P><A HREF=\"x>y\" title = '>'>link</A>", "q\n\nlink");
}

static void dropped(void **state)
{
    (void)state;
    check("a<script>if (x < y) { '</p>' }</script>b", "ab");
    check("a<SCRIPT>x</Script >b<style>p{}</style>c<template><p>no</template>d", "abcd");
    check("a<script>never closed", "a");
    check("a<!-- c <b> -- > -->b<!-->c<!---->d<!doctype html>e<?php x ?>f", "abcdef");
    check("a<!-- open", "a");
    check("a <b", "a");
    check("1 < 2 and 3<4 <", "1 < 2 and 3<4 <");
    check("<textarea><b>raw</textarea>", "<b>raw");
    check("</0>x</p attr=\">\">y", "x\n\ny");
}

static void references(void **state)
{
    (void)state;
    check("&lt;p&gt; &amp;amp; &quot;&apos;", "<p> &amp; \"'");
    check("&eacute;&Eacute;&#233;&#xE9;&#Xe9", "\xc3\xa9\xc3\x89\xc3\xa9\xc3\xa9\xc3\xa9");
    check("&hellip;&mdash;&zwj;&#x1F600;", "\xe2\x80\xa6\xe2\x80\x94\xe2\x80\x8d\xf0\x9f\x98\x80");
    check("&CounterClockwiseContourIntegral;&ThickSpace;&nGt;",
          "\xe2\x88\xb3\xe2\x81\x9f\xe2\x80\x8a\xe2\x89\xab\xe2\x83\x92");
    check("&zwnj;&AElig&AEligx &bigcirc", "\xe2\x80\x8c\xc3\x86\xc3\x86x &bigcirc");
    check("&amp &ampx &notit; &nosuch; & &; &# &#x;", "& &x \xc2\xacit; &nosuch; & &; &# &#x;");
    check("&hellip &ltx", "&hellip <x"); /* only old names may lack the semicolon */
    check("&#0;&#xD800;&#x110000;&#99999999999;",
          "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    check("&#128;&#150;&#x81;", "\xe2\x82\xac\xe2\x80\x93\xc2\x81");
    check("&nbsp;x", "\xc2\xa0x");
}

static void titles(void **state)
{
    (void)state;
    static const char in[] =
        "<html><head><title> A &amp;\n B </title><meta x></head><body>t<title>2</title></body>";
    ds_buf out = {0}, title = {0};
    assert_int_equal(ds_html_text(&out, &title, (const uint8_t *)in, sizeof in - 1), 0);
    assert_string_equal(ds_buf_cstr(&title), "A & B");
    assert_string_equal(ds_buf_cstr(&out), "t");
    out.len = 0;
    assert_int_equal(ds_html_text(&out, NULL, (const uint8_t *)in, sizeof in - 1), 0);
    assert_string_equal(ds_buf_cstr(&out), "t");
    ds_buf_fini(&out);
    ds_buf_fini(&title);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(blocks), cmocka_unit_test(dropped),
                                       cmocka_unit_test(references), cmocka_unit_test(titles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
