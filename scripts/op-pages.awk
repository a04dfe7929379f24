# Makes the pages of docs/ops: see scripts/op-pages. Variable out: the directory to write to.
# Files, in this order: graph/attrs.def, tests/ops/op_case.h, tests/ops_cases.def, cotangent/graph.h, graph/ops.def.

function fail(text) {
    print "op-pages: " text > "/dev/stderr"
    failed = 1
}

# The words of `text` that stand between its parentheses, by commas, into fields.
function arguments(text, fields) {
    sub(/^[^(]*\(/, "", text)
    sub(/\)[ \t]*$/, "", text)
    return split(text, fields, /, */)
}

# "f32 2,3: 1 2 3" as "f32[2,3] 1 2 3".
function tensor(text, words) {
    sub(/^ +/, "", text)
    sub(/ +$/, "", text)
    split(text, words, /[ :]/)
    sub(/^[^:]*:/, "", text)
    return words[1] "[" (words[2] == "-" ? "" : words[2]) "]" text
}

# Splits a comment's text into label[""] (what stands first) and label["Build"], label["Src"], ...
function read_labels(text, n, words, i, now) {
    split("", label)
    n = split(text, words, " ")
    now = ""
    for (i = 1; i <= n; i++) {
        if (words[i] ~ /^(Build|Text|Operands|Dtypes|Shapes|Gradient|Kinks|NaN|Empty|Error|Src):$/) {
            now = substr(words[i], 1, length(words[i]) - 1)
            label[now] = ""
            continue
        }
        label[now] = label[now] (label[now] == "" ? "" : " ") words[i]
    }
}

function pick(name, otherwise) {
    return name in label ? label[name] : otherwise
}

# ---- attributes and bounds ----

FILENAME ~ /attrs\.def$/ && /^COT_ATTR\(/ {
    name = $0
    sub(/^COT_ATTR\(/, "", name)
    sub(/,.*/, "", name)
    rest = $0
    attr[name] = ""
    while (match(rest, /F\([A-Z]+, [a-z_]+\)/)) {
        split(substr(rest, RSTART + 2, RLENGTH - 3), field, ", ")
        attr[name] = attr[name] (attr[name] == "" ? "" : ", ") field[2] "=" form[field[1]]
        rest = substr(rest, RSTART + RLENGTH)
    }
    next
}

FILENAME ~ /op_case\.h$/ && /^#define [A-Z0-9]+_ULP [0-9]+$/ {
    bound[$2] = $3
    next
}

# ---- examples ----

FILENAME ~ /ops_cases\.def$/ && /^OP_LITERAL\(/ {
    n = split($0, part, "\"") # ID, operands, attributes, result stand at 1, 2, 4, 6
    name = part[1]
    sub(/^OP_LITERAL\(/, "", name)
    sub(/, *$/, "", name)
    line = part[4]
    k = split(part[2], operand, "|")
    for (i = k; i >= 1; i--) {
        line = tensor(operand[i]) (line == "" ? "" : ";  " line)
    }
    gsub(/^; */, "", line)
    example[name] = example[name] line "\n    -> " tensor(part[6]) "\n"
    next
}

# ---- builders ----

FILENAME ~ /graph\.h$/ {
    if (match($0, /cot_op_[a-z_]+\(/)) {
        builder[substr($0, RSTART, RLENGTH - 1)] = 1
    }
    next
}

# ---- rows ----

FILENAME !~ /(^|\/)ops\.def$/ { next }

/^\/\* ---- .* ---- \*\/$/ {
    section = $0
    sub(/^\/\* ---- /, "", section)
    sub(/ ---- \*\/$/, "", section)
    comment = ""
    next
}

/^\/\*/ { comment = ""; inside = 1 }

inside {
    text = $0
    inside = text !~ /\*\/[ \t]*$/
    gsub(/^[ \t]*\/?\*+\/?|[ \t]*\*\/[ \t]*$/, "", text)
    comment = comment " " text
    next
}

/^COT_OP\(/ {
    arguments($0, row)
    row_page()
    comment = ""
}

# The builders that make the row's node.
function builders(id, name, kind, n, list, i, count, text) {
    if (kind == "ELEMWISE" || kind == "COMPARE") {
        text = n == 1 ? "cot_op_unary" : "cot_op_binary"
        text = "`" text "(COT_OP_" id ", ..)`" (("cot_op_" name) in builder ? ", `cot_op_" name "`" : "")
        return text
    }
    if (kind == "REDUCE") {
        return "`cot_op_reduce(COT_OP_" id ", ..)`"
    }
    count = split(pick("Build", "cot_op_" name), list, /, */)
    text = ""
    for (i = 1; i <= count; i++) {
        sub(/\.$/, "", list[i])
        if (!(list[i] in builder)) {
            fail(name ": there is no " list[i] " in cotangent/graph.h")
        }
        text = text (i > 1 ? ", " : "") "`" list[i] "`"
    }
    return text
}

# Operands' names: the row's own, x, or a and b.
function operands(n, text) {
    text = pick("Operands", n == 1 ? "x" : n == 2 ? "a, b" : n < 0 ? "x0, x1, .." : "")
    sub(/\.$/, "", text)
    return text
}

function text_form(name, n, attribute, text, list) {
    if ("Text" in label) {
        return label["Text"]
    }
    list = operands(n)
    gsub(/[a-z][a-z0-9_]*/, "%&", list)
    text = "%y = " name (list == "" ? "" : " " list) (attr[attribute] == "" ? "" : " {" attr[attribute] "}")
    return "`" text " : dtype[shape]`"
}

function dtypes(flags, kind) {
    if ("Dtypes" in label) {
        return label["Dtypes"]
    }
    return (flags ~ /FLOATS/ ? "f32, f64" : flags ~ /NUMBERS/ ? "f32, f64, i32, i64, u8" : flags ~ /BOOLS/ ? "bool" : "any") \
        (kind == "COMPARE" ? ", equal; y bool" : "")
}

function shapes(name, kind, n) {
    if ("Shapes" in label) {
        return label["Shapes"]
    }
    if (kind == "ELEMWISE" && n == 1) {
        return "x [*] -> [*]"
    }
    if (kind == "REDUCE") {
        return "x [*] -> without the axes; extents of 1 in their place if the builder is asked to keep them"
    }
    if (kind != "ELEMWISE" && kind != "COMPARE") {
        fail(name ": its comment in graph/ops.def says nothing of shapes")
    }
    return "a, b [*] -> [*], equal; the builder broadcasts as NumPy does"
}

function gradient(name, grad) {
    if (grad == "RULE" && !("Gradient" in label)) {
        fail(name ": its comment in graph/ops.def says nothing of the gradient")
    }
    return pick("Gradient", grad == "EXPAND" ? "that of its decomposition" : grad == "ZERO" ? "zero by definition" : "none: asking for it is COT_E_NOGRAD")
}

function nan(kind, flags) {
    if (flags ~ /BOOLS/ || kind == "LEAF") {
        return pick("NaN", "does not arise")
    }
    return pick("NaN", kind == "COMPARE" ? "a NaN operand gives false" : kind == "VIEW" ? "moved like any element" : "kept")
}

# Text that Markdown shows as it is, in a table too.
function plain(text) {
    gsub(/[*|]/, "\\\\&", text)
    return text
}

function entry(file, name, text) {
    sub(/(\.|; )$/, "", text)
    text = plain(text)
    if (text != "") {
        printf "| %s | %s |\n", name, text > file
    }
}

function row_page(id, name, n, kind, attribute, grad, flags, file, about, error, key) {
    id = row[1]; name = row[2]; n = row[3] + 0; kind = row[4]; attribute = row[5]; grad = row[6]; flags = row[7]
    gsub(/"/, "", name)
    read_labels(comment)
    about = label[""]
    if (about == "") {
        fail(name ": has no comment in graph/ops.def")
    }
    if (!(id in example)) {
        fail(name ": has no OP_LITERAL in tests/ops_cases.def")
    }
    error = pick("Error", "")
    for (key in bound) {
        gsub(key, bound[key], error)
    }
    file = out "/" name ".md"
    printf "<!-- Made by scripts/op-pages from graph/ops.def and tests/ops_cases.def: change those. -->\n" > file
    printf "# %s\n\n%s\n\n| | |\n|---|---|\n", name, plain(about) > file
    entry(file, "text", text_form(name, n, attribute))
    entry(file, "builder", builders(id, name, kind, n))
    entry(file, "dtypes", dtypes(flags, kind))
    entry(file, "shapes", shapes(name, kind, n))
    entry(file, "gradient", gradient(name, grad))
    entry(file, "kinks", pick("Kinks", grad == "RULE" || grad == "EXPAND" ? "none" : ""))
    entry(file, "NaN", nan(kind, flags))
    entry(file, "empty", pick("Empty", flags ~ /NONEMPTY/ ? "the axes that are reduced must not be empty (COT_E_SHAPE); others may be" \
        : kind == "LEAF" ? "" : "an empty operand gives an empty result"))
    entry(file, "error", error)
    entry(file, "properties", (flags ~ /COMMUTATIVE/ ? "commutative; " : "") (flags ~ /CHEAP/ ? "cheap: may be computed again rather than stored; " : "") \
        (kind == "COMPOSITE" ? "has a decomposition into other operations (graph/decompose*.c); " : ""))
    entry(file, "source", pick("Src", "the definition"))
    printf "\nExamples, which the tests run:\n\n```\n%s```\n", example[id] > file
    close(file)
    index_text = index_text (section == last_section ? "" : "\n**" section "**\n\n| | |\n|---|---|\n") \
        "| [" name "](" name ".md) | " plain(about) " |\n"
    last_section = section
    n_pages++
}

BEGIN {
    form["AXIS"] = "axis"
    form["AXES"] = "[axis, ..]"
    form["INTS"] = "[integer, ..]"
    form["INT"] = "integer"
    form["FLOAT"] = "number"
    form["DISTRIBUTION"] = "uniform or normal"
    form["DATA"] = "element or [element, ..]"
    form["TEXT"] = "text"
    form["VARIABLE"] = "variable"
    form["BODY"] = "@graph"
}

END {
    if (failed || n_pages == 0) {
        exit 1
    }
    file = out "/README.md"
    printf "<!-- Made by scripts/op-pages from graph/ops.def: change that. -->\n# Operations\n\n" > file
    printf "The %d operations of the tensor graph, a page each. g is the cotangent of an operation's result, dx that of its\n", n_pages > file
    printf "operand x; [\\*] is any shape, [\\*,c] one with a last axis c; N is the number of rows that a run has.\n%s", index_text > file
}
