package block

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/codec"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// Sections of a head.
const (
	headFilter = iota
	headKeys
	headIDs
	headRows
	headSections
)

// appendHead appends the head.
//
//	magic, version (4 bytes) ‖ directory's length (4) ‖ its checksum (8) ‖ directory ‖ filter ‖ keys ‖ trace ids ‖ rows ‖ zero bytes
//	directory: releases, first start, last − first start ‖ of each section length as stored, length, checksum (8)
func (e *Encoder) appendHead(buf []byte) []byte {
	var first, last int64
	for i := range e.headers {
		start := e.headers[i].Row.Start
		if i == 0 {
			first, last = start, start
		}
		first, last = min(first, start), max(last, start)
	}
	keys := e.appendKeys(e.frame[:0]) // it adds tokens
	rows := len(keys)
	e.frame = e.rows.append(keys, e.headers)
	for _, service := range e.rows.services {
		// Rows answer for the names that they have, which the spans need not have: where nobody annotated them, or where a resource
		// is named by something else than its service.name.
		e.tokens.add(token(tokenService, xxhash.Sum64String(service)))
	}
	e.rows.reset() // it lets go of the strings
	sections := [headSections][]byte{headKeys: e.frame[:rows], headIDs: e.traceIDs, headRows: e.frame[rows:]}
	e.filter = e.tokens.appendFilter(e.filter[:0])
	sections[headFilter] = e.filter

	directory := binary.AppendUvarint(e.directory[:0], uint64(len(e.headers)))
	directory = binary.AppendVarint(directory, first)
	directory = binary.AppendUvarint(directory, uint64(last)-uint64(first))
	content, total := e.frames[:0], 0
	for i, section := range sections {
		start := len(content)
		if i == headKeys || i == headRows {
			content = e.zstd.EncodeAll(section, content)
		}
		if len(content) == start || len(content)-start >= len(section) {
			content = append(content[:start], section...)
		}
		total += len(section)
		directory = binary.AppendUvarint(directory, uint64(len(content)-start))
		directory = binary.AppendUvarint(directory, uint64(len(section)))
		directory = binary.BigEndian.AppendUint64(directory, xxhash.Sum64(content[start:]))
	}
	e.directory, e.frames = directory, content
	return appendSealed(buf, headMagic, directory, content, total)
}

// appendKeys appends what the head says of attributes, and lets the filter know for which it has not all values.
func (e *Encoder) appendKeys(buf []byte) []byte {
	buf = binary.AppendUvarint(buf, uint64(len(e.keys.list)))
	for i := range e.keys.list {
		k := &e.keys.list[i]
		if !k.tokens {
			e.tokens.add(token(xxhash.Sum64String(k.key), tokenOthers))
		}
		e.tokens.add(token(tokenKey, xxhash.Sum64String(k.key)))
		buf = codec.AppendString(buf, k.key)
		flags := byte(k.kind)
		if k.resource {
			flags |= keyResource
		}
		if k.tokens {
			flags |= keyTokens
		}
		buf = append(buf, flags)
		switch k.kind {
		case kindInt:
			buf = binary.AppendVarint(binary.AppendVarint(buf, int64(k.least)), int64(k.most))
		case kindDouble:
			buf = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(buf, k.least), k.most)
		}
	}
	return buf
}

const (
	keyKind     = 0x0f
	keyResource = 0x10
	keyTokens   = 0x20
)

func readKeys(buf []byte) ([]attributeKey, error) {
	r := codec.NewReader(buf)
	keys := make([]attributeKey, r.Count(2))
	for i := range keys {
		k := &keys[i]
		k.key = r.String()
		flags := r.Byte()
		k.kind, k.resource, k.tokens = kind(flags&keyKind), flags&keyResource != 0, flags&keyTokens != 0
		switch k.kind {
		case kindInt:
			k.least, k.most = uint64(r.Varint()), uint64(r.Varint())
		case kindDouble:
			if b := r.Bytes(16); b != nil {
				k.least, k.most = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
			}
		}
	}
	if !r.Done() {
		return nil, fmt.Errorf("%w: keys", ErrCorrupt)
	}
	return keys, nil
}

