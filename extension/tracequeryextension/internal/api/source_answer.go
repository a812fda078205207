package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/sources"
	"github.com/tracewright/tracewright/internal/tracesources"
)

// accuracyTime is for how long a request reads how the trace context comes across to the services of sources.
const accuracyTime = time.Second

// newSources are sources as they are answered: without their context accuracy where that cannot be read, or not soon. Sources are worth more, and a
// change was made by then.
func (h *handler) newSources(r *http.Request, stored ...tracesources.Stored) []openapi.Source {
	ctx, cancel := context.WithTimeout(r.Context(), accuracyTime)
	defer cancel()
	accuracies := make(map[string]query.ContextAccuracies)
	answer := make([]openapi.Source, 0, len(stored))
	for i := range stored {
		answer = append(answer, h.newSource(ctx, &stored[i], accuracies))
	}
	return answer
}

// newSource is one of them. accuracies are those that were read for others, by tenant.
func (h *handler) newSource(ctx context.Context, s *tracesources.Stored, accuracies map[string]query.ContextAccuracies) openapi.Source {
	answer := openapi.Source{
		ID: s.Name, Name: s.Name, Type: s.Type, Enabled: s.Enabled,
		Configuration: s.Configuration, // secrets stand in it by their names
		Tenant:        given(s.Tenant), Version: given(s.Version), Changed: givenInstant(s.Changed),
	}
	if len(s.Labels) > 0 {
		answer.Labels = (*openapi.SourceLabels)(&s.Labels)
	}
	if s.Limits.SpansPerSecond > 0 {
		answer.Limits = &openapi.SourceLimits{SpansPerSecond: &s.Limits.SpansPerSecond}
	}
	var services []string
	for i := range s.Instances {
		answer.Instances = append(answer.Instances, newSourceInstance(&s.Instances[i]))
		for _, service := range s.Instances[i].Services {
			if !slices.Contains(services, service) {
				services = append(services, service)
			}
		}
	}
	if len(services) == 0 {
		return answer
	}
	of, known := accuracies[s.Tenant]
	if !known {
		of, _ = h.Service.ContextAccuracies(ctx, s.Tenant, h.now())
		accuracies[s.Tenant] = of
	}
	answer.ContextAccuracy = of.Of(services)
	return answer
}

func newSourceInstance(i *tracesources.Instance) openapi.SourceInstance {
	answer := openapi.SourceInstance{
		ID: i.ID, Host: given(i.Host), Health: openapi.SourceInstanceHealth(i.Health), Error: given(i.Error), Version: given(i.Version),
		Since: givenInstant(i.Since), Reported: formatInstant(i.Reported), Spans: i.Spans, SpansPerSecond: i.SpansPerSecond,
		LastSeen: givenInstant(i.LastSeen), Services: i.Services,
	}
	if w := i.Warning; w != nil {
		answer.LastWarning = &openapi.SourceWarning{Time: formatInstant(w.At), Text: w.Text}
	}
	if len(i.Rejected) > 0 {
		answer.Rejected = &openapi.SourceRejections{
			Limit: given(i.Rejected[tracesources.OverLimit]), Retryable: given(i.Rejected[tracesources.Retryable]),
			Permanent: given(i.Rejected[tracesources.Permanent]),
		}
	}
	for _, sdk := range i.SDKs {
		answer.Sdks = append(answer.Sdks, openapi.SourceSDK{Name: sdk.Name, Language: given(sdk.Language), Version: given(sdk.Version)})
	}
	return answer
}

func givenInstant(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := formatInstant(t)
	return &text
}

// newConfigured is a receiver of the configuration as it is answered.
func newConfigured(c *sources.Configured) openapi.Source {
	_, name, named := strings.Cut(c.ID, "/")
	if !named {
		name = c.ID
	}
	return openapi.Source{
		ID: configuredID + c.ID, Name: name, Type: c.Type, Enabled: true, ReadOnly: true, Configuration: c.Configuration,
	}
}
