package conventions

import (
	"cmp"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Operations names the operations of spans: the low-cardinality names that aggregates and annotations use. A name is a function of its
// span alone. The zero value is ready. It is not safe for concurrent use.
type Operations struct {
	name []byte // while it is made
	// made are names that were made, so that the spans of an operation share one; fine are those of spans that stand as they are
	// although they could not be told from others at a glance.
	made, fine map[string]string
}

// maxRemembered bounds the names of either sort that Operations remembers.
const maxRemembered = 1024

// Of is the operation of a span: its name without what differs from one call to the next, of at most MaxNameBytes. The rules, in
// this order:
//
//   - A path ("GET /users/123", "/users/123") gives way to http.route, or url.template, where the span has one and the path has no
//     placeholder itself. Queries and fragments of a path are left out.
//   - In a statement ("SELECT … WHERE id = 42") each text in quotes and each number becomes "?"; a list of these becomes one.
//   - Elsewhere each text in quotes, e-mail address, escaped segment of a path and temporary queue becomes "{id}".
//   - So does each part of a word that is an id (idPart): UUIDs, numbers, hex digits, what looks drawn by lot; and of other parts each
//     run of at least 5 digits. Ids that only a dash, dot, colon or underscore parts are one. Ports and versions stay.
//
// A name in which none of this is found is returned as it is. What stands in braces is a placeholder, and stays.
func (o *Operations) Of(span ptrace.Span) string {
	return o.Named(span.Name(), span.Kind(), func() string {
		facts := ReadSpan(span)
		return facts.Route()
	})
}

// Named is Of for those who have only the bytes of a span: template is asked for the template of its path, see Route. The answer may be a
// part of the name.
func (o *Operations) Named(name string, kind ptrace.SpanKind, template func() string) string {
	seen := uint8(0)
	for i := 0; i < len(name) && i < maxNameRead; i++ {
		seen |= nameBytes[name[i]]
	}
	at, route := pathStart(name), ""
	if at >= 0 && seen&holdsTemplate == 0 && !strings.Contains(name[at:], "/:") {
		route = template()
	}
	n := normalizer{dst: o.name[:0], escapes: seen&holdsEscape != 0, mail: seen&holdsAt != 0, temporary: -1}
	switch {
	case route != "" && route != name[at:]:
		n.dst = append(n.dst, name[:at]...)
		if route[0] != '/' {
			n.dst = append(n.dst, '/')
		}
		n.path, n.escapes, n.mail = true, true, true
		n.read(route[:min(len(route), maxNameRead)])
	case kind == ptrace.SpanKindProducer || kind == ptrace.SpanKindConsumer:
		if n.temporary = temporaryName(name); n.temporary < 0 && seen&varies == 0 {
			return ShortName(name)
		}
		n.read(name[:min(len(name), maxNameRead)])
	case seen&varies == 0:
		return ShortName(name) // nearly all
	default:
		if _, ok := o.fine[name]; ok {
			return name
		}
		n.statement = at < 0 && isStatement(name)
		n.read(name[:min(len(name), maxNameRead)])
		if string(n.dst) == name && len(name) <= MaxNameBytes {
			o.fine = remember(o.fine, strings.Clone(name))
		}
	}
	o.name = n.dst
	if string(n.dst) == name {
		return ShortName(name)
	}
	if known, ok := o.made[string(n.dst)]; ok {
		return known
	}
	made := ShortName(string(n.dst))
	if made == string(n.dst) {
		o.made = remember(o.made, made)
	}
	return made
}

func remember(names map[string]string, name string) map[string]string {
	if names == nil {
		names = make(map[string]string)
	}
	if len(names) == maxRemembered {
		clear(names)
	}
	names[name] = name
	return names
}

// maxNameRead is how much of a name is looked at: what a statement's first clauses take. No more than MaxNameBytes remain.
const maxNameRead = 4096

// What the bytes of a name say.
const (
	varies        = 1 << iota // may belong to what differs
	holdsTemplate             // belongs to a placeholder
	holdsAt
	holdsEscape
	partByte
)

var nameBytes = func() (table [256]uint8) {
	for c := range table {
		if c >= 0x80 || isDigit(byte(c)) || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '-' || c == '_' {
			table[c] |= partByte
		}
	}
	for _, c := range []byte("0123456789'\"%@?#") {
		table[c] |= varies
	}
	for _, c := range []byte("{<*[") {
		table[c] |= holdsTemplate
	}
	table['@'] |= holdsAt
	table['%'] |= holdsEscape
	return table
}()

func inPart(c byte) bool { return nameBytes[c]&partByte != 0 }

// pathStart is where the path begins in a name that is one, alone or behind a method; else -1.
func pathStart(name string) int {
	i := 0
	for i < len(name) && i < 16 && 'A' <= name[i] && name[i] <= 'Z' {
		i++
	}
	if i > 0 && i < len(name) && name[i] == ' ' {
		i++
	}
	if i < len(name) && name[i] == '/' && (i == 0 || name[i-1] == ' ') {
		return i
	}
	return -1
}

// Route is the template of the path that the span serves or calls; empty if it names none.
func (f *SpanFacts) Route() string { return f.first(pathTemplate) }

// Route is the template of the path that a span serves or calls, gathered while its attributes are walked. The zero value is ready.
type Route struct{ route, template string }

// Text takes an attribute.
func (r *Route) Text(key, text string) {
	switch {
	case key == "http.route" && r.route == "":
		r.route = text
	case key == "url.template" && r.template == "":
		r.template = text
	}
}

// Template is what was found; empty if there is none.
func (r *Route) Template() string { return cmp.Or(r.route, r.template) }

// temporaryName is where the name of a queue begins that a broker or its client made up: RabbitMQ's and NATS's. -1 if there is none.
func temporaryName(name string) int {
	for _, prefix := range [...]string{"amq.gen-", "amq.rabbitmq.reply-to.", "_INBOX."} {
		if at := strings.Index(name, prefix); at >= 0 && (at == 0 || name[at-1] == ' ') {
			return at + len(prefix)
		}
	}
	return -1
}

var statementWords = [...]string{"select", "insert", "update", "delete", "with", "merge", "replace", "call", "exec"}

// isStatement says whether the name begins as a statement of SQL does.
func isStatement(name string) bool {
	for _, word := range statementWords {
		if len(name) > len(word) && name[len(word)] == ' ' && strings.EqualFold(name[:len(word)], word) {
			return true
		}
	}
	return false
}