// Head is the first half of a block. It reads as little as it is asked for. It is not safe for concurrent use.
type Head struct {
	paired      bool // the filter has tokens of pairs and failures
	releases    int
	first, last int64
	sections    [headSections]frame
	ids         []byte
	keys        []attributeKey
	keysRead    bool
}

// OpenHead opens what Encode appended to head. data is kept and must not change while the Head is used; nothing that it answered refers to it. The error is ErrCorrupt or
// ErrVersion.
func OpenHead(data []byte) (*Head, error) {
	version, directory, content, err := unseal(data, headMagic)
	if err != nil {
		return nil, err
	}
	r := codec.NewReader(directory)
	h := &Head{paired: version >= 2, releases: int(min(r.Uvarint(), MaxReleases+1))}
	h.first = r.Varint()
	h.last = int64(uint64(h.first) + r.Uvarint())
	total, limit := 0, maxExpanded(len(content))
	for i := range h.sections {
		stored, length := r.Below(len(content)+1), r.Uvarint()
		f := &h.sections[i]
		f.sum = r.Fixed64()
		if length > uint64(limit) {
			return nil, fmt.Errorf("%w: section of %d bytes", ErrCorrupt, length)
		}
		f.length = int(length)
		total += f.length
		f.stored, content = content[:stored], content[stored:]
	}
	if !r.Done() || total > limit || h.releases > MaxReleases || h.sections[headIDs].length != 16*h.releases {
		return nil, fmt.Errorf("%w: directory of the head", ErrCorrupt)
	}
	for _, b := range content {
		if b != 0 {
			return nil, fmt.Errorf("%w: unknown bytes at the end", ErrCorrupt)
		}
	}
	if h.ids, err = h.sections[headIDs].read(); err != nil {
		return nil, err
	}
	return h, nil
}

// Len is the number of releases.
func (h *Head) Len() int { return h.releases }

// Starts are the first and the last start among the rows (Row.Start), Unix nanoseconds; zeros in an empty block.
func (h *Head) Starts() (first, last int64) { return h.first, h.last }

// TraceID is that of the i-th release. It reads no row.
func (h *Head) TraceID(i int) pcommon.TraceID { return pcommon.TraceID(h.ids[16*i:][:16]) }

// Headers are those of all releases, in their order. The caller may keep them; their lists of services must not
// be changed. The error is ErrCorrupt.
func (h *Head) Headers() ([]Header, error) {
	return h.readHeaders(new(headersRoom))
}

// EachHeader calls f for those of all releases, in their order. A header is valid during the call; what is kept of it is a copy, with a copy of its bottleneck.
// The error is ErrCorrupt; then f was not called.
func (h *Head) EachHeader(f func(i int, header *Header)) error {
	room := headersPool.Get().(*headersRoom)
	defer room.close()
	headers, err := h.readHeaders(room)
	for i := range headers {
		f(i, &headers[i])
	}
	return err
}

func (h *Head) readHeaders(room *headersRoom) ([]Header, error) {
	rows, err := h.sections[headRows].read()
	if err != nil {
		return nil, err
	}
	headers, err := room.read(rows, h.releases)
	h.sections[headRows].close()
	for i := range headers {
		headers[i].Row.TraceID = h.TraceID(i)
	}
	return headers, err
}

// Check reads everything in the head. The error is ErrCorrupt.
func (h *Head) Check() error {
	for i := range h.sections {
		if _, err := h.sections[i].read(); err != nil {
			return err
		}
	}
	if err := h.readKeys(); err != nil {
		return err
	}
	_, err := h.Headers()
	return err
}

