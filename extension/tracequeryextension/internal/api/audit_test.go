package api

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/internal/tenant"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// auditLog is the records of changes that requests to s leave, without their client.
func auditLog(t *testing.T, s *Settings, requests ...*http.Request) (records []map[string]any) {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	s.Logger = zap.New(core)
	h := NewHandler(*s)
	for _, r := range requests {
		do(h, r)
	}
	messages := map[string]bool{}
	for _, entry := range logs.FilterField(zap.Bool("audit", true)).All() {
		require.False(t, messages[entry.Message], "a logger that samples drops what says the same: %s", entry.Message)
		messages[entry.Message] = true
		record := entry.ContextMap()
		require.NotEmpty(t, record["client"])
		delete(record, "client")
		require.Equal(t, true, record["audit"])
		delete(record, "audit")
		records = append(records, record)
	}
	return records
}

// TestChangesAreOnRecord: with who, what, in which tenant and what became of it; those refused too; without tokens.
func TestChangesAreOnRecord(t *testing.T) {
	s := settings(nil)
	s.Service.Storage = func() (tracestore.Backend, error) { return backuper{}, nil }
	s.ManageAuthenticator = tokens{"Bearer manager": {"subject": "ann", "raw": "secret", tenant.Claim: "shop"}}
	s.ReadAuthenticator = tokens{"Bearer reader": {"subject": "bob", tenant.Claim: "shop"}}
	ask := func(r *http.Request, token string) *http.Request {
		r.Header.Set("Authorization", token)
		return r
	}
	foreign := ask(deleteTrace(knownID), "Bearer manager")
	foreign.Header.Set("Origin", "https://evil.example")
	elsewhere := ask(deleteTrace(knownID), "Bearer manager")
	elsewhere.Host = "evil.example"
	require.Equal(t, []map[string]any{
		{
			"operation": "createBackup", "target": "/admin/backup", "outcome": "done", "status": int64(201), "subject": "ann", "tenant": "shop",
			"path": filepath.FromSlash("/backups/copy"), "bytes": int64(42),
		},
		{"operation": "createBackup", "target": "/admin/backup", "outcome": "refused", "status": int64(400), "subject": "ann", "tenant": "shop"},
		{"operation": "deleteTrace", "target": "/traces/" + knownID, "outcome": "refused", "status": int64(404), "subject": "ann", "tenant": "shop"},
		{"operation": "deleteTrace", "target": "/traces/" + knownID, "outcome": "refused", "status": int64(403), "subject": "bob", "tenant": "shop"},
		{"operation": "deleteTrace", "target": "/traces/" + knownID, "outcome": "refused", "status": int64(401)},
		{"operation": "deleteTrace", "target": "/traces/" + knownID, "outcome": "refused", "status": int64(403)},
		{"operation": "deleteTrace", "target": "/traces/" + knownID, "outcome": "refused", "status": int64(403)},
	}, auditLog(t, &s,
		ask(postBackup(`{"name": "copy"}`), "Bearer manager"), ask(postBackup(`{"name": ".."}`), "Bearer manager"),
		ask(deleteTrace(knownID), "Bearer manager"), ask(deleteTrace(knownID), "Bearer reader"), ask(deleteTrace(knownID), "Bearer wrong"), foreign, elsewhere,
		get("/traces/"+knownID), postSearch("{}"), get("/nowhere"), // which change nothing
	))
}

func TestFailedChangesAreOnRecord(t *testing.T) {
	for name, test := range map[string]struct {
		storage func() (tracestore.Backend, error)
		outcome string
		status  int64
	}{
		"broken":  {func() (tracestore.Backend, error) { return storageError{err: errors.New("broken")}, nil }, "failed", 500},
		"closed":  {func() (tracestore.Backend, error) { return nil, tracestore.ErrClosed }, "failed", 503},
		"a bug":   {func() (tracestore.Backend, error) { panic("a bug") }, "failed", 500},
		"it does": {func() (tracestore.Backend, error) { return storeOf(t, storedShop()), nil }, "done", 204},
	} {
		t.Run(name, func(t *testing.T) {
			s := settings(nil)
			s.Service.Storage = test.storage
			r := deleteTrace(knownID)
			r.Header.Set(tenantHeader, "")
			require.Equal(t, []map[string]any{{
				"operation": "deleteTrace", "target": "/traces/" + knownID, "outcome": test.outcome, "status": test.status, "tenant": "",
			}}, auditLog(t, &s, r))
		})
	}
}

// Every operation that changes something leaves a record, and no other.
func TestEveryChangeIsOnRecord(t *testing.T) {
	forEveryOperation(t, func(t *testing.T, route openapi.Route, request func() *http.Request) {
		s := settings(&fakeStorage{})
		records := auditLog(t, &s, request())
		if route.Access != openapi.AccessManage {
			require.Empty(t, records)
			return
		}
		require.Len(t, records, 1)
		require.Equal(t, route.ID, records[0]["operation"])
	})
}

// What a client sends is no longer in the log than it has to be, and stays one record.
func TestAuditTargetsAreBounded(t *testing.T) {
	s := settings(&fakeStorage{})
	records := auditLog(t, &s, deleteTrace(strings.Repeat("a%0A", 10_000)))
	require.Len(t, records, 1)
	require.Len(t, records[0]["target"], maxAuditTarget)
	require.NotContains(t, records[0]["target"], "\n")
}
