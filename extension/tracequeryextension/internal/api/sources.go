package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"go.opentelemetry.io/collector/client"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/sources"
	"github.com/tracewright/tracewright/internal/tenant"
	"github.com/tracewright/tracewright/internal/tracesources"
)

// configuredID is before the ids of receivers of the configuration.
const configuredID = "config:"

// boundTenant is the tenant to which the authenticator binds the client, if it does: such a client knows of no other's sources.
func boundTenant(r *http.Request) (name string, bound bool, refused *problem) {
	name, bound, err := tenant.Bound(client.FromContext(r.Context()).Auth)
	if err != nil {
		return "", bound, newProblem(http.StatusForbidden, fault{Detail: err.Error()})
	}
	return name, bound, nil
}

// sourceTime bounds what is done about sources for one request, as a query is bounded.
func (h *handler) sourceTime(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), h.Service.Timeout)
}

// GetSources lists the sources.
func (h *handler) GetSources(w http.ResponseWriter, r *http.Request) {
	faults := bindParameters(r, &struct{}{})
	if _, ok := h.accepted(w, r, faults); !ok {
		return
	}
	stored, configured, ok := h.listSources(w, r)
	if !ok {
		return
	}
	answer := openapi.SourcesAnswer{Sources: h.newSources(r, stored...)}
	for i := range configured {
		answer.Sources = append(answer.Sources, newConfigured(&configured[i]))
	}
	writeJSON(w, http.StatusOK, "application/json", answer)
}

// listSources lists those of which the client may know. Where it cannot, ok is false and the answer is written.
func (h *handler) listSources(w http.ResponseWriter, r *http.Request) (stored []tracesources.Stored, configured []sources.Configured, ok bool) {
	name, bound, refused := boundTenant(r)
	if refused != nil {
		refused.write(w)
		return nil, nil, false
	}
	if manager, err := h.Sources.Manager(); err == nil {
		ctx, cancel := h.sourceTime(r)
		defer cancel()
		all, err := manager.Sources(ctx)
		if err != nil {
			h.writeFailure(w, r, err)
			return nil, nil, false
		}
		for _, s := range all {
			if !bound || s.Tenant == name {
				stored = append(stored, s)
			}
		}
	}
	if !bound {
		configured = h.Sources.Configured()
	}
	return stored, configured, true
}

// GetSource answers one source.
func (h *handler) GetSource(w http.ResponseWriter, r *http.Request) {
	faults := bindParameters(r, &struct{}{})
	if _, ok := h.accepted(w, r, faults); !ok {
		return
	}
	stored, configured, ok := h.findSource(w, r)
	switch {
	case !ok:
	case configured != nil:
		writeJSON(w, http.StatusOK, "application/json", newConfigured(configured))
	default:
		h.writeSource(w, r, http.StatusOK, stored)
	}
}

// findSource finds the source that the path names, one of the two. Where it is not there, ok is false and the answer is written.
func (h *handler) findSource(w http.ResponseWriter, r *http.Request) (stored *tracesources.Stored, configured *sources.Configured, ok bool) {
	all, receivers, ok := h.listSources(w, r)
	if !ok {
		return nil, nil, false
	}
	id := r.PathValue("id")
	for i := range all {
		if all[i].Name == id {
			return &all[i], nil, true
		}
	}
	for i := range receivers {
		if configuredID+receivers[i].ID == id {
			return nil, &receivers[i], true
		}
	}
	newProblem(http.StatusNotFound, fault{"id", "there is no source " + id}).write(w)
	return nil, nil, false
}

func (h *handler) writeSource(w http.ResponseWriter, r *http.Request, status int, stored *tracesources.Stored) {
	writeJSON(w, status, "application/json", h.newSources(r, *stored)[0])
}

