package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// requireSame asks both storages as a tenant. Their answers are the same, but for what is approximate and what ClickHouse does not keep. What there
// was no time for is left out of an answer, so they are asked again where they differ.
func (s *storages) requireSame(t *testing.T, tenant string, q question) {
	t.Helper()
	var found string
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); time.Sleep(time.Second) {
		var answers [2]answer
		var asked sync.WaitGroup
		for i, storage := range []string{embedded, production} {
			asked.Go(func() { answers[i] = s.ask(t, storage, tenant, q) })
		}
		asked.Wait()
		if found = compared(t, q, &answers); found == "" {
			return
		}
	}
	require.Empty(t, found, "%s as %s; the embedded store's answer comes first", q, tenant)
}

// compared says where the answers differ.
func compared(t *testing.T, q question, answers *[2]answer) string {
	t.Helper()
	a, b := &answers[0], &answers[1]
	if a.status != b.status || a.header.Get("Content-Type") != b.header.Get("Content-Type") {
		return fmt.Sprintf("%d %s, %d %s", a.status, a.body, b.status, b.body)
	}
	if a.status == http.StatusOK && strings.HasPrefix(q.target, "/traces/attributes") {
		return comparedSuggestions(t, answers)
	}
	found := differences("", "", readAnswer(t, q, a), readAnswer(t, q, b))
	return strings.Join(found[:min(len(found), 10)], "\n")
}

// readAnswer is the answer without what differs of right.
func readAnswer(t *testing.T, q question, a *answer) any {
	t.Helper()
	content := a.body
	if a.header.Get("Content-Type") == "application/x-protobuf" {
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(content)
		require.NoError(t, err)
		content, err = (&ptrace.JSONMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
	}
	var document any
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&document), "%s: %s", q, content)
	return kept(document)
}

// notCompared are members whose value may differ.
var notCompared = map[string]bool{
	"next_cursor": true,                                        // a place in a storage's own words; requirePages follows it
	"in_flight":   true,                                        // known to the one of several trace_query that trace_assembly finds first
	"trace_ids":   true,                                        // some of those that have it; requireExamples looks at them
	"example":     true,                                        // of the first of these
	"flags":       true, "schema_url": true, "schemaUrl": true, // ClickHouse does not keep them
}

// kept is what both storages keep: ClickHouse keeps attributes in the order of their keys, and most of their values as text.
func kept(value any) any {
	switch value := value.(type) {
	case map[string]any:
		result := make(map[string]any)
		for name, member := range value {
			switch attributes, is := attributesOf(name, member); {
			case is:
				result[name] = attributes
			case !notCompared[name]:
				result[name] = kept(member)
			}
		}
		return result
	case []any:
		result := make([]any, len(value))
		for i, item := range value {
			result[i] = kept(item)
		}
		return result
	}
	return value
}

// attributesOf are attributes as text, by their keys, of our own answers, of OTLP and of Jaeger.
func attributesOf(name string, member any) (map[string]any, bool) {
	texts := make(map[string]any)
	switch member := member.(type) {
	case map[string]any:
		if name != "attributes" {
			break
		}
		for key, value := range member {
			texts[key] = fmt.Sprint(value)
		}
		return texts, true
	case []any:
		if name != "attributes" && name != "tags" && name != "fields" {
			break
		}
		for _, item := range member {
			pair, ok := item.(map[string]any)
			if !ok || pair["value"] == nil {
				return nil, false // which attributes there are
			}
			texts[fmt.Sprint(pair["key"])] = valueText(pair["value"])
		}
		return texts, true
	}
	return nil, false
}

func valueText(value any) string {
	if of, ok := value.(map[string]any); ok { // of OTLP, by its type
		for _, value := range of {
			return fmt.Sprint(value)
		}
	}
	return fmt.Sprint(value)
}

// sketchError is that of a quantile that a sketch of 1 % has, from the one of another sketch.
const sketchError = 0.0202

// differences says where two answers differ.
func differences(path, member string, a, b any) (found []string) {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok {
			break
		}
		names := maps.Clone(a)
		maps.Copy(names, b)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			_, inA := a[name]
			_, inB := b[name]
			if inA != inB {
				found = append(found, fmt.Sprintf("%s.%s: %v, %v", path, name, a[name], b[name]))
				continue
			}
			found = append(found, differences(path+"."+name, name, a[name], b[name])...)
		}
		return found
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			break
		}
		for i := range a {
			found = append(found, differences(fmt.Sprintf("%s[%d]", path, i), member, a[i], b[i])...)
		}
		return found
	case json.Number:
		if b, ok := b.(json.Number); ok && near(member, a, b) {
			return nil
		}
	}
	if !reflect.DeepEqual(a, b) {
		return []string{fmt.Sprintf("%s: %v, %v", path, a, b)}
	}
	return nil
}

// near compares quantiles as far as their sketches go, and other numbers as far as the order goes in which they were added up.
func near(member string, a, b json.Number) bool {
	x, errX := a.Float64()
	y, errY := b.Float64()
	tolerance := 1e-9
	for _, quantile := range []string{"p50_ns", "p95_ns", "p99_ns"} {
		if strings.HasSuffix(member, quantile) {
			tolerance = sketchError
		}
	}
	return errX == nil && errY == nil && math.Abs(x-y) <= tolerance*max(math.Abs(x), math.Abs(y))
}

// rare is the share of the spans with the most frequent attribute, or value, below which others may be missing: ClickHouse looks at some spans of
// each insert, and says about how many have what.
const rare = 0.1

// comparedSuggestions says how they differ in which attributes, or values, there are.
func comparedSuggestions(t *testing.T, answers *[2]answer) string {
	t.Helper()
	var lists [2]map[string]float64
	for i := range answers {
		var suggested struct {
			Window             map[string]string
			Attributes, Values []struct {
				Scope, Key, Value string
				Spans             float64
			}
		}
		require.NoError(t, json.Unmarshal(answers[i].body, &suggested))
		require.NotEmpty(t, suggested.Window)
		lists[i] = make(map[string]float64)
		for _, of := range append(suggested.Attributes, suggested.Values...) {
			lists[i][of.Scope+" "+of.Key+of.Value] = of.Spans
		}
	}
	most := 0.0
	for _, spans := range lists[0] {
		most = max(most, spans)
	}
	for name, spans := range lists[0] {
		if about := lists[1][name]; spans >= rare*most && (about < spans/4 || about > 4*spans) {
			return fmt.Sprintf("%s: %g and %g spans", name, spans, about)
		}
	}
	for name := range lists[1] {
		if lists[0][name] == 0 {
			return name + ": unknown to the embedded store"
		}
	}
	return ""
}
