package pebblestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/tracestore/block"
)

// openedBlock is what a block says of its releases, and its body.
type openedBlock struct {
	headers []block.Header
	body    *storedBody
}

func openBlock(reader pebble.Reader, at partition, sequence uint64) (*openedBlock, error) {
	headers, err := readHeaders(reader, at, sequence)
	if err != nil {
		return nil, err
	}
	body, err := readBody(reader, at, sequence)
	if err != nil {
		return nil, err
	}
	if !body.BelongsTo(len(headers), func(i int) pcommon.TraceID { return headers[i].Row.TraceID }) {
		body.Close()
		return nil, fmt.Errorf("%w: head and body differ", errCorrupt)
	}
	return &openedBlock{headers, body}, nil
}

func readHeaders(reader pebble.Reader, at partition, sequence uint64) ([]block.Header, error) {
	head, err := readHead(reader, at, sequence)
	if err != nil {
		return nil, err
	}
	defer head.Close()
	return head.Headers()
}

// storedHead is a head and what keeps its bytes where they are.
type storedHead struct {
	*block.Head
	value io.Closer
}

// Close gives back what the head was read from.
func (h *storedHead) Close() { _ = h.value.Close() } // it was read without an error

// readHead opens a head that must be there, where Pebble has it.
func readHead(reader pebble.Reader, at partition, sequence uint64) (*storedHead, error) {
	value, closer, err := getValue(reader, at.sequenceKey(kindHead, sequence))
	if err != nil {
		return nil, err
	}
	head, err := block.OpenHead(value)
	if err != nil {
		return nil, errors.Join(err, closer.Close())
	}
	return &storedHead{head, closer}, nil
}

// storedBody is a body and what keeps its bytes where they are.
type storedBody struct {
	*block.Body
	value io.Closer
}

// Close gives back what both hold.
func (b *storedBody) Close() {
	b.Body.Close()
	_ = b.value.Close() // it was read without an error
}

// readBody opens a body that must be there, where Pebble has it: it is large, and mostly read for a single trace.
func readBody(reader pebble.Reader, at partition, sequence uint64) (*storedBody, error) {
	value, closer, err := getValue(reader, at.sequenceKey(kindBody, sequence))
	if err != nil {
		return nil, err
	}
	body, err := block.OpenBody(value)
	if err != nil {
		return nil, errors.Join(err, closer.Close())
	}
	return &storedBody{body, closer}, nil
}

// getValue reads a value that must be there, which is valid until it is closed.
func getValue(reader pebble.Reader, key []byte) ([]byte, io.Closer, error) {
	value, closer, err := reader.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		err = missing(key)
	}
	return value, closer, err
}

func missing(key []byte) error { return fmt.Errorf("%w: key %x is missing", errCorrupt, key) }

// getCopy reads a value that must be there.
func getCopy(reader pebble.Reader, key []byte) (value []byte, err error) {
	found, err := get(reader, key, func(v []byte) error {
		value = slices.Clone(v)
		return nil
	})
	if err == nil && !found {
		err = missing(key)
	}
	return value, err
}

// isCorrupt says whether an error is about what is stored, so that only what it is about suffers. Of a value that the disk does not give, Pebble's Get hands out
// nothing, which is no block, and tells at closing.
func isCorrupt(err error) bool {
	if isReadError(err) {
		return false
	}
	for _, known := range []error{errCorrupt, errValue, errKey, block.ErrCorrupt, block.ErrVersion} {
		if errors.Is(err, known) {
			return true
		}
	}
	return pebble.IsCorruptionError(err)
}

// isUnreadable says whether an error keeps from reading what it is about, now or for ever: it is corrupt, or the disk does not give it.
func isUnreadable(err error) bool { return isCorrupt(err) || isReadError(err) }

// isReadError says whether the disk does not give what is stored, which it may do again.
func isReadError(err error) bool {
	failed, ok := errors.AsType[*fs.PathError](err)
	return ok && failed.Op == "read"
}

// corrupt counts and tells of a trace that cannot be read.
func (s *Store) corrupt(id pcommon.TraceID, err error) {
	s.counters.corrupt.Add(1)
	s.options.Logger.Warn("a stored trace cannot be read", zap.Stringer("trace_id", id), zap.Error(err))
}

// corruptBlock counts and tells of a block that cannot be read.
func (s *Store) corruptBlock(at partition, sequence uint64, err error) {
	s.counters.corrupt.Add(1)
	s.options.Logger.Warn("a stored block cannot be read", zap.Uint32("day", at.day), zap.Uint64("sequence", sequence), zap.Error(err))
}
