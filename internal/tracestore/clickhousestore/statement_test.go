package clickhousestore

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// TestAnyBytes: a statement gets values as they are, whatever bytes are in them.
func TestAnyBytes(t *testing.T) {
	store := openStore(t, testOptions(t))
	var all [256]byte
	var ids []pcommon.TraceID
	for i := range all {
		all[i] = byte(i)
		if i%16 == 15 {
			ids = append(ids, pcommon.TraceID(all[i-15:i+1]))
		}
	}
	values := parameters{}
	text := "SELECT " + values.text(string(all[:])) + ", arrayStringConcat(arrayMap(i -> CAST(i, 'String'), " + values.ids(ids) + ")), " +
		values.id(ids[5]) + ", " + values.text("") + ", length(" + values.ids(nil) + ")"
	rows, err := store.query(t.Context(), text, values)
	require.NoError(t, err)
	defer rows.Close()
	require.True(t, rows.Next(), rows.Err())
	var whole, joined, one, empty string
	var none uint64
	require.NoError(t, rows.Scan(&whole, &joined, &one, &empty, &none))
	require.Equal(t, string(all[:]), whole)
	require.Equal(t, string(all[:]), joined)
	require.Equal(t, string(ids[5][:]), one)
	require.Empty(t, empty)
	require.Zero(t, none)
}
