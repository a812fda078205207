package api

import (
	"net/http"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	defaultAttributes = 100
	maxAttributes     = 1000
)

// GetAttributes answers with keys of attributes.
func (h *handler) GetAttributes(w http.ResponseWriter, r *http.Request) {
	var parameters openapi.GetAttributesParams
	p := requestParser{now: h.now().UTC(), faults: bindParameters(r, &parameters)}
	asked := p.catalogue(&parameters)
	tenant, ok := h.accepted(w, r, p.faults)
	if !ok {
		return
	}
	keys, err := h.Service.AttributeKeys(r.Context(), tenant, asked)
	if err != nil {
		h.writeFailure(w, r, err)
		return
	}
	answer := openapi.AttributesAnswer{Attributes: make([]openapi.AttributeKey, 0, len(keys)), Window: days(asked)}
	for _, key := range keys {
		scope := openapi.AttributeKeyScopeSpan
		if key.Scope == tracestore.ScopeResource {
			scope = openapi.AttributeKeyScopeResource
		}
		answer.Attributes = append(answer.Attributes, openapi.AttributeKey{
			Key: key.Key, Scope: scope, Types: typeNames(key.Types), Spans: key.Spans,
		})
	}
	writeJSON(w, http.StatusOK, "application/json", answer)
}

// GetAttributeValues answers with the values of one attribute.
func (h *handler) GetAttributeValues(w http.ResponseWriter, r *http.Request) {
	var parameters openapi.GetAttributesParams // which are the same
	p := requestParser{now: h.now().UTC(), faults: bindParameters(r, &parameters)}
	asked := p.catalogue(&parameters)
	name := r.PathValue("key")
	p.length("key", &name)
	if !utf8.ValidString(name) {
		p.fault("key", "must be UTF-8")
	}
	scope, key := splitKey(name)
	if key == "" {
		p.fault("key", "must name an attribute")
	}
	tenant, ok := h.accepted(w, r, p.faults)
	if !ok {
		return
	}
	values, err := h.Service.AttributeValues(r.Context(), tenant, scope, key, asked)
	if err != nil {
		h.writeFailure(w, r, err)
		return
	}
	answer := openapi.AttributeValuesAnswer{Values: make([]openapi.AttributeValue, 0, len(values)), Window: days(asked)}
	for _, value := range values {
		answer.Values = append(answer.Values, openapi.AttributeValue{Value: value.Text, Spans: value.Spans})
	}
	writeJSON(w, http.StatusOK, "application/json", answer)
}

func (p *requestParser) catalogue(r *openapi.GetAttributesParams) *tracestore.CatalogueQuery {
	start, end, _ := p.window(r.Start, r.End, nil)
	p.length("prefix", r.Prefix)
	query := &tracestore.CatalogueQuery{Start: start, End: end, Limit: p.limit(r.Limit, defaultAttributes, maxAttributes)}
	if r.Prefix != nil {
		query.Prefix = *r.Prefix
	}
	return query
}

// days is the window that was answered; the service has widened it.
func days(asked *tracestore.CatalogueQuery) openapi.Window {
	return openapi.Window{Start: formatInstant(asked.Start), End: formatInstant(asked.End)}
}

// valueTypes are pcommon's, by number, as the API spells them.
var valueTypes = []openapi.AttributeKeyTypes{
	pcommon.ValueTypeEmpty: openapi.AttributeKeyTypesEmpty, pcommon.ValueTypeStr: openapi.AttributeKeyTypesString,
	pcommon.ValueTypeInt: openapi.AttributeKeyTypesInt, pcommon.ValueTypeDouble: openapi.AttributeKeyTypesDouble,
	pcommon.ValueTypeBool: openapi.AttributeKeyTypesBool, pcommon.ValueTypeMap: openapi.AttributeKeyTypesMap,
	pcommon.ValueTypeSlice: openapi.AttributeKeyTypesArray, pcommon.ValueTypeBytes: openapi.AttributeKeyTypesBytes,
}

func typeNames(types tracestore.ValueTypes) []openapi.AttributeKeyTypes {
	var names []openapi.AttributeKeyTypes
	for number, name := range valueTypes {
		if types.Has(pcommon.ValueType(number)) {
			names = append(names, name)
		}
	}
	return names
}
