package query

import (
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// Cursor continues a search. It carries the window that the first page resolved, so that a relative time means the same
// instant on every page.
type Cursor struct {
	Start, End time.Time
	// storage is the storage's own cursor.
	storage string
}

// A cursor's text is base64url, unpadded, of
//
//	version 1 (1 byte) | start (8, big endian, Unix nanoseconds) | end (8) | the storage's cursor
const (
	cursorVersion = 1
	cursorHeader  = 1 + 8 + 8
)

// String is the cursor as a client holds it.
func (c Cursor) String() string {
	raw := make([]byte, 0, cursorHeader+len(c.storage))
	raw = append(raw, cursorVersion)
	raw = binary.BigEndian.AppendUint64(raw, uint64(c.Start.UnixNano()))
	raw = binary.BigEndian.AppendUint64(raw, uint64(c.End.UnixNano()))
	raw = append(raw, c.storage...)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// ParseCursor reads what String wrote; the error is tracestore.ErrCursor. Whether the storage's part is right shows when
// the search runs.
func ParseCursor(text string) (Cursor, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) <= cursorHeader || raw[0] != cursorVersion {
		return Cursor{}, tracestore.ErrCursor
	}
	c := Cursor{
		Start:   time.Unix(0, int64(binary.BigEndian.Uint64(raw[1:]))).UTC(),
		End:     time.Unix(0, int64(binary.BigEndian.Uint64(raw[9:]))).UTC(),
		storage: string(raw[cursorHeader:]),
	}
	if !c.Start.Before(c.End) {
		return Cursor{}, tracestore.ErrCursor
	}
	return c, nil
}
