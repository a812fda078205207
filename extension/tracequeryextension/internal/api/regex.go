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
	// maxRegexes bounds the bytes and parts of all expressions of a search together. Bytes cost too: to parse a class of letters of either case
	// takes milliseconds, and to write one out kibibytes, for a few bytes of text.
	maxRegexes = 5000
)

// regex compiles an expression of somebody from outside.
func (p *requestParser) regex(text string) (*regexp.Regexp, error) {
	if len(text) > maxRegex {
		return nil, fmt.Errorf("must not be longer than %d bytes", maxRegex)
	}
	if err := p.spendRegex(len(text)); err != nil {
		return nil, err
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("must be a regular expression in RE2 syntax: %w", err)
	}
	size := regexSize(parsed)
	if size > maxRegexSize {
		return nil, fmt.Errorf("must not be so large: with its repetitions written out it has %d parts, and may have %d", size, maxRegexSize)
	}
	if err := p.spendRegex(size); err != nil {
		return nil, err
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("must be a regular expression in RE2 syntax: %w", err)
	}
	return compiled, nil
}

func (p *requestParser) spendRegex(size int) error {
	if p.regexes += size; p.regexes > maxRegexes {
		return fmt.Errorf("must not be so large: the regular expressions of a search may have %d bytes and parts together", maxRegexes)
	}
	return nil
}

// regexSize is about how many instructions an expression is compiled to. Its depth, and the product of nested repetitions, is bounded by
// the parser (1,000 each). A class that is repeated is copied with all its ranges: that of all letters has more than a thousand bounds.
func regexSize(re *syntax.Regexp) int {
	size := 1
	switch re.Op {
	case syntax.OpLiteral:
		size = len(re.Rune)
	case syntax.OpCharClass:
		size += len(re.Rune) / 32
	}
	for _, sub := range re.Sub {
		size += regexSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Max, re.Min+1, 1)
	}
	return size
}
