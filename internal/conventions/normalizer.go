package conventions

import (
	"bytes"
	"strings"
)

// normalizer takes out of a name what differs from one call to the next. It reads the name once, from its start to its end, and looks
// no further ahead than to the end of a word, a quoted text or a segment of a path.
type normalizer struct {
	dst       []byte
	path      bool // within a path
	statement bool
	// escapes and mail say that the name may have a "%" and an "@".
	escapes, mail bool
	// temporary is where the name of a temporary queue begins, -1 if there is none.
	temporary int
}

const placeholder = "{id}"

var placeholderBytes = []byte(placeholder)

func (n *normalizer) read(name string) {
	unclosed := [...]bool{false, false} // by quote: none closes any more
	for i := 0; i < len(name) && len(n.dst) <= MaxNameBytes; {
		if n.escapes || n.mail || i == n.temporary {
			if end := n.whole(name, i); end > i {
				n.id()
				i = end
				continue
			}
		}
		c := name[i]
		if inPart(c) {
			end, number := i, false
			for end < len(name) && inPart(name[end]) && (end != n.temporary || end == i) {
				number = number || isDigit(name[end])
				end++
			}
			if number {
				n.word(name, i, end)
			} else {
				n.dst = append(n.dst, name[i:end]...)
			}
			i = end
			continue
		}
		switch c {
		case '{', '<', ':', '$', '|':
			if end := n.verbatim(name, i); end > i {
				n.dst = append(n.dst, name[i:end]...)
				i = end
				continue
			}
		case '?', '#':
			if n.path {
				i += endOf(name[i:], " ")
				continue
			}
		case '\'', '"':
			if n.path || c == '"' && n.statement || unclosed[c&1] || i > 0 && inPart(name[i-1]) {
				break
			}
			if end := closing(name, i); end > 0 {
				n.quoted()
				i = end + 1
				continue
			}
			unclosed[c&1] = true
		case ' ':
			n.path = false
		case '/':
			n.path = n.path || !n.statement && (i == 0 || name[i-1] == ' ' || name[i-1] == ':')
		}
		n.dst = append(n.dst, c)
		i++
		if n.statement && c == ')' {
			n.list()
		}
	}
}

// whole is the end of what is an id as a whole, up to the end of a segment or a token: a temporary queue's name, an escaped segment of
// a path, an e-mail address. Else it is i.
func (n *normalizer) whole(name string, i int) int {
	switch {
	case i == n.temporary:
		return i + endOf(name[i:], " ")
	case n.path && i > 0 && name[i-1] == '/' || n.path && i == 0 && name[0] != '/':
		end := i + endOf(name[i:], "/?# ")
		if escaped(name[i:end]) || strings.LastIndexByte(name[i:end], '@') > 0 {
			return end
		}
	case n.mail && !n.path && (i == 0 || strings.IndexByte(" ,;:(<=/", name[i-1]) >= 0):
		end := i + endOf(name[i:], " ,;:()<>=/'\"")
		if at := strings.IndexByte(name[i:end], '@'); at > 0 && strings.IndexByte(name[i+at:end], '.') > 1 {
			return end
		}
	}
	return i
}

// verbatim is the end of what stays as it is: a placeholder, a number between bars as Istio writes ports. Else it is i.
func (n *normalizer) verbatim(name string, i int) int {
	closed := func(with byte) int {
		end := i + 1 + endOf(name[i+1:], " /{<")
		if close := strings.IndexByte(name[i+1:end], with); close >= 0 {
			return i + 1 + close + 1
		}
		return i
	}
	switch name[i] {
	case '{':
		return closed('}')
	case '<':
		return closed('>')
	case ':', '$': // a parameter of a path, of a statement
		if n.path && i > 0 && name[i-1] == '/' || n.statement && name[i] == '$' {
			end := i + 1
			for end < len(name) && inPart(name[end]) {
				end++
			}
			return end
		}
	case '|':
		end := i + 1
		for end < len(name) && isDigit(name[end]) && end <= i+5 {
			end++
		}
		if end < len(name) && name[end] == '|' {
			return end
		}
	}
	return i
}

