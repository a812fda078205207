package api

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// defaultWindow is how far back a request looks that names no start.
const defaultWindow = time.Hour

// requestParser gives members and parameters their meaning and collects what is wrong with them. A nil value is one that was
// not given.
type requestParser struct {
	// now is what relative times count from.
	now    time.Time
	faults []fault
	// conditions is how many a search has asked for.
	conditions int
	// regexes is how many bytes and parts its regular expressions have.
	regexes int
}

func (p *requestParser) fault(field, format string, args ...any) {
	p.faults = append(p.faults, fault{field, fmt.Sprintf(format, args...)})
}

func (p *requestParser) text(field string, value *string) string {
	if value == nil {
		return ""
	}
	if *value == "" {
		p.fault(field, "must not be empty; leave it out to find any")
	}
	return *value
}

// oneOf is the value as text; empty where it was not given.
func oneOf[T ~string](p *requestParser, field string, value *T, allowed []string) string {
	if value == nil {
		return ""
	}
	if !slices.Contains(allowed, string(*value)) {
		p.fault(field, "must be one of: %s", strings.Join(allowed, ", "))
	}
	return string(*value)
}

func (p *requestParser) limit(value *int, otherwise, maximum int) int {
	return p.number("limit", value, otherwise, maximum)
}

// number is at least 1.
func (p *requestParser) number(field string, value *int, otherwise, maximum int) int {
	if value == nil {
		return otherwise
	}
	if *value < 1 || *value > maximum {
		p.fault(field, "must be between 1 and %d", maximum)
	}
	return *value
}

// window is the time that is asked about, and the cursor where there is one. A cursor's window is that of its first page, so
// an absolute time beside it must be the same.
func (p *requestParser) window(startText, endText, cursorText *string) (start, end time.Time, cursor *query.Cursor) {
	before := len(p.faults)
	from := p.moment("start", startText, moment{p.now.Add(-defaultWindow), true})
	to := p.moment("end", endText, moment{p.now, true})
	if len(p.faults) > before {
		return from.time, to.time, nil
	}
	if cursorText == nil {
		if !from.time.Before(to.time) {
			p.fault("start", "must be before end: %s is not before %s",
				from.time.Format(time.RFC3339Nano), to.time.Format(time.RFC3339Nano))
		}
		return from.time, to.time, nil
	}
	parsed, err := query.ParseCursor(*cursorText)
	if err == nil && (!from.relative && !from.time.Equal(parsed.Start) || !to.relative && !to.time.Equal(parsed.End)) {
		err = tracestore.ErrCursor
	}
	if err != nil {
		p.fault("cursor", "%s; send next_cursor as it was answered, with the same conditions", err)
		return from.time, to.time, nil
	}
	return parsed.Start, parsed.End, &parsed
}

func (p *requestParser) moment(field string, value *string, otherwise moment) moment {
	if value == nil {
		return otherwise
	}
	m, err := parseMoment(*value, p.now)
	if err != nil {
		p.fault(field, "%s", err)
	}
	return m
}
