package api

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRegexSizes(t *testing.T) {
	for text, allowed := range map[string]bool{
		`^/cart`: true, `(?i)error|timeout|refused`: true, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`: true, `.{900}`: true, `a*b+c?`: true,
		``: true, strings.Repeat("a", 2000): true,
		`(`: false, `a{1001}`: false, strings.Repeat("a", 4097): false, strings.Repeat("(", 1300) + strings.Repeat(")", 1300): false,
		strings.Repeat(`.{1000}`, 585): false, strings.Repeat(`\pL{1000}`, 455): false, `((.{10}){10}){10}` + `(.{100}){10}`: false,
		`.{1000,}.{1000,}`: false, `\p{L}+ [\pL\pN]{1,20}`: true, `^\pL{990}$`: false, strings.Repeat("(a|bc)*", 500): false,
	} {
		compiled, err := new(requestParser).regex(text)
		require.Equal(t, allowed, err == nil, "%.40q: %v", text, err)
		require.Equal(t, allowed, compiled != nil)
	}
}

// What is let through is small when it is compiled.
func FuzzRegex(f *testing.F) {
	for _, text := range []string{`a{2,5}(b|c)*`, `(?:x{30}){30}`, `[^\n]{0,999}`, `((((a?){9}){9}){9})`, `\pL{1000}|.{900}`, `(a{,2})`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		compiled, err := new(requestParser).regex(text)
		if err != nil {
			return
		}
		parsed, err := syntax.Parse(text, syntax.Perl)
		require.NoError(t, err)
		program, err := syntax.Compile(parsed.Simplify())
		require.NoError(t, err)
		require.LessOrEqual(t, len(program.Inst), 4*maxRegexSize)
		require.Equal(t, regexp.MustCompile(text).String(), compiled.String())
	})
}
