package verify

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Report is what a verification found.
type Report struct {
	// Traces were sent; each of them is found, missing, partial (fewer spans than sent) or differing (something else
	// than sent). Surplus traces were in the window and not sent.
	Traces, Found, Missing, Partial, Differing, Surplus int
	// Searched is how many of the sent traces a search over the window lists.
	Searched int
	// Truncated says that the search ended at a limit of the storage: surplus traces may have been overlooked.
	Truncated bool
	// Edges and Operations were sent, the differences are those whose calls or errors are not as sent.
	Edges, EdgeDifferences           int
	Operations, OperationDifferences int
	// NotServed lists the endpoints that answered 404.
	NotServed []string

	onlyTraces            bool
	edgeCalls, edgeMisses int64
	// unrepaired is the number of spans of which the map says that their edges may be wrong.
	unrepaired int64
	// edgesWrong says that edges of a tenant are off by more than the map says itself.
	edgesWrong bool
	details    []string
	left       int
	complete   []string
}

// Details of more problems than this are only counted.
const maxDetails = 20

func (r *Report) detail(kind, text string) {
	if len(r.details) == maxDetails {
		r.left++
		return
	}
	// A name with a newline would look like a line of its own.
	r.details = append(r.details, fmt.Sprintf("  %-9s %s", kind, strings.ReplaceAll(text, "\n", `\n`)))
}

func (r *Report) notServed(path string) {
	if !slices.Contains(r.NotServed, path) {
		r.NotServed = append(r.NotServed, path)
	}
}

func (r *Report) completeness(of string, statement json.RawMessage) {
	if len(statement) > 0 {
		r.complete = append(r.complete, fmt.Sprintf("%s %s", of, statement))
	}
}

func (r *Report) tracesOK() bool {
	return r.Found == r.Traces && r.Searched == r.Traces && r.Surplus == 0 && r.Differing == 0 && !r.Truncated
}

// OK says whether everything is as it was sent.
func (r *Report) OK() bool {
	return r.tracesOK() && !r.edgesWrong && r.OperationDifferences == 0 && len(r.NotServed) == 0
}

// Write writes the report as text.
func (r *Report) Write(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "traces      %d sent: %d found, %d missing, %d partial, %d surplus, %d differing; %d of them in the search",
		r.Traces, r.Found, r.Missing, r.Partial, r.Surplus, r.Differing, r.Searched)
	if r.Truncated {
		b.WriteString(", which the storage cut short")
	}
	b.WriteByte('\n')
	if !r.onlyTraces {
		fmt.Fprintf(&b, "edges       %d sent: %d differ in calls or errors (by %d of %d calls; the map says that %d spans may be wrong)\n",
			r.Edges, r.EdgeDifferences, r.edgeMisses, r.edgeCalls, r.unrepaired)
		fmt.Fprintf(&b, "operations  %d sent: %d differ in calls or errors\n", r.Operations, r.OperationDifferences)
	}
	for _, path := range r.NotServed {
		fmt.Fprintf(&b, "not served  %s answered 404; verify the traces alone with --only traces\n", path)
	}
	for _, statement := range r.complete {
		fmt.Fprintf(&b, "completeness of the %s\n", statement)
	}
	for _, detail := range r.details {
		b.WriteString(detail + "\n")
	}
	if r.left > 0 {
		fmt.Fprintf(&b, "  and %d more\n", r.left)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
