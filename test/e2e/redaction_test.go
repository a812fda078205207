package e2e

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// What examples/redaction masks comes out of no answer, and the rest as it was sent.
func TestRedaction(t *testing.T) {
	requireRedacted(t, startInstance(t, "--config", filepath.Join(root, "examples", "redaction", "redaction.yaml")))
}

// Beside examples/summary, whose pipeline and journal are its own, with the line that README has for both.
func TestRedactionOfSummaries(t *testing.T) {
	t.Setenv("TRACEWRIGHT_SUMMARY_INTERVAL", "200ms")
	i := startInstance(t, "--config", filepath.Join(root, "examples", "redaction", "redaction.yaml"),
		"--config", filepath.Join(root, "examples", "summary", "summary.yaml"), "--config", "yaml:"+summaryAddition(t, "redaction,"))
	requireRedacted(t, i)
	i.awaitLogs("EventName: tracewright.trace", "Name: tracewright.root_duration")
}

var secrets = []string{"c2VjcmV0MQ", "secret2", "secret3", "secret4", "secret5", "4111111111111111", "bob@", "carol@", "dave@", "erin@"}

// requireRedacted sends what is to be masked, and looks for it in answers, logs and the data folder.
func requireRedacted(t *testing.T, i *instance) {
	t.Helper()
	td := chain("shop", 1, 2)
	rs := td.ResourceSpans().At(0)
	rs.Resource().Attributes().PutStr("owner", "bob@example.com")
	span := rs.ScopeSpans().At(0).Spans().At(0)
	span.SetName("mail to carol@example.com")
	for key, value := range map[string]string{
		"http.request.header.authorization": "Basic c2VjcmV0MQ==",
		"db.password":                       "secret2",
		"card":                              "paid with 4111111111111111 today",
		"header":                            "Bearer secret3.abc",
		"url.full":                          "https://api.example/x?page=2&token=secret4&z=1",
		"input_tokens":                      "17",
		"order.id":                          "4111",
	} {
		span.Attributes().PutStr(key, value)
	}
	event := span.Events().AppendEmpty()
	event.SetName("exception")
	event.SetTimestamp(pcommon.NewTimestampFromTime(time.Unix(1_790_000_000, 0)))
	event.Attributes().PutStr("exception.message", "no mailbox dave@example.com")
	span.Status().SetMessage("refused for erin@example.com with bearer secret5")
	i.send(td, nil)

	const path = "/traces/00000000000000000000000000000001"
	var answers string
	i.await("the trace", func() error {
		answer, err := i.get(i.url("QUERY", path), http.StatusOK)
		answers = string(answer)
		return err
	})
	otlp, err := i.get(i.url("QUERY", path+"?format=otlp"), http.StatusOK)
	require.NoError(t, err)
	answers += string(otlp)
	for _, secret := range secrets {
		require.NotContains(t, answers, secret)
	}
	for _, kept := range []string{
		`"mail to ****"`, "paid with **** today", "refused for **** with ****", "no mailbox ****", "https://api.example/x?page=2", "z=1", `"17"`,
		`"4111"`, "redaction.masked.count",
	} {
		require.True(t, strings.Contains(answers, kept) || strings.Contains(answers, strings.ReplaceAll(kept, "&", `\u0026`)), "%s\n%s", kept, answers)
	}
	onDisk := 0
	require.NoError(t, filepath.WalkDir(i.data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return ignoreGone(err)
		}
		content, err := os.ReadFile(path)
		onDisk += bytes.Count(content, []byte("order.id"))
		for _, secret := range secrets {
			require.NotContains(t, string(content), secret, path)
		}
		return ignoreGone(err)
	}))
	require.Positive(t, onDisk, "of what was sent something is on the disk")
	for _, secret := range secrets {
		require.NotContains(t, i.logs.String(), secret)
	}
}

// ignoreGone passes over files that the process has removed meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
