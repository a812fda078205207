// Package storetest is the specification of tracestore.Backend, and of its Writer, as a test suite. Every backend passes it.
package storetest

import (
	"testing"
	"time"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// Store is a backend and what writes it, in this process or through another.
type Store interface {
	tracestore.Backend
	tracestore.Writer
}

// Settings is how the suite wants a backend opened.
type Settings struct {
	// Retention bounds search times (tracestore.SearchTime). The suite stores nothing that it would drop.
	Retention time.Duration
	// Now is the clock.
	Now func() time.Time
}

// Open opens an empty backend and closes it when the test ends.
type Open func(t *testing.T, settings Settings) Store

// now is the time at which all tests run; calls are released then.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const retention = 72 * time.Hour

// Run runs the suite on backends that open makes, which have the losses.
func Run(t *testing.T, open Open, losses ...Loss) {
	RunTraces(t, open, losses...)
	RunCatalogue(t, open, losses...)
	RunAggregates(t, open, losses...)
}

type namedTest struct {
	name string
	run  func(t *testing.T, store Store)
}

func run(t *testing.T, open Open, losses Losses, tests []namedTest) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			store := open(t, Settings{Retention: retention, Now: func() time.Time { return now }})
			if len(losses) > 0 {
				store = lossy{store, losses}
			}
			test.run(t, store)
		})
	}
}

// RunTraces is the part of Run that is about reading, searching and deleting traces.
func RunTraces(t *testing.T, open Open, losses ...Loss) {
	run(t, open, losses, []namedTest{
		{"an empty call changes nothing", testEmptyCall},
		{"a release comes back as it was written", testRoundTrip},
		{"a call is cut into its traces", testCut},
		{"the call stays as it was", testCallUnchanged},
		{"a repeated call changes nothing", testRepeatedCall},
		{"releases come in order", testReleaseOrder},
		{"several releases are one row", testOneRow},
		{"a root's entry replaces a fragment's", testLateRoot},
		{"unannotated releases get a row too", testUnannotated},
		{"tenants are apart", testTenants},
		{"a reader may stop early", testStopEarly},
		{"an unknown trace is not found", testNotFound},
		{"traces are read together", testTracesTogether},
		{"ended contexts", testEndedContexts},
		{"span conditions", testSpanConditions},
		{"attribute conditions", testAttributeConditions},
		{"span conditions hold on one span", testSameSpan},
		{"trace conditions", testTraceConditions},
		{"more operators", testMoreOperators},
		{"trees of conditions on one span", testSpanTree},
		{"trees of conditions on a trace", testTraceTree},
		{"services and counts", testMoreTraceConditions},
		{"structure", testStructure},
		{"conditions on a trace of several releases", testJoinedConditions},
		{"hostile conditions and values", testHostileConditions},
		{"random queries about random traces", testRandomQueries},
		{"the window is half open", testWindow},
		{"starts are clamped to the release", testClampedStart},
		{"newest first", testOrder},
		{"pages follow one another", testPaging},
		{"pages stay whole while traces come in", testPagingWhileWriting},
		{"cursors are checked", testCursors},
		{"totals", testTotals},
		{"orders", testOrders},
		{"a ranking stays whole while traces come in", testRankingWhileWriting},
		{"a cursor is one of its order", testOrderCursors},
		{"a search ends at its deadline", testDeadline},
		{"a deleted trace is gone", testDelete},
		{"deleting with an ended context", testDeleteContexts},
		{"deleting between two pages", testDeletePaging},
		{"deleters, readers and writers at once", testDeleteConcurrency},
		{"a tail is told what is stored", testTail},
		{"readers and writers at once", testConcurrency},
	})
}

// RunCatalogue is the part of Run that is about attributes' keys and values.
func RunCatalogue(t *testing.T, open Open, losses ...Loss) {
	run(t, open, losses, []namedTest{
		{"attribute keys and values", testCatalogue},
		{"a catalogue of days and tenants", testCatalogueWindow},
		{"a catalogue of hostile attributes", testCatalogueHostile},
		{"a catalogue ends with its context", testCatalogueContexts},
	})
}

// RunAggregates is the part of Run that is about sums over traces.
func RunAggregates(t *testing.T, open Open, losses ...Loss) {
	run(t, open, losses, []namedTest{
		{"aggregates keep a deleted trace", testDeleteKeepsAggregates},
		{"operations add up", testOperations},
		{"edges add up", testEdges},
		{"entries add up", testEntries},
		{"errors are recognised over traces", testErrors},
		{"completeness", testCompleteness},
		{"aggregates of a window", testAggregateWindow},
		{"operations of several minutes", testOperationMinutes},
		{"aggregates of an environment and of a service", testAggregateFilters},
		{"aggregates count a repeated call once", testAggregateRepeated},
		{"aggregates of odd spans", testAggregateOddSpans},
		{"a virtual peer that was a service", testEarlyPeer},
		{"an entry whose root is late", testLateEntry},
		{"calls whose context is lost", testContexts},
		{"contexts count while a service sends", testContextMinutes},
		{"violations of services and edges", testViolations},
		{"versions, weights and operations of edges", testVersions},
		{"contrasts of traces", testContrasts},
		{"values beyond the limit are other", testContrastLimit},
		{"quantiles are within 1 %", testQuantiles},
		{"series beyond the limit are other", testSeriesLimit},
		{"aggregates end with their context", testAggregateContexts},
		{"aggregates are those of a recount", testAggregateModel},
	})
}
