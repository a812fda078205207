package correlation_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/correlation"
)

func TestTemplates(t *testing.T) {
	values := map[string]string{
		"trace_id": "0af7", "service": "a b&c=d/e?f#g+h%", "start_ms": "17", "resource.k8s.pod.name": "pod-1", "operation": `say "hi"`,
		"span.dots": "..",
	}
	for template, want := range map[string]string{
		"https://logs.example/t/{trace_id}":                         "https://logs.example/t/0af7",
		"https://logs.example/{service}/x?q={service}&s={trace_id}": "https://logs.example/a%20b&c=d%2Fe%3Ff%23g+h%25/x?q=a%20b%26c%3Dd%2Fe%3Ff%23g%2Bh%25&s=0af7",
		"http://g:3000/explore?left=%7B%22q%22:%22{trace_id}%22%7D#{trace_id}": "http://g:3000/explore?left=%7B%22q%22:%22" +
			"0af7%22%7D#0af7",
		"https://m.example/?pod={resource.k8s.pod.name}&from={start_ms}": "https://m.example/?pod=pod-1&from=17",
		"https://m.example/?q={operation}":                               "", // it could end what stands in quotes there
		"https://m.example/?q={span.http.route}":                         "", // it has none
		"https://m.example/{span.dots}/x":                                "",
		"https://m.example/?q={span.dots}":                               "https://m.example/?q=..",
		"https://m.example":                                              "https://m.example",
	} {
		parsed, err := correlation.New("logs", template, true)
		require.NoError(t, err, template)
		link, ok := parsed.Expand(func(name string) (string, bool) {
			value, ok := values[name]
			return value, ok
		})
		require.Equal(t, want, link, template)
		require.Equal(t, want != "", ok, template)
	}
}

func TestFaultyTemplates(t *testing.T) {
	for template, want := range map[string]string{
		"":                                 "must begin with http",
		"logs.example/{trace_id}":          "must begin with http",
		"javascript:alert({trace_id})":     "must begin with http",
		"https:///{trace_id}":              "must begin with http",
		"https://{service}.example/":       "no placeholder before the path",
		"https://logs.example:{start_ms}/": "no placeholder before the path",
		"https://a.example{trace_id}":      "no placeholder before the path",
		"{trace_id}":                       "must begin with http",
		"https://a.example/{trace}":        "unknown placeholder {trace}; known: trace_id,",
		"https://a.example/{}":             "unknown placeholder {}",
		"https://a.example/{span.}":        "unknown placeholder {span.}",
		"https://a.example/{trace_id":      "without a }",
		"https://a.example/trace_id}":      "without a {",
		"https://a.example/{{trace_id}}":   "unknown placeholder",
		"https://a.example/%zz":            "is not a URL",
		"https://a.example/{span_id}":      "set on: span",
		"https://a.example/{resource.pod}": "set on: span",
	} {
		_, err := correlation.New("logs", template, false)
		require.ErrorContains(t, err, want, template)
	}
}

// Whatever the value, the URL leads to the template's host, and the value stands where the template says, whole.
func FuzzValuesStayInTheirPlace(f *testing.F) {
	for _, seed := range []string{"a", "..", "a/../b", "?x=1", "#", "%2e%2e", "\x00", "\xff", "ü&=+ ", `"`, "//evil.example", "@evil"} {
		f.Add(seed)
	}
	template, err := correlation.New("logs", "https://logs.example/a/{service}/b?q={service}&r=1#{service}", false)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, value string) {
		link, ok := template.Expand(func(string) (string, bool) { return value, true })
		if !ok {
			return
		}
		parsed, err := url.Parse(link)
		require.NoError(t, err)
		require.Equal(t, "logs.example", parsed.Host)
		require.Equal(t, "/a/"+value+"/b", parsed.Path)
		require.Equal(t, url.Values{"q": {value}, "r": {"1"}}, parsed.Query())
		require.Equal(t, value, parsed.Fragment)
		require.False(t, strings.ContainsAny(link, "\"'<>\\ "))
	})
}
