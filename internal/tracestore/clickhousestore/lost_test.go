package clickhousestore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLostSchema: a server that comes back empty is noticed, and its tables are made again; where somebody else makes them, it is said what is missing.
func TestLostSchema(t *testing.T) {
	for name, create := range map[string]bool{"that we make": true, "of others": false} {
		t.Run(name, func(t *testing.T) {
			options := testOptions(t)
			owner := openStore(t, options)
			health := make(chan error, 1000)
			options.CreateSchema, options.checkInterval = create, 10*time.Millisecond
			options.OnHealth = func(err error) { health <- err }
			store, err := Open(options)
			require.NoError(t, err)
			defer func() { require.NoError(t, store.Close()) }()
			waitReady(t, store, health)
			require.NoError(t, owner.db.Exec(t.Context(), "DROP DATABASE "+quoted(options.Database)))
			err = nil
			for deadline := time.After(time.Minute); err == nil; {
				select {
				case err = <-health:
				case <-deadline:
					t.Fatal("nobody noticed")
				}
			}
			require.ErrorIs(t, err, errLostSchema)
			if !create {
				openStore(t, Options{Endpoint: options.Endpoint, Database: options.Database, Variant: options.Variant, CreateSchema: true})
			}
			for err != nil {
				err = <-health
			}
			require.NoError(t, store.Ready(t.Context()))
			_, err = store.Sources(t.Context())
			require.NoError(t, err)
		})
	}
}
