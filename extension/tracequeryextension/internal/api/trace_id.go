package api

import (
	"encoding/hex"
	"errors"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// parseTraceID reads 32 or 16 hex digits of either case; 16 are the low half, as systems with 64-bit ids send them.
func parseTraceID(text string) (id pcommon.TraceID, err error) {
	const wanted = "must be 32 or 16 hex digits"
	if len(text) != 2*len(id) && len(text) != len(id) {
		return id, errors.New(wanted)
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return id, errors.New(wanted)
	}
	copy(id[len(id)-len(raw):], raw)
	if id.IsEmpty() {
		return id, errors.New("must not be all zeros")
	}
	return id, nil
}

// parseSpanID reads 16 hex digits of either case.
func parseSpanID(text string) (id pcommon.SpanID, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(id) {
		return id, errors.New("must be 16 hex digits")
	}
	copy(id[:], raw)
	return id, nil
}
