package query

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

func TestCursorKeepsWindow(t *testing.T) {
	want := Cursor{
		Start:   time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC),
		End:     time.Date(2026, 1, 2, 4, 4, 5, 678, time.UTC),
		storage: "the storage's \x00 own",
	}
	got, err := ParseCursor(want.String())
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestParseCursorRefuses(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for name, text := range map[string]string{
		"empty":           "",
		"not base64":      "%%%",
		"padded":          base64.URLEncoding.EncodeToString(make([]byte, 20)),
		"other version":   base64.RawURLEncoding.EncodeToString(append([]byte{2}, make([]byte, 30)...)),
		"too short":       base64.RawURLEncoding.EncodeToString(append([]byte{1}, make([]byte, 5)...)),
		"nothing to read": Cursor{Start: now, End: now.Add(1)}.String(),
		"empty window":    Cursor{Start: now, End: now, storage: "s"}.String(),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseCursor(text)
			require.ErrorIs(t, err, tracestore.ErrCursor)
		})
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add("")
	f.Add(Cursor{Start: time.Unix(0, 1), End: time.Unix(0, 2), storage: "x"}.String())
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCursor(text)
		if err != nil {
			require.ErrorIs(t, err, tracestore.ErrCursor)
			return
		}
		again, err := ParseCursor(c.String())
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}
