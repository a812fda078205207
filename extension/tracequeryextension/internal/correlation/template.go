// Package correlation makes the URLs that lead from a trace or a span to its logs and metrics in other systems, by templates that an operator
// configures.
package correlation

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names are the placeholders that a template may hold, besides "span." and "resource." and the key of an attribute. The package does not know
// what they mean.
var Names = []string{
	"trace_id", "span_id", "service", "operation", "start", "end", "start_ms", "end_ms", "start_ns", "end_ns",
	"from", "to", "from_ms", "to_ms", "from_ns", "to_ns",
}

// spanNames are those that only a span has.
var spanNames = []string{"span_id"}

// Template is a URL with placeholders in braces: https://logs.example/search?q={trace_id}.
type Template struct {
	// Name is what the link is called.
	Name  string
	parts []part
}

// part is text as it is, or a placeholder.
type part struct {
	text, name string
	query      bool // it stands behind the question mark
}

// New reads a template. onSpan says that it is of a span, else of a trace. An error says what to mend.
func New(name, text string, onSpan bool) (*Template, error) {
	t := &Template{Name: name}
	query := false
	for rest := text; rest != ""; {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			open = len(rest)
		}
		if at := strings.IndexByte(rest[:open], '}'); at >= 0 {
			return nil, errors.New("has a } without a { before it; write %7D for one that is meant")
		}
		if open > 0 {
			t.parts = append(t.parts, part{text: rest[:open]})
			query = query || strings.ContainsAny(rest[:open], "?#")
		}
		if open == len(rest) {
			break
		}
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return nil, errors.New("has a { without a } behind it; write %7B for one that is meant")
		}
		placeholder := rest[open+1 : end]
		if err := checkName(placeholder, onSpan); err != nil {
			return nil, err
		}
		t.parts = append(t.parts, part{name: placeholder, query: query})
		rest = rest[end+1:]
	}
	return t, t.check()
}

func checkName(name string, onSpan bool) error {
	for _, scope := range []string{"span.", "resource."} {
		if key, ok := strings.CutPrefix(name, scope); ok && key != "" {
			if !onSpan {
				return fmt.Errorf("has {%s}, which only a span has; set on: span", name)
			}
			return nil
		}
	}
	if !slices.Contains(Names, name) {
		return fmt.Errorf("has an unknown placeholder {%s}; known: %s, span.KEY, resource.KEY", name, strings.Join(Names, ", "))
	}
	if !onSpan && slices.Contains(spanNames, name) {
		return fmt.Errorf("has {%s}, which only a span has; set on: span", name)
	}
	return nil
}

// check wants that whatever the values are, the URL leads to the host that the template names.
func (t *Template) check() error {
	if len(t.parts) > 1 {
		if _, behind, found := strings.Cut(t.parts[0].text, "://"); found && !strings.ContainsAny(behind, "/?#") {
			return errors.New("must have no placeholder before the path: the host is the operator's to name")
		}
	}
	filled, _ := t.Expand(func(string) (string, bool) { return "x", true })
	parsed, err := url.Parse(filled)
	if err != nil {
		return fmt.Errorf("is not a URL: %w", err)
	}
	if parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return errors.New("must begin with http:// or https:// and a host")
	}
	return nil
}

// Expand is the URL with the values in place of the placeholders, escaped for where they stand. ok is false where a value is missing, or
// could break out of what stands around it there: it holds a quote, a backslash, or something that cannot be printed.
func (t *Template) Expand(value func(name string) (text string, ok bool)) (link string, ok bool) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		text, ok := value(p.name)
		if !ok || !plain(text) {
			return "", false
		}
		if p.query {
			b.WriteString(strings.ReplaceAll(url.QueryEscape(text), "+", "%20")) // which is a space for every reader
			continue
		}
		escaped := url.PathEscape(text)
		if strings.Trim(escaped, ".") == "" { // a step up, to a browser
			return "", false
		}
		b.WriteString(escaped)
	}
	return b.String(), true
}

func plain(text string) bool {
	return text != "" && utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool {
		return !unicode.IsPrint(r) || strings.ContainsRune("\"'`\\", r)
	}) < 0
}
