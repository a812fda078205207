package api

import (
	"encoding/hex"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// parseTraceID reads 32 or 16 hex digits of either case; 16 are the low half, as systems with 64-bit ids send them.
func parseTraceID(text string) (id pcommon.TraceID, err error) {
	const wanted = "must be 32 or 16 hex digits"
	if len(text) != 2*len(id) && len(text) != len(id) {
		return id, errors.New(wanted)
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return id, errors.New(wanted)
	}
	copy(id[len(id)-len(raw):], raw)
	if id.IsEmpty() {
		return id, errors.New("must not be all zeros")
	}
	return id, nil
}

// parseParameters reads the query, in which each of the known parameters may stand once.
func parseParameters(r *http.Request, known ...string) (url.Values, []fault) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, []fault{{Detail: "the query of the URL cannot be read: " + err.Error()}}
	}
	var faults []fault
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case !slices.Contains(known, name) && len(known) == 0:
			faults = append(faults, fault{name, "unknown query parameter; this endpoint takes none"})
		case !slices.Contains(known, name):
			faults = append(faults, fault{name, "unknown query parameter; known: " + strings.Join(known, ", ")})
		case len(values[name]) > 1:
			faults = append(faults, fault{name, "stands more than once"})
		}
	}
	return values, faults
}
