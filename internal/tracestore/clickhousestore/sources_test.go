package clickhousestore

import (
	"fmt"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// A change of which a server that was killed knows the token and not the row is in nobody's way.
func TestLostSourceChange(t *testing.T) {
	store := openStore(t, testOptions(t))
	lose := func(change int) {
		require.NoError(t, store.insert(t.Context(), clickhouse.Settings{
			"insert_deduplicate": 1, "insert_deduplication_token": fmt.Sprintf("%d %x", change, "shop"),
		}, "trace_sources", "Name, Change, Writer, Version, Value", fmt.Sprint("of change ", change), 1, "nobody", 0, ""))
	}
	lose(1)
	require.NoError(t, store.PutSource(t.Context(), tracestore.SourceRecord{Name: "shop", Version: 1, Value: []byte("a")}))
	lose(3)
	lose(4)
	require.NoError(t, store.PutSource(t.Context(), tracestore.SourceRecord{Name: "shop", Version: 2, Value: []byte("b")}))
	require.ErrorIs(t, store.PutSource(t.Context(), tracestore.SourceRecord{Name: "shop", Version: 2, Value: []byte("c")}), tracestore.ErrSourceVersion)
	records, err := store.Sources(t.Context())
	require.NoError(t, err)
	require.Equal(t, []tracestore.SourceRecord{{Name: "shop", Version: 2, Value: []byte("b")}}, records)
}
