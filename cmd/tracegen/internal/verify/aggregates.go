package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// counts of an edge or an operation. unanswered is -1 where the API does not say.
type counts struct {
	calls, errors, unanswered int64
}

func edgeName(parent, child, protocol string) string {
	return parent + " → " + child + " (" + protocol + ")"
}

func operationName(service, operation, kind string) string {
	return service + " " + operation + " (" + strings.ToLower(kind) + ")"
}

func (t *tenantRun) compareEdges(ctx context.Context, start, end time.Time, report *Report) error {
	answer, err := t.client.services(ctx, start, end)
	if errors.Is(err, errNotFound) {
		report.notServed("/traces/services")
		return nil
	}
	if err != nil {
		return err
	}
	got := map[string]counts{}
	for _, e := range answer.Edges {
		name := edgeName(e.Parent, e.Child, e.Protocol)
		c := got[name]
		c.calls, c.errors = c.calls+e.Calls, c.errors+e.Errors
		if e.Unanswered != nil && c.unanswered >= 0 {
			c.unanswered += *e.Unanswered
		} else {
			c.unanswered = -1
		}
		got[name] = c
	}
	report.Edges += len(t.edges)
	for _, c := range t.edges {
		report.edgeCalls += c.calls
	}
	differences := compareCounts(t.edges, got)
	report.EdgeDifferences += len(differences)
	lost, wrong := int64(0), false
	for _, d := range differences {
		report.edgeMisses += d.misses
		report.detail("edge", d.text)
		lost, wrong = lost+d.lost, wrong || !d.onlyLost
	}
	report.completeness("map", answer.Completeness)
	var statement struct {
		Unrepaired int64 `json:"unrepaired_spans"`
	}
	if err := json.Unmarshal(answer.Completeness, &statement); err != nil {
		return fmt.Errorf("read the completeness of the map: %w", err)
	}
	report.unrepaired += statement.Unrepaired
	// A span whose caller came too late is a call that the map lacks, and no other difference.
	report.edgesWrong = report.edgesWrong || wrong || lost > statement.Unrepaired
	return nil
}

func (t *tenantRun) compareOperations(ctx context.Context, start, end time.Time, report *Report) error {
	answer, err := t.client.operations(ctx, start, end)
	if errors.Is(err, errNotFound) {
		report.notServed("/traces/operations")
		return nil
	}
	if err != nil {
		return err
	}
	got := map[string]counts{}
	for _, o := range answer.Operations {
		name := operationName(o.Service, o.Operation, o.Kind)
		c := got[name]
		got[name] = counts{c.calls + o.Calls, c.errors + o.Errors, -1}
	}
	report.Operations += len(t.operations)
	differences := compareCounts(t.operations, got)
	report.OperationDifferences += len(differences)
	for _, d := range differences {
		report.detail("operation", d.text)
	}
	report.completeness("operations", answer.Completeness)
	return nil
}

// difference is one name whose counts are not what was sent.
type difference struct {
	text string
	// misses is the sum by which the counts are off.
	misses int64
	// lost calls are in no answer. onlyLost says that they explain all: their errors are away with them, and their clients are unanswered.
	lost     int64
	onlyLost bool
}

func compareCounts(want, got map[string]counts) (differences []difference) {
	names := map[string]bool{}
	for name := range want {
		names[name] = true
	}
	for name := range got {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		w, g := want[name], got[name]
		if _, answered := got[name]; !answered && w.calls == 0 {
			continue // sent unanswered calls only, and the API does not list them
		}
		if g.unanswered < 0 {
			g.unanswered = w.unanswered
		}
		if w == g {
			continue
		}
		text := fmt.Sprintf("%s: %d calls, %d errors; sent %d, %d", name, g.calls, g.errors, w.calls, w.errors)
		if w.unanswered != g.unanswered {
			text += fmt.Sprintf("; %d unanswered, sent %d", g.unanswered, w.unanswered)
		}
		misses := absolute(w.calls-g.calls) + absolute(w.errors-g.errors) + absolute(w.unanswered-g.unanswered)
		lost := w.calls - g.calls
		within := func(n int64) bool { return n >= 0 && n <= lost }
		differences = append(differences, difference{text, misses, max(lost, 0), within(w.errors-g.errors) && within(g.unanswered-w.unanswered)})
	}
	return differences
}

func absolute(n int64) int64 { return max(n, -n) }