// CreateSource adds a source.
func (h *handler) CreateSource(w http.ResponseWriter, r *http.Request) {
	source, refused := h.parseSource(r)
	if refused != nil {
		refused.write(w)
		return
	}
	note(r.Context(), zap.String("source", source.Name), zap.String("type", source.Type), zap.Bool("enabled", source.Enabled))
	stored, ok := h.putSource(w, r, source, 0)
	if !ok {
		return
	}
	note(r.Context(), zap.Int64("version", stored.Version))
	w.Header().Set("Location", "/traces/sources/"+url.PathEscape(source.Name))
	h.writeSource(w, r, http.StatusCreated, &stored)
}

// UpdateSource changes a source.
func (h *handler) UpdateSource(w http.ResponseWriter, r *http.Request) {
	change, refused := h.parseSourceChange(r)
	if refused != nil {
		refused.write(w)
		return
	}
	old, ok := h.changeableSource(w, r)
	if !ok {
		return
	}
	source, refused := changedSource(old, change)
	if refused != nil {
		refused.write(w)
		return
	}
	note(r.Context(), zap.String("source", source.Name), zap.Bool("enabled", source.Enabled))
	stored, ok := h.putSource(w, r, source, old.Version)
	if !ok {
		return
	}
	note(r.Context(), zap.Int64("version", stored.Version))
	h.writeSource(w, r, http.StatusOK, &stored)
}

// DeleteSource removes a source.
func (h *handler) DeleteSource(w http.ResponseWriter, r *http.Request) {
	faults := bindParameters(r, &struct{}{})
	if _, ok := h.accepted(w, r, faults); !ok {
		return
	}
	old, ok := h.changeableSource(w, r)
	if !ok {
		return
	}
	ctx, cancel := h.sourceTime(r)
	defer cancel()
	manager, err := h.Sources.Manager()
	if err == nil {
		err = manager.Delete(ctx, old.Name, old.Version)
	}
	if err != nil {
		h.writeSourceFailure(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// changeableSource is the source that the path names. Where it cannot be changed, ok is false and the answer is written.
func (h *handler) changeableSource(w http.ResponseWriter, r *http.Request) (stored *tracesources.Stored, ok bool) {
	if _, err := h.Sources.Manager(); err != nil {
		h.writeSourceFailure(w, r, err)
		return nil, false
	}
	stored, configured, ok := h.findSource(w, r)
	if configured != nil {
		newProblem(http.StatusConflict, fault{"id", configured.ID + " stands in the configuration, at receivers::" + configured.ID + "; change it there"}).write(w)
		return nil, false
	}
	return stored, ok
}

// putSource has a change carried out. Where it is not, ok is false and the answer is written.
func (h *handler) putSource(w http.ResponseWriter, r *http.Request, source *tracesources.Source, after int64) (stored tracesources.Stored, ok bool) {
	name, bound, refused := boundTenant(r)
	if refused == nil && bound && source.Tenant != name {
		refused = newProblem(http.StatusForbidden, fault{"tenant", fmt.Sprintf("the authenticator binds you to tenant %q, which the source has to have too", name)})
	}
	if refused != nil {
		refused.write(w)
		return stored, false
	}
	ctx, cancel := h.sourceTime(r)
	defer cancel()
	manager, err := h.Sources.Manager()
	if err == nil {
		stored, err = manager.Put(ctx, *source, after, h.ManageAuthenticator == nil)
	}
	if err != nil {
		h.writeSourceFailure(w, r, err)
		return stored, false
	}
	return stored, true
}

// writeSourceFailure answers for an error of whoever runs sources.
func (h *handler) writeSourceFailure(w http.ResponseWriter, r *http.Request, err error) {
	var refusal *tracesources.Refusal
	switch {
	case errors.Is(err, sources.ErrNobody):
		newProblem(http.StatusConflict, fault{Detail: err.Error()}).write(w)
	case errors.As(err, &refusal):
		status := map[tracesources.Kind]int{
			tracesources.Invalid: http.StatusBadRequest, tracesources.Forbidden: http.StatusForbidden, tracesources.Conflict: http.StatusConflict,
		}[refusal.Kind]
		newProblem(status, fault{refusal.Field, refusal.Detail}).write(w)
	default:
		h.writeFailure(w, r, err)
	}
}
