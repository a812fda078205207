package tracesources

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEncoding(t *testing.T) {
	source := Source{
		Name: "shop", Type: "otlp", Enabled: true, Tenant: "acme", Limits: Limits{SpansPerSecond: 5}, Labels: map[string]string{"a": "b"},
		Configuration: map[string]any{"whole": 7, "large": 1 << 52, "half": 0.5, "text": "7", "truth": true, "nothing": nil, "list": []any{1, "a", map[string]any{}}},
	}
	changed := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	value, err := Encode(&source, changed)
	require.NoError(t, err)
	got, at, err := Decode(value)
	require.NoError(t, err)
	require.Equal(t, source, got)
	require.Equal(t, changed, at)

	got, _, err = Decode([]byte(`{"name": "a", "configuration": {"n": 2e1, "huge": 1e999}, "later": 1}`))
	require.NoError(t, err)
	require.Equal(t, map[string]any{"n": 20, "huge": "1e999"}, got.Configuration)
	for _, bad := range []string{"", "{", "[]", `{"name": 1}`, "{} {}", "null x"} {
		_, _, err := Decode([]byte(bad))
		require.Error(t, err, bad)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"name": "a", "configuration": {"n": 1.5e3}}`, `{"configuration": null}`, "{", `{"changed": "2026-01-02T03:04:05Z"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		source, changed, err := Decode(value)
		if err != nil {
			return
		}
		source.Validate()
		Redact(source.Configuration)
		again, err := Encode(&source, changed)
		if err != nil {
			return // a year that JSON has no words for
		}
		got, at, err := Decode(again)
		require.NoError(t, err)
		require.Equal(t, source.Configuration, got.Configuration)
		require.Equal(t, source.Name, got.Name)
		require.True(t, changed.Equal(at))
	})
}

func TestValidate(t *testing.T) {
	long := strings.Repeat("x", 257)
	for name, test := range map[string]struct {
		change func(*Source)
		field  string
	}{
		"no name":             {func(s *Source) { s.Name = "" }, "name"},
		"a path":              {func(s *Source) { s.Name = "a/b" }, "name"},
		"large letters":       {func(s *Source) { s.Name = "Shop" }, "name"},
		"no type":             {func(s *Source) { s.Type = "" }, "type"},
		"an id for a type":    {func(s *Source) { s.Type = "otlp/2" }, "type"},
		"to be replaced":      {func(s *Source) { s.Configuration = map[string]any{"a": []any{map[string]any{"b": "x${env:Y}"}}} }, "configuration.a[0].b"},
		"annotation":          {func(s *Source) { s.Labels = map[string]string{"tracewright.tenant": "x"} }, "labels.tracewright.tenant"},
		"label without a key": {func(s *Source) { s.Labels = map[string]string{"": "x"} }, "labels."},
		"long label":          {func(s *Source) { s.Labels = map[string]string{"a": long} }, "labels.a"},
		"label not replaced":  {func(s *Source) { s.Labels = map[string]string{"a": "${env:HOME}"} }, "labels.a"},
		"negative limit":      {func(s *Source) { s.Limits.SpansPerSecond = -1 }, "limits.spans_per_second"},
		"long tenant":         {func(s *Source) { s.Tenant = long }, "tenant"},
		"tenant is not UTF-8": {func(s *Source) { s.Tenant = "\xff" }, "tenant"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Source{Name: "shop-1_b", Type: "otlp"}
			require.Empty(t, s.Validate())
			test.change(&s)
			faults := s.Validate()
			require.Len(t, faults, 1)
			require.Equal(t, test.field, faults[0].Field)
			require.Equal(t, Invalid, faults[0].Kind)
		})
	}
	many := Source{Name: "a", Type: "otlp", Labels: map[string]string{}}
	for n := range 33 {
		many.Labels[strings.Repeat("x", n+1)] = ""
	}
	require.Equal(t, "labels", many.Validate()[0].Field)
}

func TestRedact(t *testing.T) {
	given := map[string]any{
		"endpoint": "localhost:1", "password": "hunter2", "client_secret": "${env:SECRET}", "token": "", "n": 1,
		"auth": []any{map[string]any{"api_key": "abc", "key_file": "a.pem"}}, "tokens_per_second": 5, "password_file": "p",
	}
	require.Equal(t, map[string]any{
		"endpoint": "localhost:1", "password": Redacted, "client_secret": "${env:SECRET}", "token": "", "n": 1,
		"auth": []any{map[string]any{"api_key": Redacted, "key_file": "a.pem"}}, "tokens_per_second": 5, "password_file": "p",
	}, Redact(given))
	require.Equal(t, "hunter2", given["password"], "it is a copy")
}

func TestRefusal(t *testing.T) {
	require.EqualError(t, &Refusal{Field: "type", Detail: "unknown"}, "type: unknown")
	require.EqualError(t, &Refusal{Detail: "too many"}, "too many")
}
