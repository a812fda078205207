package rollup

import (
	"slices"

	"github.com/tracewright/tracewright/internal/attributes"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Alike knows which spans of a release, and of others, are alike: who has compared them already to write them (block.Encoder).
type Alike interface {
	// Block is another number where those of Operations begin anew.
	Block() uint32
	// Operations are numbers of the spans of the release, from 0 on. Spans of one number have the same name, and attributes with the same
	// keys and types in the same places.
	Operations() []uint32
	// Varying are the places of attributes in which the values of spans with a number may differ.
	Varying(operation uint32) []int32
}

const (
	// maxPatterns bounds the patterns that are known at a time, and maxPatternAttributes the attributes of their spans.
	maxPatterns          = 1 << 12
	maxPatternAttributes = 128
)

// patterns are what the spans of a call have in common, by the numbers of Alike.
type patterns struct {
	list  []pattern
	block uint32
	none  pattern // of a span of which nothing is known
}

// begin is the numbers of a release's spans, nil where nothing is known of them.
func (p *patterns) begin(alike Alike) []uint32 {
	if alike == nil {
		return nil
	}
	if block := alike.Block(); p.block != block {
		p.reset()
		p.block = block
	}
	return alike.Operations()
}

func (p *patterns) at(number uint32) *pattern {
	if number >= maxPatterns {
		return &p.none
	}
	for int(number) >= len(p.list) {
		p.list = slices.Grow(p.list, 1)[:len(p.list)+1]
	}
	return &p.list[number]
}

// reset forgets all, and keeps the memory.
func (p *patterns) reset() {
	for i := range p.list {
		p.list[i] = pattern{places: p.list[i].places[:0]}
	}
	*p = patterns{list: p.list[:0]}
}

// pattern is what is known of spans before they are read. Its strings are of the first of them.
type pattern struct {
	state patternState
	// of is what stands on the span that was read last. Of spans that are known, places are of the attributes in which it changes.
	of     annotations
	places []int32
	rows   [others]int32 // in which the last one was counted, see table.near

	protocol                                                    uint32
	service, operation, parent, parentOperation, peer, peerKind name
}

type patternState uint8

const (
	patternNew   patternState = iota
	patternKnown              // its spans are read by their places
	patternWhole              // its spans are read as if they had none
)

// name is a string that was looked up last.
type name struct {
	text   string
	number uint32
	fixed  bool // there is no other one
}

func (n *name) id(c *collector, text string) uint32 {
	if n.number == 0 || !n.fixed && n.text != text {
		n.text, n.number = text, c.id(text)
	}
	return n.number
}

// read reads the span's annotations.
func (p *pattern) read(span *tracetree.Span) {
	attrs := span.Attributes()
	if p.state != patternKnown {
		p.of.read(attrs)
		return
	}
	list := attributes.List(attrs)
	for _, at := range p.places {
		p.of.readOne(list[at].Key(), &list[at], attrs)
	}
}

// learn looks at the first span of the pattern, which has been read.
func (p *pattern) learn(span *tracetree.Span, varying []int32) {
	list := attributes.List(span.Attributes())
	if len(list) > maxPatternAttributes {
		p.state = patternWhole
		return
	}
	p.state = patternKnown
	names := [...]struct {
		*name
		key string
	}{
		{&p.service, conventions.AttrService},
		{&p.operation, conventions.AttrOperation},
		{&p.parent, conventions.AttrParentService},
		{&p.parentOperation, conventions.AttrParentOperation},
		{&p.peer, conventions.AttrPeerService},
		{&p.peerKind, conventions.AttrPeerKind},
	}
	for _, n := range names {
		n.fixed = true
	}
	for i := range list {
		varies := slices.Contains(varying, int32(i))
		switch key := list[i].Key(); wayToRead(key) {
		case readNever:
			continue
		case readEach:
			if varies {
				p.places = append(p.places, int32(i))
				for _, n := range names {
					n.fixed = n.fixed && n.key != key
				}
			}
		case readWhole:
			p.state = patternWhole
		case readProtocol:
			if varies {
				p.state = patternWhole
			}
		}
		for k := range i { // of two with one key the order says which counts
			if list[k].Key() == list[i].Key() {
				p.state = patternWhole
			}
		}
	}
}

type readWay uint8

const (
	readNever    readWay = iota
	readOnce             // that it is there is all there is to it
	readEach             // its field is written anew each time
	readProtocol         // it adds to a field
	readWhole            // what it says is the span's own
)

// wayToRead says what annotations.readOne does with an attribute.
func wayToRead(key string) readWay {
	if key == "" || !readKeys[key[0]] {
		return readNever
	}
	switch key {
	case conventions.AttrService, conventions.AttrOperation, conventions.AttrEntryService, conventions.AttrEntryOperation,
		conventions.AttrParentService, conventions.AttrParentOperation, conventions.AttrPeerService, conventions.AttrPeerKind,
		conventions.AttrSelfTime, conventions.AttrCriticalPathTime, conventions.AttrErrorOrigin, conventions.AttrErrorFingerprint,
		conventions.AttrWeight, conventions.AttrOrphan:
		return readEach
	case conventions.AttrSpanCount, "http.request.method", "http.method":
		return readOnce
	case conventions.AttrViolations:
		return readWhole
	}
	switch {
	case key[0] != conventions.Prefix[0]:
		if conventions.NamesProtocol(key) {
			return readProtocol
		}
	case len(key) > len(conventions.Prefix) && repairKeys[key[len(conventions.Prefix)]] && slices.Contains(conventions.Repairs, key):
		return readWhole
	}
	return readNever
}
