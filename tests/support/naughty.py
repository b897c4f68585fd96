"""Texts that have broken other people's programs, by the kind of program they broke.

A selection of our own, after the kinds of the well-known Big List of Naughty Strings. Written
with escapes wherever an editor, a terminal or a reader could be misled by the character itself.
"""

RESERVED = (
    "",
    " ",
    "undefined",
    "null",
    "NULL",
    "(null)",
    "nil",
    "None",
    "True",
    "false",
    "NaN",
    "Infinity",
    "-Infinity",
    "constructor",
    "__proto__",
    "hasOwnProperty",
    "__class__",
    "self",
    "id",
    "_id",
    "CON",
    "NUL",
    "..",
    "~",
    "-",
)
"""Words that mean something to a language or an operating system."""

NUMBERS = (
    "0",
    "-1",
    "1/0",
    "0x7fffffffffffffff",
    "9223372036854775808",
    "1e999",
    "-0",
    "1_000",
    "1,000.00",
    "012",
    "\u0661\u0662\u0663",  # Arabic-Indic digits, which `int` reads
    "\uff11\uff12\uff13",  # full-width digits
    "\u00b2",  # a digit to `str.isdigit`, not to `int`
)
"""Texts that something may read as a number."""

INJECTIONS = (
    "'",
    "' OR '1'='1",
    "'; DROP TABLE users; --",
    '" OR ""="',
    "ann'--",
    "1;WAITFOR DELAY '0:0:5'",
    "%' ESCAPE '!",
    "_%",
    '{"$ne": null}',
    '{"$gt": ""}',
    "$where",
    "this.password.match(/.*/)",
    "*)(uid=*))(|(uid=*",
    "{{7*7}}",
    "{% raise %}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "%s%s%s%n",
    "{0.__class__}",
    "$(touch gatelodge-was-here)",
    "`touch gatelodge-was-here`",
    "|| true",
    "${jndi:ldap://127.0.0.1/a}",
    "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
    "() { :; }; true",
)
"""Texts that are code to a database, a template, a shell or a format."""

MARKUP = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "javascript:alert(1)",
    "</title><svg/onload=alert(1)>",
    "&lt;script&gt;",
    "<a href='//evil.example'>",
    "<!--#exec cmd='true'-->",
    "]]>",
)
"""Texts that are code to a browser."""

LINES = (
    "ann\r\nX-Injected: yes",
    "ann\r\n\r\nHTTP/1.1 200 OK",
    "ann\nBcc: everybody@example.com",
    "ann%0d%0aX-Injected:%20yes",
    '"}\n{"event": "role.granted"',
    "ann\u2028line",
    "ann\u2029paragraph",
    "ann\u0085next",
    "ann\x0b\x0cann",
    "\x1b[31mred\x1b[0m",
    "\x07\x08\x7f",
    "\x80\x9b\x9f",
)
"""Texts that begin a new line, header, letter or log record, or speak to a terminal."""

PATHS = (
    "../../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "%2e%2e%2f%2e%2e%2f",
    "/dev/null",
    "file:///etc/passwd",
    "C:\\",
    "//evil.example/",
    "http://169.254.169.254/latest/meta-data/",
)
"""Texts that are a file or an address."""

UNICODE = (
    "\ufeff",  # byte order mark
    "\u200b\u200c\u200d",  # zero width
    "\u00ad",  # soft hyphen
    "\u202eimda",  # right-to-left override
    "\u2066ann\u2069",  # bidi isolates
    "\u0430nn",  # Cyrillic letter like a Latin one
    "\uff41\uff4e\uff4e",  # full-width letters
    "\u017fann",  # long s, which folds to s
    "\u0130\u0131",  # the Turkish i with and without a dot
    "\u1e9e\u00df",  # sharp s, which grows when folded
    "\ufb01\ufb03",  # ligatures
    "\ufdfa",  # one character that NFKC makes eighteen
    "\u0390\u1f82",  # characters that NFD makes three and four
    "a" + "\u0301" * 120,  # one letter under a tower of accents
    "\u0e49" * 60,
    "e\u0301",
    "\u00e9",
    "\u1100\u1161\u11a8",  # Hangul that composes
    "\u5e73\u4eee\u540d",
    "\u05d0\u05d1\u05d2",
    "\u0645\u0631\u062d\u0628\u0627",
    "\U0001f600",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # one family of five code points
    "\U0001f1e6\U0001f1f6",
    "1\ufe0f\u20e3",
    "\U0001d552\U0001d55f\U0001d55f",  # mathematical letters
    "\ufffd",
    "\ufffe\uffff",  # not characters
    "\ue000",  # private use
    "\U0010ffff",
    "\u0378",  # unassigned
    "\U000e0001\U000e0061",  # invisible tags
)
"""Texts that Unicode compares, measures or draws in its own way."""

ADDRESSES = (
    "@",
    "@@",
    "a@b",
    "a@b@c.example",
    "ann@",
    "@example.com",
    "ann@example..com",
    "ann@.example.com",
    "ann@-example.com",
    "ann@[127.0.0.1]",
    "ann@127.0.0.1",
    '"ann smith"@example.com',
    "ann@example.com, eve@example.com",
    "ann@example.com\r\nBcc: eve@example.com",
    "<ann@example.com>",
    "ann@xn--a.example",
    "ann@\u0430pple.com",
    "ann@example.com\u3002",
    f"{'a' * 65}@example.com",
    f"ann@{'a' * 64}.example",
)
"""Texts that are nearly an e-mail address."""

LONG = (
    "a" * 33,
    "a" * 255,
    "a" * 1024,
    "a" * 1025,
    "\U0001f600" * 256,
    "\u1f82" * 256,
    "\u0301" * 1024,  # quadratic to sort, if it comes to that
    "a." * 500,
    " " * 1000,
)
"""Texts at the limits and past them."""

NAUGHTY = (
    *RESERVED,
    *NUMBERS,
    *INJECTIONS,
    *MARKUP,
    *LINES,
    *PATHS,
    *UNICODE,
    *ADDRESSES,
    *LONG,
)
"""All of them."""
