package api

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
)

func getJSON[T any](t *testing.T, h http.Handler, target string) (answer T) {
	t.Helper()
	response := do(h, get(target))
	require.Equal(t, http.StatusOK, response.Code, response.Body.String())
	require.NoError(t, json.Unmarshal(response.Body.Bytes(), &answer))
	return answer
}

func TestAttributeSuggestions(t *testing.T) {
	h := storedHandler(t, storedShop())
	all := getJSON[openapi.AttributesAnswer](t, h, "/traces/attributes")
	require.Equal(t, openapi.Window{Start: "2026-01-02T00:00:00.000000000Z", End: "2026-01-03T00:00:00.000000000Z"}, all.Window)
	found := false
	for _, key := range all.Attributes {
		if key.Key == "service.name" {
			found = true
			require.Equal(t, openapi.AttributeKeyScopeResource, key.Scope)
			require.Equal(t, []openapi.AttributeKeyTypes{openapi.AttributeKeyTypesString}, key.Types)
			require.Positive(t, key.Spans)
		}
	}
	require.True(t, found)
	some := getJSON[openapi.AttributesAnswer](t, h, "/traces/attributes?prefix=service.&limit=1&start=-1h&end=now")
	require.Len(t, some.Attributes, 1)
	require.Equal(t, "service.name", some.Attributes[0].Key)
	none := do(h, get("/traces/attributes?start=-72h&end=-48h"))
	require.Contains(t, none.Body.String(), `"attributes":[]`)

	for target, want := range map[string]int{
		"/traces/attributes/service.name/values":               3,
		"/traces/attributes/resource.service.name/values":      3,
		"/traces/attributes/span.service.name/values":          0,
		"/traces/attributes/service.name/values?prefix=front":  1,
		"/traces/attributes/service.name/values?limit=1":       1,
		"/traces/attributes/a%2Fb%20c/values":                  0,
		"/traces/attributes/%2E%2E/values":                     0,
		"/traces/attributes/service.name/values?prefix=nobody": 0,
	} {
		answer := getJSON[openapi.AttributeValuesAnswer](t, h, target)
		require.Len(t, answer.Values, want, target)
		require.NotNil(t, answer.Values, target)
	}
}

func TestBadAttributeRequests(t *testing.T) {
	h := testHandler(&fakeStorage{})
	for target, field := range map[string]string{
		"/traces/attributes?limit=0":               "limit",
		"/traces/attributes?limit=1001":            "limit",
		"/traces/attributes?start=x":               "start",
		"/traces/attributes?start=-1h&end=-2h":     "start",
		"/traces/attributes?cursor=x":              "cursor",
		"/traces/attributes?prefix=%ff":            "prefix",
		"/traces/attributes/span./values":          "key",
		"/traces/attributes/%ff/values":            "key",
		"/traces/attributes/a/values?limit=a":      "limit",
		"/traces/attributes/a/values?prefix=a&a=b": "a",
	} {
		require.Equal(t, field, requireProblem(t, http.StatusBadRequest, do(h, get(target))).Field, target)
	}
}
