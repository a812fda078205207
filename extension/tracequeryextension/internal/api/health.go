package api

import (
	"net/http"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/health"
)

// GetLiveness says whether the process should be started again.
func (h *handler) GetLiveness(w http.ResponseWriter, r *http.Request) {
	report := h.Health.Report()
	h.answerHealth(w, r, report.Live, &report)
}

// GetReadiness says whether spans can be sent.
func (h *handler) GetReadiness(w http.ResponseWriter, r *http.Request) {
	report := h.Health.Report()
	h.answerHealth(w, r, report.Ready, &report)
}

func (h *handler) answerHealth(w http.ResponseWriter, r *http.Request, good bool, report *health.Report) {
	if faults := bindParameters(r, &struct{}{}); len(faults) > 0 {
		newProblem(http.StatusBadRequest, faults...).write(w)
		return
	}
	status, answer := http.StatusOK, openapi.HealthAnswer{Status: openapi.HealthAnswerStatusOk}
	switch {
	case !good:
		status, answer.Status = http.StatusServiceUnavailable, openapi.HealthAnswerStatusFailing
	case report.Failing():
		answer.Status = openapi.HealthAnswerStatusDegraded
	}
	if h.mayRead(r) {
		for _, c := range report.Components {
			answer.Components = append(answer.Components, openapi.ComponentHealth{
				Component: c.ID.String(), Kind: openapi.ComponentHealthKind(c.Kind), Pipelines: c.Pipelines,
				Status: openapi.ComponentHealthStatus(c.Status), Since: formatInstant(c.Since), Reason: given(c.Reason),
			})
		}
	}
	writeJSON(w, status, "application/json", answer)
}

// mayRead says whether the client of an open operation may see what readers see: names and errors of components say things about the
// system, and errors may quote what was sent.
func (h *handler) mayRead(r *http.Request) bool {
	if !h.hosts.allow(r.Host) {
		return false
	}
	if h.ReadAuthenticator == nil {
		return true
	}
	_, err := h.ReadAuthenticator.Authenticate(r.Context(), r.Header)
	return err == nil
}
