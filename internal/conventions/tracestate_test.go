package conventions_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/conventions"
)

// members is n members with a key each.
func members(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("k%d=v", i)
	}
	return strings.Join(list, ",")
}

// The last valid and the first invalid of each rule.
func TestReadTracestate(t *testing.T) {
	var (
		none      conventions.TracestateFaults
		invalid   = conventions.TracestateFaults{Invalid: true}
		duplicate = conventions.TracestateFaults{DuplicateKey: true}
		tooMany   = conventions.TracestateFaults{TooManyMembers: true}
		long      = strings.Repeat("x", 256)
	)
	for name, test := range map[string]struct {
		tracestate string
		want       conventions.TracestateFaults
	}{
		"nothing":                       {"", none},
		"one":                           {"rojo=00f067aa0ba902b7", none},
		"two":                           {"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", none},
		"OpenTelemetry's":               {"ot=th:c;rv:d29d6a7215ced0", none},
		"blanks around members":         {" a=1 ,\tb=2\t, \t c=3 \t ", none},
		"empty members":                 {",a=1,, \t,b=2,", none},
		"blanks alone":                  {" \t ", none},
		"key of one digit":              {"0=1", none},
		"every byte of a key":           {"az09_-*/@=1", none},
		"tenant":                        {"fw529a3039@dt=FfAbC", none},
		"tenant and no system":          {"tenant@=1", none},
		"two at signs":                  {"a@b@c=1", none},
		"at sign first":                 {"@dt=1", invalid},
		"dash first":                    {"-a=1", invalid},
		"upper case":                    {"aB=1", invalid},
		"dot in the key":                {"a.b=1", invalid},
		"blank in the key":              {"a b=1", invalid},
		"blank before the equals sign":  {"a =1", invalid},
		"not ASCII in the key":          {"\xc3\xa4=1", invalid},
		"longest key":                   {long + "=1", none},
		"longer key":                    {long + "x=1", invalid},
		"no key":                        {"=1", invalid},
		"no value":                      {"a=", invalid},
		"a blank as value":              {"a= ", invalid},
		"no equals sign":                {"a", invalid},
		"two equals signs":              {"a=b=c", invalid},
		"every border of a value":       {"a= !+-<>~", none},
		"blanks within a value":         {"a=b  c", none},
		"blanks before a value":         {"a=  b", none},
		"tab before a value":            {"a=\tb", invalid},
		"tab within a value":            {"a=b\tc", invalid},
		"line break at the end":         {"a=b\n", invalid},
		"DEL":                           {"a=b\x7f", invalid},
		"not ASCII in the value":        {"a=\x80", invalid},
		"longest value":                 {"a=" + long, none},
		"longer value":                  {"a=" + long + "x", invalid},
		"longest value and blanks":      {"a=" + long + " \t", none},
		"one invalid of three":          {"a=1,B=2,c=3", invalid},
		"a key twice":                   {"a=1,b=2,a=3", duplicate},
		"a key twice, same value":       {"a=1,a=1", duplicate},
		"a key and the same in blanks":  {"a=1, a=2", duplicate},
		"a key and an invalid one":      {"a=1,a=", invalid},
		"a key and its beginning":       {"ab=1,a=1", none},
		"two tenants of one system":     {"a@s=1,b@s=1", none},
		"32 members":                    {members(32), none},
		"33 members":                    {members(33), tooMany},
		"32 members, one empty":         {members(31) + ",", none},
		"33 members, one empty":         {members(32) + ",", tooMany},
		"a fault in the 32nd":           {members(31) + ",=", invalid},
		"a fault behind the 32nd":       {members(32) + ",=", tooMany},
		"the 32nd key stands there":     {members(31) + ",k0=v", duplicate},
		"invalid, and twice, and many ": {"a=1,a=1,=," + members(30), conventions.TracestateFaults{Invalid: true, DuplicateKey: true, TooManyMembers: true}},
	} {
		t.Run(name, func(t *testing.T) {
			found, _ := conventions.ReadTracestate(test.tracestate)
			require.Equal(t, test.want, found)
		})
	}
}

func TestOpenTelemetrysMember(t *testing.T) {
	for tracestate, want := range map[string]string{
		"": "", "a=1": "", "ot=th:c": "th:c", "a=1, ot=th:c;rv:1 ,b=2": "th:c;rv:1", "ot=1,ot=2": "1", "ott=1,o=2": "", "ot=\xff,b=1": "",
	} {
		_, ot := conventions.ReadTracestate(tracestate)
		require.Equal(t, want, ot, "%q", tracestate)
	}
}

var (
	blankMember = regexp.MustCompile(`^[ \t]*$`)
	validMember = regexp.MustCompile(`^[ \t]*([a-z0-9][a-z0-9_*/@-]{0,255})=[ -+\--<>-~]{0,255}[!-+\--<>-~][ \t]*$`)
)

// slowTracestate reads the grammar as it is written.
func slowTracestate(tracestate string) conventions.TracestateFaults {
	var found conventions.TracestateFaults
	list := strings.Split(tracestate, ",")
	if len(list) > 32 {
		found.TooManyMembers = true
		list = list[:32]
	}
	keys := make(map[string]bool)
	for _, member := range list {
		if blankMember.MatchString(member) {
			continue
		}
		parts := validMember.FindStringSubmatch(member)
		if parts == nil {
			found.Invalid = true
			continue
		}
		found.DuplicateKey = found.DuplicateKey || keys[parts[1]]
		keys[parts[1]] = true
	}
	return found
}

func FuzzReadTracestate(f *testing.F) {
	for _, seed := range []string{
		"", "a=1", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", " a=1 ,\tb= 2\t,, a=3", "fw529a3039@dt=x", "@a=1", "A=1", "a=b=c",
		"a=\xff", "a=\n", members(32), members(33), strings.Repeat("k=v,", 40), strings.Repeat(",", 40),
		strings.Repeat("x", 257) + "=1", "a=" + strings.Repeat("x ", 128) + "y", "a=" + strings.Repeat("x", 257),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, tracestate string) {
		found, ot := conventions.ReadTracestate(tracestate)
		require.Equal(t, slowTracestate(tracestate), found)
		require.True(t, ot == "" || strings.Contains(tracestate, "ot="+ot))
	})
}

func BenchmarkReadTracestate(b *testing.B) {
	for name, tracestate := range map[string]string{
		"empty":      "",
		"ot":         "ot=th:c;rv:d29d6a7215ced0",
		"two":        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
		"32 members": members(32),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				conventions.ReadTracestate(tracestate)
			}
		})
	}
}
