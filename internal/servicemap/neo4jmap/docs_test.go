package neo4jmap

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/servicemap/servicemaptest"
)

// testDocs runs the questions in docs/production.md and holds their answers against what the map says.
func testDocs(t *testing.T, s *server) {
	now := func() time.Time { return time.Now().UTC() }
	w, r := s.empty(t, Options{Now: now}), s.reader(t)
	f := servicemaptest.NewTraffic(9)
	require.NoError(t, w.WriteCall(t.Context(), f.Call(t, "", "production", now(), 60)))
	m, err := r.Map(t.Context(), "", window(now().Add(-time.Hour), now().Add(time.Minute)))
	require.NoError(t, err)
	graph := m.Graph()

	content, err := os.ReadFile("../../../docs/production.md")
	require.NoError(t, err)
	asked := 0
	for _, part := range strings.Split(string(content), "```cypher\n")[1:] {
		statement, _, ended := strings.Cut(part, "```")
		require.True(t, ended)
		title, _, _ := strings.Cut(statement, "\n")
		answers := map[string]int64{}
		require.NoError(t, w.change(t.Context(), func(tx *transaction) error {
			return tx.run(statement, map[string]any{}, func(r record) { answers[r.text("service")] = r.number("n") })
		}), title)
		switch title {
		case "// Who is affected when inventory fails, and how far away?":
			want := map[string]int64{}
			for _, n := range graph.Callers("inventory", servicemap.MaxDepth) {
				want[n.Service] = int64(n.Distance)
			}
			require.Equal(t, want, answers)
		case "// The shortest ways from edge-proxy to fraud.":
			ways, _ := graph.Ways("edge-proxy", "fraud", 1)
			require.Equal(t, map[string]int64{"fraud": int64(len(ways[0]) - 1)}, answers)
		case "// Services that call one another in a circle.":
			require.Len(t, answers, len(graph.Cycles()))
		case "// The last hour's calls, the most first.":
			want := map[string]int64{}
			for _, e := range m.Edges {
				want[e.Child] = max(want[e.Child], e.Calls)
			}
			require.Len(t, answers, len(want))
		default:
			t.Fatalf("no test knows what %q should answer", title)
		}
		asked++
	}
	require.Equal(t, 4, asked)
}
