# Prints a C file with one text of one function replaced. Environment: FUNCTION, TEXT, REPLACEMENT (mutants.txt). Exit
# status 1 unless the function is there and the text occurs in it exactly once. The function comes out as one line.
function squeeze(text) {
    gsub(/[ \t\n]+/, " ", text)
    gsub(/\( /, "(", text)
    gsub(/^ | $/, "", text)
    return text
}

BEGIN {
    head = ENVIRON["FUNCTION"] "("
    text = squeeze(ENVIRON["TEXT"])
    replacement = squeeze(ENVIRON["REPLACEMENT"])
}

!inside && /^[a-z]/ && index($0, head) && !/;$/ {
    inside = 1
    body = ""
}

inside {
    body = body $0 "\n"
    if ($0 != "}") {
        next
    }
    inside = 0
    body = squeeze(body)
    at = index(body, text)
    rest = substr(body, at + length(text))
    if (text != "" && at > 0 && !index(rest, text)) {
        applied++
        body = substr(body, 1, at - 1) replacement rest
    }
    print body
    next
}

{ print }

END { exit applied == 1 ? 0 : 1 }
