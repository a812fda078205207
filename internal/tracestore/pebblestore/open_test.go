package pebblestore

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/stretchr/testify/require"
)

// TestForeignFolders opens folders that are not ours to use.
func TestForeignFolders(t *testing.T) {
	withKey := func(key, value []byte) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			db, err := pebble.Open(path, &pebble.Options{Logger: &pebbleLogger{}})
			require.NoError(t, err)
			require.NoError(t, db.Set(key, value, pebble.Sync))
			require.NoError(t, db.Close())
		}
	}
	for name, test := range map[string]struct {
		prepare func(t *testing.T, path string)
		want    string
	}{
		"file": {
			func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, nil, 0o600)) },
			"is a file, not a folder; name a folder",
		},
		"newer format": {
			withKey(formatKey(), binary.BigEndian.AppendUint32(nil, formatVersion+1)),
			"has storage format 3, this version of tracewright reads up to 2; run a newer one or name another folder",
		},
		"older format": {
			withKey(formatKey(), binary.BigEndian.AppendUint32(nil, formatVersion-1)),
			"has storage format 1, which this version of tracewright does not read any more (it reads 2); name another folder",
		},
		"another database":    {withKey([]byte("key"), nil), "holds a database that is not a trace store; name another folder"},
		"half a format value": {withKey(formatKey(), []byte{1}), "does not hold a trace store; name another folder"},
		"format 0":            {withKey(formatKey(), make([]byte, 4)), "does not hold a trace store; name another folder"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "data")
			test.prepare(t, path)
			_, err := Open(Options{Path: path})
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, path)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

// TestLockedFolder opens a folder that another process has open: this test's own program, started again.
func TestLockedFolder(t *testing.T) {
	const variable = "PEBBLESTORE_TEST_OPEN"
	if path := os.Getenv(variable); path != "" {
		_, err := Open(Options{Path: path})
		require.ErrorContains(t, err, "is in use by another process")
		require.ErrorContains(t, err, "stop that one or name another folder")
		return
	}
	path := t.TempDir()
	openStore(t, Options{Path: path})
	other := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLockedFolder$")
	other.Env = append(os.Environ(), variable+"="+path)
	output, err := other.CombinedOutput()
	require.NoError(t, err, string(output))
	_, err = Open(Options{Path: path})
	require.ErrorContains(t, err, "is in use")
}

// TestSmallFolder holds that a log takes what it holds: Pebble would take 9 MB ahead for it.
func TestSmallFolder(t *testing.T) {
	path := t.TempDir()
	store := openStore(t, Options{Path: path, Now: atNoon})
	require.NoError(t, store.WriteCall(t.Context(), newShopTraffic().call(t, noon, 100)))
	require.Less(t, diskUsage(t, path), int64(1<<20))
}
