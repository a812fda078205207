package truth

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

// The file has one JSON object a line. The member "type" says which of the types below the line is. The first line is
// the run, the last one the end, which says that nothing is missing.
const (
	typeRun       = "run"
	typeTrace     = "trace"
	typeEdge      = "edge"
	typeOperation = "operation"
	typeEntry     = "entry"
	typeEnd       = "end"
)

// Run is the line of the run as a whole.
type Run struct {
	Type string `json:"type"`
	Seed uint64 `json:"seed"`
	// Started and Finished are when the first request left and the last one was answered.
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	// TenantHeader names the header that named the tenants; empty for a run without.
	TenantHeader string `json:"tenant_header,omitempty"`
}

// Operation names where a trace begins.
type Operation struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
}

// Trace is the line of one trace.
type Trace struct {
	Type    string    `json:"type"`
	TraceID string    `json:"trace_id"`
	Tenant  string    `json:"tenant,omitempty"`
	Entry   Operation `json:"entry"`
	// Start is the first start of a span.
	Start time.Time `json:"start"`
	// Duration is the last end of a span minus Start, in nanoseconds.
	Duration int64 `json:"duration_ns"`
	// Spans and Errors count the spans, each once, and those whose status is an error.
	Spans  int `json:"span_count"`
	Errors int `json:"error_count"`
}

// Edge is the line of an edge: Counts of EdgeKey.
type Edge struct {
	Type       string `json:"type"`
	Tenant     string `json:"tenant,omitempty"`
	Parent     string `json:"parent"`
	Child      string `json:"child"`
	Kind       string `json:"kind"`
	Protocol   string `json:"protocol"`
	Calls      int64  `json:"calls"`
	Errors     int64  `json:"errors"`
	Unanswered int64  `json:"unanswered,omitempty"`
}

// OperationCounts is the line of an operation.
type OperationCounts struct {
	Type      string `json:"type"`
	Tenant    string `json:"tenant,omitempty"`
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Kind      string `json:"kind"`
	Calls     int64  `json:"calls"`
	Errors    int64  `json:"errors"`
}

// Entry is the line of an entry.
type Entry struct {
	Type      string `json:"type"`
	Tenant    string `json:"tenant,omitempty"`
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Traces    int64  `json:"traces"`
	Errors    int64  `json:"errors"`
}

// End is the last line.
type End struct {
	Type   string `json:"type"`
	Traces int64  `json:"traces"`
	Spans  int64  `json:"spans"`
}

// Writer writes the file.
type Writer struct {
	out     *bufio.Writer
	encoder *json.Encoder
	tally   *Tally
}

// NewWriter starts the file with the line of the run. The tally collects what is written.
func NewWriter(out io.Writer, run Run, tally *Tally) (*Writer, error) {
	w := &Writer{out: bufio.NewWriterSize(out, 1<<20), tally: tally}
	w.encoder = json.NewEncoder(w.out)
	w.encoder.SetEscapeHTML(false)
	run.Type = typeRun
	return w, w.encoder.Encode(run)
}

// Playing is one time that a visit was made: its spans' times count from Origin (Unix nanoseconds), and its trace ids are
// what ID makes of them.
type Playing struct {
	Origin int64
	ID     func([16]byte) [16]byte
}

// Visit writes the lines of a visit's traces for each of its playings. start is when the visit began, from their origin.
func (w *Writer) Visit(v *shop.Visit, start int64, playings []Playing) error {
	w.tally.Add(v, int64(len(playings)))
	for _, playing := range playings {
		for i := range v.Traces {
			trace := &v.Traces[i]
			root := &v.Spans[trace.Root]
			err := w.encoder.Encode(Trace{
				Type: typeTrace, TraceID: fmt.Sprintf("%x", playing.ID(trace.ID)), Tenant: w.tally.Tenant(v),
				Entry: Operation{serviceName(root), root.Name}, Start: time.Unix(0, playing.Origin+start+trace.Start).UTC(),
				Duration: trace.End - trace.Start, Spans: trace.Spans, Errors: trace.Errors,
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Close writes the sums and the end.
func (w *Writer) Close() error {
	t := w.tally
	var errs []error
	encode := func(line any) { errs = append(errs, w.encoder.Encode(line)) }
	for _, k := range slices.SortedFunc(maps.Keys(t.Edges), func(a, b EdgeKey) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Parent, b.Parent), cmp.Compare(a.Child, b.Child), cmp.Compare(a.Protocol, b.Protocol))
	}) {
		c := t.Edges[k]
		encode(Edge{typeEdge, k.Tenant, k.Parent, k.Child, string(k.Kind), k.Protocol, c.Calls, c.Errors, c.Unanswered})
	}
	for _, k := range slices.SortedFunc(maps.Keys(t.Operations), func(a, b OperationKey) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Kind, b.Kind))
	}) {
		c := t.Operations[k]
		encode(OperationCounts{typeOperation, k.Tenant, k.Service, k.Operation, k.Kind, c.Calls, c.Errors})
	}
	for _, k := range slices.SortedFunc(maps.Keys(t.Entries), func(a, b EntryKey) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation, b.Operation))
	}) {
		c := t.Entries[k]
		encode(Entry{typeEntry, k.Tenant, k.Service, k.Operation, c.Traces, c.Errors})
	}
	encode(End{typeEnd, t.Traces, t.Spans})
	return errors.Join(append(errs, w.out.Flush())...)
}

// File is the whole file in memory.
type File struct {
	Run        Run
	Traces     []Trace
	Edges      []Edge
	Operations []OperationCounts
	Entries    []Entry
}

// Read reads a file that Writer wrote.
func Read(in io.Reader) (*File, error) {
	f := new(File)
	decoder := json.NewDecoder(bufio.NewReaderSize(in, 1<<20))
	ended := false
	for number := 1; ; number++ {
		var line json.RawMessage
		if err := decoder.Decode(&line); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		var err error
		if ended, err = f.add(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if f.Run.Type == "" || !ended {
		return nil, errors.New("it does not begin with a run and finish with an end: the run that wrote it was cut short")
	}
	return f, nil
}

func (f *File) add(line []byte) (end bool, err error) {
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return false, err
	}
	switch head.Type {
	case typeRun:
		return false, json.Unmarshal(line, &f.Run)
	case typeTrace:
		return false, appendLine(&f.Traces, line)
	case typeEdge:
		return false, appendLine(&f.Edges, line)
	case typeOperation:
		return false, appendLine(&f.Operations, line)
	case typeEntry:
		return false, appendLine(&f.Entries, line)
	case typeEnd:
		var e End
		if err := json.Unmarshal(line, &e); err != nil {
			return false, err
		}
		if e.Traces != int64(len(f.Traces)) {
			return false, fmt.Errorf("the end counts %d traces, there are %d", e.Traces, len(f.Traces))
		}
		return true, nil
	}
	return false, fmt.Errorf("no type %q", head.Type)
}

func appendLine[T any](lines *[]T, line []byte) error {
	var parsed T
	err := json.Unmarshal(line, &parsed)
	*lines = append(*lines, parsed)
	return err
}
