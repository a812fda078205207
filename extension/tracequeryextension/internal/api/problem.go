package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
)

// fault is one thing that is wrong with a request.
type fault struct {
	// Field is the member of the body by its path ("attributes[0].op"), the query parameter, the path parameter or the
	// header; empty where the fault is with the whole.
	Field string
	// Detail says what is wrong and what would be right.
	Detail string
}

// problem is an error answer by RFC 9457. Its type is always about:blank, so the title is the status's own.
type problem openapi.Problem

// newProblem takes at least one fault.
func newProblem(status int, faults ...fault) *problem {
	p := &problem{
		Type: openapi.ProblemTypeAboutBlank, Title: http.StatusText(status), Status: status,
		Field: given(faults[0].Field), Detail: faults[0].Detail,
	}
	if len(faults) > 1 {
		for _, f := range faults {
			p.Errors = append(p.Errors, openapi.Fault{Field: given(f.Field), Detail: f.Detail})
		}
	}
	return p
}

// given is a member that is left out where it is empty.
func given[T comparable](value T) *T {
	var empty T
	if value == empty {
		return nil
	}
	return &value
}

func (p *problem) write(w http.ResponseWriter) {
	writeJSON(w, p.Status, "application/problem+json", p)
}

// writeJSON answers with a small value whole. The value must be one that always marshals.
func writeJSON(w http.ResponseWriter, status int, contentType string, value any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // a URL stays readable; nosniff keeps browsers from reading JSON as a page
	if err := encoder.Encode(value); err != nil {
		panic(err) // a fault in this package, answered as such
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // what fails is the connection: nobody is left to tell
}

// WriteServerProblem answers for the server around the handler (confighttp), which finds bodies whose compression it
// cannot undo.
func WriteServerProblem(w http.ResponseWriter, _ *http.Request, message string, status int) {
	setSafeHeaders(w.Header())
	newProblem(status, fault{Field: "Content-Encoding", Detail: message}).write(w)
}
