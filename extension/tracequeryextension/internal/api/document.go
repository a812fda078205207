package api

import (
	"net/http"
	"strconv"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
)

// GetDocument answers with the description of the API.
func (h *handler) GetDocument(w http.ResponseWriter, r *http.Request) {
	if faults := bindParameters(r, &struct{}{}); len(faults) > 0 {
		newProblem(http.StatusBadRequest, faults...).write(w)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/yaml")
	header.Set("Content-Length", strconv.Itoa(len(openapi.Document)))
	_, _ = w.Write(openapi.Document) // what fails is the connection: nobody is left to tell
}
