package otlpwire

import "errors"

// ErrIrregular says that bytes are to be decoded; see the package.
var ErrIrregular = errors.New("not what senders write: to be decoded")

// Span is what is read of a span.
type Span struct {
	At, End     int // its bytes in the request, without tag and length
	TraceID     [16]byte
	ID, Parent  [8]byte
	Name        string // a part of the request
	Kind        int32
	Start, Stop uint64
	Failed      bool // its status is error
	Shape            // of its attributes, and those of its events and links
}

// Visitor is told what is in a request, in its order. Resource and Scope are given the bytes of the message, empty where there is
// none, and the schema URL. What they answer says whether what is below is to be visited; Skipped is told how many spans are not.
type Visitor interface {
	Resource(resource, schemaURL string) (visit bool, err error)
	Scope(scope, schemaURL string) (visit bool, err error)
	Span(s *Span) error
	Skipped(spans int)
}

// Scanner looks at requests. It keeps memory for the next one; it is for one goroutine at a time.
type Scanner struct {
	// Prefix is that of the keys to be marked.
	Prefix string

	open  []container
	shape Shape
	span  Span
}

// Scan visits what is in a request. Its error is ErrIrregular, after which nothing that was visited counts, or the visitor's.
func (s *Scanner) Scan(request string, v Visitor) error {
	for pos := 0; pos < len(request); {
		if request[pos] != resourceSpansTag {
			return ErrIrregular
		}
		from, to := field(request, pos+1, len(request))
		if to == none {
			return ErrIrregular
		}
		if err := s.resourceSpans(request, from, to, v); err != nil {
			return err
		}
		pos = to
	}
	return nil
}

// Fields of the messages around spans.
const (
	resourceSpansTag = 1<<3 | lenType // of the request
	headTag          = 1<<3 | lenType // resource of ResourceSpans, scope of ScopeSpans
	listTag          = 2<<3 | lenType // ScopeSpans, spans
	schemaURLTag     = 3<<3 | lenType
)

// group is ResourceSpans or ScopeSpans.
type group struct {
	head, schemaURL string
	elements        int
}

// readGroup finds what stands beside the list, which may be written behind it.
func readGroup(body string, pos, end int) (g group, ok bool) {
	var head, schema bool
	for pos < end {
		from, to := field(body, pos+1, end)
		if to == none {
			return g, false
		}
		switch body[pos] {
		case listTag:
			g.elements++
		case headTag:
			if head {
				return g, false
			}
			head, g.head = true, body[from:to]
		case schemaURLTag:
			if schema {
				return g, false
			}
			schema, g.schemaURL = true, body[from:to]
		default:
			return g, false
		}
		pos = to
	}
	return g, true
}

// elements yields those of a group that was read.
func elements(body string, pos, end int, yield func(from, to int) error) error {
	for pos < end {
		from, to := field(body, pos+1, end)
		if body[pos] == listTag {
			if err := yield(from, to); err != nil {
				return err
			}
		}
		pos = to
	}
	return nil
}

func (s *Scanner) resourceSpans(request string, pos, end int, v Visitor) error {
	g, ok := readGroup(request, pos, end)
	if !ok {
		return ErrIrregular
	}
	visit, err := v.Resource(g.head, g.schemaURL)
	if err != nil {
		return err
	}
	return elements(request, pos, end, func(from, to int) error { return s.scopeSpans(request, from, to, v, visit) })
}

func (s *Scanner) scopeSpans(request string, pos, end int, v Visitor, visit bool) error {
	g, ok := readGroup(request, pos, end)
	if !ok {
		return ErrIrregular
	}
	if visit {
		var err error
		if visit, err = v.Scope(g.head, g.schemaURL); err != nil {
			return err
		}
	}
	if !visit {
		v.Skipped(g.elements)
		return nil
	}
	for pos < end {
		from, to := field(request, pos+1, end)
		if request[pos] == listTag {
			if !s.readSpan(request, from, to) {
				return ErrIrregular
			}
			if err := v.Span(&s.span); err != nil {
				return err
			}
		}
		pos = to
	}
	return nil
}

// Count is the number of spans in a request whose frame is regular; ok says whether it is.
func Count(request string) (spans int, ok bool) {
	for pos := 0; pos < len(request); {
		if request[pos] != resourceSpansTag {
			return 0, false
		}
		from, to := field(request, pos+1, len(request))
		if to == none {
			return 0, false
		}
		if _, ok := readGroup(request, from, to); !ok {
			return 0, false
		}
		if elements(request, from, to, func(from, to int) error {
			g, ok := readGroup(request, from, to)
			if !ok {
				return ErrIrregular
			}
			spans += g.elements
			return nil
		}) != nil {
			return 0, false
		}
		pos = to
	}
	return spans, true
}
