package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pipeline"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
)

func healthOf(t *testing.T, h http.Handler, r *http.Request, status int) (answer openapi.HealthAnswer) {
	t.Helper()
	response := do(h, r)
	require.Equal(t, status, response.Code)
	requireSafe(t, response)
	require.Equal(t, "application/json", response.Header().Get("Content-Type"))
	require.NoError(t, json.Unmarshal(response.Body.Bytes(), &answer))
	return answer
}

// A backend's outage is in the body, with its reason, and not in the status.
func TestOutageIsInTheBody(t *testing.T) {
	s := settings(nil)
	h := NewHandler(s)
	require.Equal(t, openapi.HealthAnswerStatusOk, healthOf(t, h, get("/healthz"), 200).Status)
	require.Equal(t, openapi.HealthAnswerStatusFailing, healthOf(t, h, get("/readyz"), 503).Status, "no pipeline runs yet")
	s.Health.Running(true)
	exporter := componentstatus.NewInstanceID(component.MustNewID("clickhouse"), component.KindExporter, pipeline.NewID(pipeline.SignalTraces))
	s.Health.Note(exporter, componentstatus.NewRecoverableErrorEvent(errors.New("dial tcp: refused")))
	for _, path := range []string{"/healthz", "/readyz"} {
		answer := healthOf(t, h, get(path), 200)
		require.Equal(t, openapi.HealthAnswerStatusDegraded, answer.Status)
		require.Len(t, answer.Components, 1)
		c := answer.Components[0]
		require.NotEmpty(t, c.Since)
		require.Equal(t, "dial tcp: refused", *c.Reason)
		require.Equal(t, openapi.ComponentHealth{
			Component: "clickhouse", Kind: "exporter", Pipelines: []string{"traces"}, Status: "recoverable_error", Since: c.Since, Reason: c.Reason,
		}, c)
	}
	s.Health.Note(exporter, componentstatus.NewEvent(componentstatus.StatusOK))
	require.Equal(t, openapi.HealthAnswerStatusOk, healthOf(t, h, get("/readyz"), 200).Status)
}

// Whoever may not read is told the state and nothing of the system; everybody is answered.
func TestProbesTellStrangersNothing(t *testing.T) {
	s := settings(nil)
	s.ReadAuthenticator = tokens{"Bearer reader": {}}
	s.Limits = Limits{Concurrent: 1, RatePerClient: 1e-3, BurstPerClient: 1}
	s.Health.Running(true)
	s.Health.Note(componentstatus.NewInstanceID(component.MustNewID("secret"), component.KindExporter),
		componentstatus.NewRecoverableErrorEvent(errors.New("secret")))
	h := NewHandler(s)
	for _, path := range []string{"/healthz", "/readyz"} {
		for _, token := range []string{"", "Bearer wrong", "Bearer reader"} {
			for _, host := range []string{"10.1.2.3:16686", "evil.example"} {
				r := get(path)
				r.Host = host
				r.Header.Set("Authorization", token)
				r.Header.Set(tenantHeader, "\xff")
				answer := healthOf(t, h, r, 200)
				require.Equal(t, openapi.HealthAnswerStatusDegraded, answer.Status)
				require.Equal(t, token == "Bearer reader" && host != "evil.example", len(answer.Components) == 1)
				if answer.Components == nil {
					require.NotContains(t, do(h, r).Body.String(), "secret")
				}
			}
		}
	}
	wrong := get("/healthz")
	wrong.Method = http.MethodPost
	requireProblem(t, http.StatusMethodNotAllowed, do(h, wrong))
	wrong = get("/healthz/x")
	requireProblem(t, http.StatusUnauthorized, do(h, wrong))
	s.ReadAuthenticator = nil
	r := get("/healthz")
	require.Len(t, healthOf(t, NewHandler(s), r, 200).Components, 1, "where everybody may read")
	r.Host = "evil.example"
	require.Empty(t, healthOf(t, NewHandler(s), r, 200).Components)
}
