package api

import (
	"fmt"
	"regexp"
	"regexp/syntax"
)

const (
	maxRegex = 4096 // bytes
	// maxRegexSize bounds what an expression becomes: .{1000} is short, and a thousand of them take 40 MiB and the fifth of a second to
	// compile, and a thousand steps for each letter of what they are held against.
	maxRegexSize = 2000
)

// compileRegex compiles an expression of somebody from outside.
func compileRegex(text string) (*regexp.Regexp, error) {
	if len(text) > maxRegex {
		return nil, fmt.Errorf("must not be longer than %d bytes", maxRegex)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("must be a regular expression in RE2 syntax: %w", err)
	}
	if size := regexSize(parsed); size > maxRegexSize {
		return nil, fmt.Errorf("must not be so large: with its repetitions written out it has %d parts, and may have %d", size, maxRegexSize)
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("must be a regular expression in RE2 syntax: %w", err)
	}
	return compiled, nil
}

// regexSize is about how many instructions an expression is compiled to. Its depth, and the product of nested repetitions, is bounded by
// the parser (1,000 each).
func regexSize(re *syntax.Regexp) int {
	size := 1
	if re.Op == syntax.OpLiteral {
		size = len(re.Rune)
	}
	for _, sub := range re.Sub {
		size += regexSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Max, re.Min+1, 1)
	}
	return size
}
