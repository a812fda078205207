package analysis_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// emitter is a file of testdata/emitters: a trace in OTLP's JSON with the attributes that a piece of infrastructure, or an
// instrumentation, writes, where that was learned, and what is expected of each span.
type emitter struct {
	LearnedFrom []string `json:"learned_from"`
	Note        string   `json:"note"`
	Expect      []struct {
		Span       string   `json:"span"`
		Kind       string   `json:"kind"`
		Service    string   `json:"service"`
		Operation  string   `json:"operation"`
		Category   string   `json:"category"`
		Peer       string   `json:"peer"` // its kind and its name
		Violations []string `json:"violations"`
	} `json:"expect"`
}

func TestEmitters(t *testing.T) {
	files, err := filepath.Glob("testdata/emitters/*.json")
	require.NoError(t, err)
	require.Len(t, files, 11)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			var want emitter
			require.NoError(t, json.Unmarshal(content, &want))
			require.NotEmpty(t, want.LearnedFrom)
			require.NotEmpty(t, want.Note)
			td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(content)
			require.NoError(t, err)
			releases := tracetree.Releases(td)
			require.Len(t, releases, 1)
			result := analysis.Analyze(&releases[0])

			got := make(map[string]string)
			for i := range result.Spans {
				n, s := &result.Tree.Nodes[i], &result.Spans[i]
				got[n.SpanID().String()+" "+strings.ToLower(n.Kind().String())] = fmt.Sprintf("%s | %s | %s | %s | %s", s.Service, s.Operation, s.Category,
					strings.TrimSpace(s.PeerKind+" "+s.PeerService), strings.Join(s.Violations, " "))
			}
			require.Len(t, got, len(want.Expect), "every span is expected, once")
			for _, w := range want.Expect {
				require.Equal(t, fmt.Sprintf("%s | %s | %s | %s | %s", w.Service, w.Operation, w.Category, w.Peer, strings.Join(w.Violations, " ")),
					got[w.Span+" "+w.Kind], "span %s", w.Span)
			}
		})
	}
}

// Spans of ordinary SDKs break no rule, and names that are fine stand as they are.
func TestOrdinarySpansAreLeftAlone(t *testing.T) {
	spans := 0
	for _, release := range shopReleases(t, 300) {
		result := analysis.Analyze(&release)
		for i := range result.Spans {
			n, s := &result.Tree.Nodes[i], &result.Spans[i]
			require.Empty(t, s.Violations, n.Name())
			require.Equal(t, n.Name(), s.Operation)
			require.Equal(t, n.Service(), s.Service)
			require.InDelta(t, 1, s.Weight, 0)
			spans++
		}
	}
	require.Greater(t, spans, 3000)
}
