package api

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHostileRequests sends what a client sends that means harm, as large as a body may be: it takes little memory and time, and is
// refused where it makes no sense.
func TestHostileRequests(t *testing.T) {
	const body = 1 << 20 // confighttp lets no more pass
	fill := func(head, part, tail string) string {
		return head + strings.Repeat(part, (body-len(head)-len(tail))/len(part)) + tail
	}
	search := func(body string) func() *http.Request { return func() *http.Request { return postSearch(body) } }
	regexes := func(pattern string) string {
		condition := fmt.Sprintf(`{"key":"a","op":"regex","value":%q}`, pattern)
		list := "[" + strings.Repeat(condition+",", 62) + condition + "]"
		return `{"attributes":` + list + `,"where":{"span":{"attributes":` + list + `}}}`
	}
	h := testHandler(&fakeStorage{})
	for name, test := range map[string]struct {
		request func() *http.Request
		status  int
	}{
		"opening brackets":           {search(fill("", "[", "")), 400},
		"opening brackets as member": {search(fill(`{"where":`, "[", "")), 400},
		"objects in objects":         {search(fill("", `{"where":`, "")), 400},
		"not not not":                {search(fill(`{"where":`, `{"not":`, "")), 400},
		"balanced brackets":          {search(`{"x":` + strings.Repeat("[", body/2-10) + strings.Repeat("]", body/2-10) + "}"), 400},
		"unknown members":            {search(fill("{", `"x":1,`, `"x":1}`)), 400},
		"unknown members, different": {search("{" + manyMembers(50_000) + `"x":1}`), 400},
		"one number":                 {search(fill(`{"limit":1`, "0", "}")), 400},
		"an exponent":                {search(`{"limit":1e999999999}`), 400},
		"one text":                   {search(fill(`{"service":"`, "x", `"}`)), 200},
		"escapes":                    {search(fill(`{"service":"`, `\u0000`, `"}`)), 200},
		"many values":                {search(fill(`{"services":[`, `"a",`, `"a"]}`)), 400},
		"many conditions":            {search(fill(`{"where":{"and":[`, `{},`, `{}]}}`)), 400},
		"large expressions":          {search(regexes(strings.Repeat(`.{1000}`, 500))), 400},
		"deep expressions":           {search(regexes(strings.Repeat("(", 2000) + strings.Repeat(")", 2000))), 400},
		"many expressions":           {search(regexes(`.{900}`)), 400},
		"wide classes":               {search(regexes(`^\pL{990}$`)), 400},
		"wide classes, fewer":        {search(regexes(`^\pL{40}$`)), 400},
		"wide classes, written out":  {search(regexes(strings.Repeat(`\pL`, 1300) + "(")), 400},
		"long expressions":           {search(regexes(strings.Repeat("a", 1000))), 400},
		"expressions":                {search(regexes(`^(GET|POST) /[a-z]+$`)), 200},
		"a long cursor":              {search(fill(`{"cursor":"`, "A", `"}`)), 400},
		"garbage":                    {search(fill("", "\xff", "")), 400},
		"a long path":                {func() *http.Request { return get("/traces/" + strings.Repeat("a", 500_000)) }, 400},
		"a long key":                 {func() *http.Request { return get("/traces/attributes/" + strings.Repeat("a", 500_000) + "/values") }, 400},
		"many parameters":            {func() *http.Request { return get("/traces/services?" + strings.Repeat("a=1&", 100_000)) }, 400},
		"parameters that differ":     {func() *http.Request { return get("/traces/services?" + parameters(50_000)) }, 400},
		"many slashes":               {func() *http.Request { return get("/traces/" + strings.Repeat("/", 500_000)) }, 404},
	} {
		t.Run(name, func(t *testing.T) {
			r := test.request()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			response := do(h, r)
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			require.Equal(t, test.status, response.Code, "%.300s", response.Body)
			require.Less(t, (after.TotalAlloc-before.TotalAlloc)>>20, uint64(64), "MiB")
			require.Less(t, took, 30*time.Second) // on a busy machine; a moment otherwise
			require.Less(t, response.Body.Len(), 2<<20, "an answer is no larger than what was asked")
		})
	}
}

func manyMembers(n int) string {
	var members strings.Builder
	for i := range n {
		fmt.Fprintf(&members, `"x%d":[%d],`, i, i)
	}
	return members.String()
}

func parameters(n int) string {
	var query strings.Builder
	for i := range n {
		fmt.Fprintf(&query, "x%d=1&", i)
	}
	return query.String()
}
