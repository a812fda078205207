package api

import (
	"net/http"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/internal/tracesources"
)

// parseBody reads a body, which has to say that it is JSON, into a pointer to a struct.
func parseBody(r *http.Request, target any) *problem {
	if faults := bindParameters(r, &struct{}{}); len(faults) > 0 {
		return newProblem(http.StatusBadRequest, faults...)
	}
	// A browser asks first before it sends JSON to another site.
	body, refused := readJSON(r, true)
	if refused != nil {
		return refused
	}
	if faults := decodeStrict(body, target); len(faults) > 0 {
		return newProblem(http.StatusBadRequest, faults...)
	}
	return nil
}

// parseSource reads the source that is to be added.
func (h *handler) parseSource(r *http.Request) (*tracesources.Source, *problem) {
	var request openapi.SourceRequest
	if refused := parseBody(r, &request); refused != nil {
		return nil, refused
	}
	if _, refused := h.tenant(r); refused != nil {
		return nil, refused
	}
	var faults []fault
	for _, member := range []struct {
		name  string
		given bool
	}{{"name", request.Name != nil}, {"type", request.Type != nil}, {"configuration", request.Configuration != nil}} {
		if !member.given {
			faults = append(faults, fault{member.name, "is required"})
		}
	}
	if len(faults) > 0 {
		return nil, newProblem(http.StatusBadRequest, faults...)
	}
	source := &tracesources.Source{Name: *request.Name, Type: *request.Type, Enabled: true}
	faults = setSource(source, &openapi.SourceChange{
		Configuration: request.Configuration, Labels: request.Labels, Limits: request.Limits, Tenant: request.Tenant, Enabled: request.Enabled,
	})
	if name, bound, refused := boundTenant(r); refused == nil && bound && request.Tenant == nil {
		source.Tenant = name
	}
	return validSource(source, faults)
}

func (h *handler) parseSourceChange(r *http.Request) (*openapi.SourceChange, *problem) {
	var change openapi.SourceChange
	if refused := parseBody(r, &change); refused != nil {
		return nil, refused
	}
	if _, refused := h.tenant(r); refused != nil {
		return nil, refused
	}
	return &change, nil
}

// changedSource is the source as it is to be.
func changedSource(old *tracesources.Stored, change *openapi.SourceChange) (*tracesources.Source, *problem) {
	if change.Version != nil && int64(*change.Version) != old.Version {
		return nil, newProblem(http.StatusConflict, fault{"version", "the source was changed meanwhile; read it and try again"})
	}
	var faults []fault
	if change.Name != nil && *change.Name != old.Name {
		faults = append(faults, fault{"name", "a source keeps its name; remove it, and add another one"})
	}
	if change.Type != nil && *change.Type != old.Type {
		faults = append(faults, fault{"type", "a source keeps its type; remove it, and add another one"})
	}
	source := old.Source
	return validSource(&source, append(faults, setSource(&source, change)...))
}

// setSource sets what was given.
func setSource(source *tracesources.Source, change *openapi.SourceChange) (faults []fault) {
	if change.Configuration != nil {
		source.Configuration = tracesources.Normalized(*change.Configuration)
	}
	if change.Labels != nil {
		source.Labels = *change.Labels
		if len(source.Labels) == 0 {
			source.Labels = nil
		}
	}
	if change.Limits != nil {
		source.Limits = tracesources.Limits{}
		if rate := change.Limits.SpansPerSecond; rate != nil {
			if source.Limits.SpansPerSecond = *rate; *rate == 0 {
				faults = append(faults, fault{"limits.spans_per_second", "must be at least 1; leave it out for no limit, or pause the source"})
			}
		}
	}
	if change.Tenant != nil {
		source.Tenant = *change.Tenant
	}
	if change.Enabled != nil {
		source.Enabled = *change.Enabled
	}
	return faults
}

func validSource(source *tracesources.Source, faults []fault) (*tracesources.Source, *problem) {
	for _, refusal := range source.Validate() {
		faults = append(faults, fault{refusal.Field, refusal.Detail})
	}
	if len(faults) > 0 {
		return nil, newProblem(http.StatusBadRequest, faults...)
	}
	return source, nil
}