// MayHold says whether the token may occur in one of the block's releases: false is certain. Of rows it knows the services.
func (h *Head) MayHold(t tracestore.Token) bool {
	bits, err := h.sections[headFilter].read()
	if err != nil {
		return true // reading the block will say what is wrong with it
	}
	f := filter(bits)
	switch t.Kind {
	case tracestore.TokenService:
		return f.hasText(tokenService, t.Value) || f.hasText(keyHash(conventions.AttrService), t.Value)
	case tracestore.TokenOperation:
		return f.hasText(tokenOperation, t.Value) || f.hasText(keyHash(conventions.AttrOperation), t.Value)
	case tracestore.TokenCategory:
		return f.hasText(keyHash(conventions.AttrCategory), t.Value)
	case tracestore.TokenKey:
		return f.has(token(tokenKey, keyHash(t.Key)))
	case tracestore.TokenAttribute:
		return h.mayHave(&tracestore.AttributeCondition{Key: t.Key, Op: tracestore.OpEqual, Text: t.Value})
	}
	return true
}

// MayMatch says whether one of the block's spans may meet all the conditions: false is certain. It reads the filter and, seldom, what
// the head says of attributes.
func (h *Head) MayMatch(c *tracestore.SpanConditions) bool {
	if c.Service != "" && !h.MayHold(tracestore.Token{Kind: tracestore.TokenService, Value: c.Service}) ||
		c.Operation != "" && !h.MayHold(tracestore.Token{Kind: tracestore.TokenOperation, Value: c.Operation}) ||
		c.Category != "" && !h.MayHold(tracestore.Token{Kind: tracestore.TokenCategory, Value: c.Category}) ||
		c.Service != "" && !h.mayPair(c) {
		return false
	}
	for i := range c.Attributes {
		if !h.mayHave(&c.Attributes[i]) {
			return false
		}
	}
	for i := range c.And {
		if !h.MayMatch(&c.And[i]) {
			return false
		}
	}
	for i := range c.Or {
		if h.MayMatch(&c.Or[i]) {
			return true
		}
	}
	return len(c.Or) == 0
}

// mayPair says whether some span of the service may be of the operation, and may have failed, where that is asked for.
func (h *Head) mayPair(c *tracestore.SpanConditions) bool {
	bits, err := h.sections[headFilter].read()
	if f := filter(bits); err != nil || !h.paired || f.has(token(tokenPair, tokenOthers)) {
		return true
	}
	failed, service := c.Errors != nil && *c.Errors, xxhash.Sum64String(c.Service)
	switch f := filter(bits); {
	case c.Operation != "" && failed:
		return f.has(pairToken(tokenFailed, service, xxhash.Sum64String(c.Operation)))
	case c.Operation != "":
		return f.has(pairToken(tokenPair, service, xxhash.Sum64String(c.Operation)))
	case failed:
		return f.has(token(tokenFailed, service))
	}
	return true
}

// mayHave says whether some span may have an attribute that meets the condition.
func (h *Head) mayHave(c *tracestore.AttributeCondition) bool {
	bits, err := h.sections[headFilter].read()
	if err != nil || c.Op == tracestore.OpNotExists {
		return true
	}
	f, hash := filter(bits), keyHash(c.Key)
	if !f.has(token(tokenKey, hash)) {
		return false
	}
	value := token(hash, xxhash.Sum64String(c.Text))
	switch c.Op {
	case tracestore.OpEqual:
		if !f.has(value) && !f.has(token(hash, tokenOthers)) {
			return false
		}
	case tracestore.OpLess, tracestore.OpLessEqual, tracestore.OpGreater, tracestore.OpGreaterEqual:
	default:
		return true
	}
	if err := h.readKeys(); err != nil {
		return true
	}
	for i := range h.keys {
		k := &h.keys[i]
		if k.key != c.Key || k.resource && c.Scope == tracestore.ScopeSpan || !k.resource && c.Scope == tracestore.ScopeResource {
			continue
		}
		if c.Op == tracestore.OpEqual && k.mayEqual(c.Text, f, value) || c.Op != tracestore.OpEqual && k.mayCompare(c.Op, c.Number) {
			return true
		}
	}
	return false
}

func (h *Head) readKeys() error {
	if h.keysRead {
		return nil
	}
	buf, err := h.sections[headKeys].read()
	if err != nil {
		return err
	}
	h.keys, err = readKeys(buf)
	h.keysRead = err == nil
	h.sections[headKeys].close()
	return err
}

func keyHash(key string) uint64 { return xxhash.Sum64String(key) }
