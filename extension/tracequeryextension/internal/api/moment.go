package api

import (
	"errors"
	"math"
	"regexp"
	"strings"
	"time"
)

// moment is a point in time as a request names it.
type moment struct {
	time time.Time
	// relative says that it was named relative to now, so that it meant another time on another page.
	relative bool
}

var (
	errMoment   = errors.New(`must be RFC 3339 ("2026-01-02T15:04:05.678Z"), "now", or a time before now such as "-1h" or "-15m"`)
	errDuration = errors.New(`must be a duration of at least 0 such as "250ms", "1.5s" or "2m"`)

	// likeRFC3339 refuses what time.Parse reads beyond RFC 3339, such as hours of one digit and commas.
	likeRFC3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`)

	// What int64 nanoseconds since 1970 can hold.
	earliest = time.Unix(0, math.MinInt64)
	latest   = time.Unix(0, math.MaxInt64)
)

func parseMoment(text string, now time.Time) (moment, error) {
	if text == "now" {
		return moment{now, true}, nil
	}
	if ago, ok := strings.CutPrefix(text, "-"); ok {
		d, err := parseDuration(ago)
		if err != nil {
			return moment{}, errMoment
		}
		return moment{now.Add(-d), true}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || !likeRFC3339.MatchString(text) {
		return moment{}, errMoment
	}
	if t.Before(earliest) || t.After(latest) {
		return moment{}, errors.New("must be between the years 1678 and 2262")
	}
	return moment{t.UTC(), false}, nil
}

func parseDuration(text string) (time.Duration, error) {
	// ParseDuration reads signs; "+1s" and "-0s" are as wrong as "-1s".
	if strings.HasPrefix(text, "+") || strings.HasPrefix(text, "-") {
		return 0, errDuration
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errDuration
	}
	return d, nil
}

// formatTime writes nanoseconds since 1970 as formatInstant does.
func formatTime(ns int64) string { return formatInstant(time.Unix(0, ns)) }

// formatInstant writes RFC 3339 in UTC, always with nine digits, so that texts sort as times.
func formatInstant(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.000000000Z07:00")
}