// word appends the word name[from:to] part by part.
func (n *normalizer) word(name string, from, to int) {
	for at := from; at < to; {
		if c := name[at]; c == '-' || c == '_' {
			n.dst = append(n.dst, c)
			at++
			continue
		}
		if beginsUUID(name[at:]) {
			n.id()
			at += UUIDLength
			continue
		}
		end := at + 1
		for end < to && name[end] != '-' && name[end] != '_' {
			end++
		}
		part := name[at:end]
		number := allDigits(part)
		afterID := n.afterID()
		switch {
		case number && n.statement && strings.Trim(name[from:at], "-") == "":
			n.dst = n.dst[:len(n.dst)-(at-from)] // the sign
			n.literal()
		case number && at == from && end == to && n.stays(name, at, part):
			n.dst = append(n.dst, part...)
		case idPart(part, at == from, afterID):
			n.id()
		default:
			n.part(part)
		}
		at = end
	}
}

// stays says whether a number is a port behind a host, or a further part of a version.
func (n *normalizer) stays(name string, at int, number string) bool {
	if at == 0 || len(n.dst) < 2 {
		return false
	}
	before := n.dst[:len(n.dst)-1]
	switch name[at-1] {
	case '.':
		return len(number) <= 3 && isDigit(before[len(before)-1])
	case ':':
		begin := bytes.LastIndexAny(before, " /@,|") + 1
		host := before[begin:]
		return len(number) <= 5 && (string(host) == "localhost" || bytes.IndexByte(host, '.') > 0 ||
			bytes.HasSuffix(before[:begin], []byte("://")))
	}
	return false
}

// part appends a part of a word that is no id, without the long numbers in it.
func (n *normalizer) part(part string) {
	const long = 5
	for i := 0; i < len(part); {
		end := i
		for end < len(part) && isDigit(part[end]) {
			end++
		}
		if end-i >= long {
			n.dst = append(n.dst, placeholder...)
			i = end
			continue
		}
		end = max(end, i+1)
		n.dst = append(n.dst, part[i:end]...)
		i = end
	}
}

// id appends a placeholder, unless one stands there but for a separator: then both are one.
func (n *normalizer) id() {
	if n.afterID() {
		n.dst = n.dst[:len(n.dst)-1]
	}
	if !bytes.HasSuffix(n.dst, placeholderBytes) {
		n.dst = append(n.dst, placeholder...)
	}
}

// afterID says whether nothing but a separator stands behind a placeholder.
func (n *normalizer) afterID() bool {
	last := len(n.dst) - 1
	return last > 0 && strings.IndexByte("-_.:", n.dst[last]) >= 0 && bytes.HasSuffix(n.dst[:last], placeholderBytes)
}

// quoted appends what stands for a text in quotes.
func (n *normalizer) quoted() {
	if n.statement {
		n.literal()
	} else {
		n.id()
	}
}

// literal appends what stands for a literal of a statement, unless one stands before it in the same list.
func (n *normalizer) literal() {
	for _, before := range [...]string{"?", "?.", "?, ", "?,"} {
		if bytes.HasSuffix(n.dst, []byte(before)) {
			n.dst = n.dst[:len(n.dst)-len(before)]
			break
		}
	}
	n.dst = append(n.dst, '?')
}

// list leaves one of two rows of literals.
func (n *normalizer) list() {
	for _, rows := range [...]string{"(?), (?)", "(?),(?)"} {
		if bytes.HasSuffix(n.dst, []byte(rows)) {
			n.dst = append(n.dst[:len(n.dst)-len(rows)], "(?)"...)
			return
		}
	}
}

// closing finds the quote that closes the one at i: no letter or digit follows it, so that an apostrophe does not, and it is not
// doubled. It is -1 where none does.
func closing(name string, i int) int {
	for end := i + 1; end < len(name); end++ {
		if name[end] != name[i] {
			continue
		}
		if end+1 < len(name) && name[end+1] == name[i] {
			end++
			continue
		}
		if end+1 == len(name) || !inPart(name[end+1]) {
			return end
		}
	}
	return -1
}

// escaped says whether a segment holds an escape such as %20.
func escaped(segment string) bool {
	i := strings.IndexByte(segment, '%')
	return i >= 0 && i+2 < len(segment) && isHex(segment[i+1]) && isHex(segment[i+2])
}

// endOf is where the first of the bytes stands, or the end.
func endOf(s, bytes string) int {
	if i := strings.IndexAny(s, bytes); i >= 0 {
		return i
	}
	return len(s)
}
