package pebblestore

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLogsAreNotKept: logs of which everything is in tables are removed.
func TestLogsAreNotKept(t *testing.T) {
	path := t.TempDir()
	store := openStore(t, Options{Path: path, Now: atNoon})
	for n := range 3 {
		require.NoError(t, store.WriteCall(t.Context(), newCall(noon, n, 1, 3)))
		require.NoError(t, store.db.Flush())
	}
	require.Eventually(t, func() bool { // it is done in the background
		logs, err := filepath.Glob(filepath.Join(path, "*.log"))
		require.NoError(t, err)
		return len(logs) == 1 && store.db.Metrics().WAL.ObsoleteFiles == 0
	}, 10*time.Second, time.Millisecond)
}
